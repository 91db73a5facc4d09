//! Admission and offers: single rules first, then both against each other over everything that matters.

use super::*;
use crate::config::Settings;
use crate::model::Word;
use crate::policy::Bound;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const LEAST: Bytes = Bytes(128 << 20);

/// Somebody, on a small host, with these limits.
struct World {
    limits: Limits,
    allowed: Allowed,
    host: Host,
}

impl World {
    fn new(change: impl FnOnce(&mut Limits)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings.limits);
        let host = Host { cpus: 2, load: 0.1, memory_total: Bytes(8 * GIB), memory_available: Bytes(6 * GIB) };
        Self { allowed: Allowed::anybody(&settings), limits: settings.limits, host }
    }

    fn ask(&self, owner: &str, sessions: &[Taken], cpus: u32, memory: u64) -> Result<(), Problem> {
        let owner = pam(owner);
        self.situation(&owner, sessions).admit(&Wanted { cpus, memory: Bytes(memory) })
    }

    fn situation<'a>(&'a self, owner: &'a Owner, sessions: &'a [Taken]) -> Situation<'a> {
        let Self { limits, allowed, host } = self;
        Situation { limits, allowed, memory_min: LEAST, host: *host, sessions, owner: Some(owner) }
    }

    fn refusal(&self, owner: &str, sessions: &[Taken], cpus: u32, memory: u64) -> String {
        let problem = self.ask(owner, sessions, cpus, memory).unwrap_err();
        assert_eq!(problem.word, Word::LimitReached);
        problem.message
    }
}

fn pam(name: &str) -> Owner {
    Owner::signed_in(crate::model::Method::Pam, name.parse().unwrap())
}

fn taken(owner: &str, cpus: u32, memory: u64) -> Taken {
    Taken { owner: pam(owner), cpus, memory: Bytes(memory) }
}

#[test]
fn the_defaults_on_two_cores_admit_a_first_session_and_refuse_the_second() {
    let world = World::new(|_| ());
    assert!(world.ask("alice", &[], 1, GIB).is_ok());
    let one = [taken("alice", 1, GIB)];
    assert_eq!(
        world.refusal("alice", &one, 1, GIB),
        "One person's sessions can have 1 CPU together on this server (limits.service_max_cpu_fraction_nb_per_user): \
         you have 1 CPU and asked for 1 CPU. Stop a session first."
    );
    assert!(world.ask("bob", &one, 1, GIB).is_ok());
}

#[test]
fn a_first_least_session_fits_every_share() {
    let world = World::new(|limits| {
        limits.service_max_cpu_fraction_nb_per_user = 0.0;
        limits.service_max_mem_fraction_nb_per_user = 0.0;
    });
    assert!(world.ask("alice", &[], 1, LEAST.0).is_ok());
    world.refusal("alice", &[], 1, LEAST.0 + MIB);
    world.refusal("alice", &[], 2, LEAST.0);
    world.refusal("alice", &[taken("alice", 1, LEAST.0)], 1, LEAST.0);
}

#[test]
fn the_last_place_is_the_last() {
    let world = World::new(|limits| limits.service_max_session_nb = 2);
    let two = [taken("a", 1, GIB), taken("b", 1, GIB)];
    assert!(world.ask("c", &two[..1], 1, GIB).is_ok());
    assert!(world.refusal("c", &two, 1, GIB).contains("All 2 places"));
    let closed = World::new(|limits| limits.service_max_session_nb = 0);
    assert!(closed.refusal("c", &[], 1, GIB).starts_with("This service starts no sessions at present"));
}

#[test]
fn owners_are_compared_whole() {
    let mut world = World::new(|_| ());
    world.allowed.sessions = Bound { most: 1, key: "limits.user.alice.sessions".into() };
    assert!(world.ask("alice", &[taken("al", 1, GIB)], 1, GIB).is_ok());
    assert_eq!(
        world.refusal("alice", &[taken("alice", 1, GIB)], 1, GIB),
        "You have 1 session already, and 1 is the most you can have at a time (limits.user.alice.sessions). \
         Stop one to start another."
    );
}

#[test]
fn cpus_given_out_stop_at_the_overcommit() {
    let world = World::new(|limits| {
        limits.cpu_overcommit = 1.0;
        limits.service_max_cpu_fraction_nb_per_user = 1.0;
    });
    let one = [taken("bob", 1, GIB)];
    assert!(world.ask("alice", &one, 1, GIB).is_ok());
    assert!(world.refusal("alice", &one, 2, GIB).ends_with("you asked for 2 CPUs; 1 CPU would fit."));
}

#[test]
fn a_busy_host_and_a_full_one_say_so() {
    let mut world = World::new(|limits| limits.service_max_mem_fraction_nb_per_user = 1.0);
    assert!(world.refusal("alice", &[], 1, 7 * GIB).contains("6 GiB of memory free"));
    world.host.load = world.limits.service_max_load;
    assert!(world.ask("alice", &[], 1, GIB).is_ok());
    world.host.load = 0.9;
    assert!(
        world
            .refusal("alice", &[], 1, GIB)
            .contains("its load is 1.8 (2 CPUs), and nothing new starts above 1.6 (limits.")
    );
}

#[test]
fn enormous_requests_do_not_overflow() {
    let world = World::new(|_| ());
    world.refusal("alice", &[taken("alice", 1, GIB)], u32::MAX, u64::MAX);
    world.refusal("alice", &[], 1, u64::MAX);
}

#[test]
fn what_no_machine_can_have_is_no_question_of_limits() {
    let possible = |cpus, memory| Wanted { cpus, memory: Bytes(memory) }.possible(LEAST);
    assert_eq!(possible(1, GIB + MIB + 5).unwrap().memory, Bytes(GIB + MIB));
    for (cpus, memory) in [(0, GIB), (256, GIB), (1, LEAST.0 - 1), (1, MEMORY_MAX.0 + MIB)] {
        assert_eq!(possible(cpus, memory).unwrap_err().word, Word::BadRequest);
    }
}

#[test]
fn limits_of_a_person_take_the_place_of_the_shares_and_name_what_would_fit() {
    let mut world = World::new(|_| ());
    world.allowed.cpus = Some(Bound { most: 2, key: "limits.user.alice.cpus".into() });
    world.allowed.memory = Some(Bound { most: Bytes(3 * GIB), key: "limits.group.students.memory".into() });
    assert!(world.ask("alice", &[], 2, 3 * GIB).is_ok(), "both are above the shares of this host");
    assert_eq!(
        world.refusal("alice", &[], 3, GIB),
        "Your sessions can have 2 CPUs together (limits.user.alice.cpus): you asked for 3 CPUs; 2 CPUs would fit."
    );
    let one = [taken("alice", 1, 5 * GIB / 2)];
    assert_eq!(
        world.refusal("alice", &one, 1, GIB),
        "Your sessions can have 3 GiB of memory together (limits.group.students.memory): you have 2.5 GiB of memory \
         and asked for 1 GiB of memory; 512 MiB of memory would fit."
    );
    assert!(world.ask("alice", &one, 1, 512 * MIB).is_ok());
    assert!(
        world.refusal("alice", &one, 2, LEAST.0).ends_with("you have 1 CPU and asked for 2 CPUs; 1 CPU would fit.")
    );
    world.allowed.memory = Some(Bound { most: Bytes(LEAST.0 / 2), key: "limits.user.alice.memory".into() });
    assert!(
        world.refusal("alice", &[], 1, LEAST.0).contains("(limits.user.alice.memory)"),
        "no first session beyond it"
    );
}

#[test]
fn who_may_start_nothing_is_told_so() {
    let mut world = World::new(|_| ());
    world.allowed.sessions = Bound { most: 0, key: "limits.user.alice.sessions".into() };
    let refusal = world.refusal("alice", &[], 1, GIB);
    assert_eq!(refusal, "You cannot start sessions here (limits.user.alice.sessions is 0).");
    let owner = pam("alice");
    assert_eq!(world.situation(&owner, &[]).offer().reason, Some(refusal));
    world.allowed =
        Allowed { machines: Some(Bound { most: [].into(), key: "K".into() }), ..World::new(|_| ()).allowed };
    assert_eq!(world.situation(&owner, &[]).offer().reason.unwrap(), "You may use none of the machines (K).");
}

#[test]
fn why_a_machine_does_not_fit_now_names_what_is_short() {
    let mut world = World::new(|limits| limits.service_max_cpu_fraction_nb_per_user = 1.0);
    let owner = pam("alice");
    let unfit = |world: &World, sessions: &[Taken], cpus, memory| {
        world.situation(&owner, sessions).unfit(&Wanted { cpus, memory: Bytes(memory) })
    };
    assert_eq!(unfit(&world, &[], 2, GIB), None);
    assert_eq!(unfit(&world, &[], 0, 0), None);
    let own = "It needs 3 CPUs. One person's sessions can have 2 CPUs together on this server \
               (limits.service_max_cpu_fraction_nb_per_user)";
    assert_eq!(unfit(&world, &[], 3, 0).unwrap(), format!("{own}."));
    assert_eq!(unfit(&world, &[taken("alice", 1, 0)], 3, 0).unwrap(), format!("{own}: you have 1 CPU."));
    world.allowed.memory = Some(Bound { most: Bytes(64 * GIB), key: "K".into() });
    world.host.memory_available = Bytes(3 * GIB);
    assert_eq!(
        unfit(&world, &[], 3, 8 * GIB).unwrap(),
        "It needs 8 GiB of memory. The server has 3 GiB of memory free."
    );
}

/// What stands in the first brackets, the limit's key; or what is said of the host's memory.
fn key(sentence: &str) -> &str {
    sentence.split(['(', ')']).nth(1).unwrap_or(sentence.split(" free").next().unwrap())
}

/// What an offer says is admitted, and one more is not.
fn offer_holds(situation: &Situation<'_>) -> bool {
    let Offer { sessions, cpus, memory, reason, .. } = situation.offer();
    let admitted = |cpus, memory| {
        let wanted = Wanted { cpus, memory: Bytes(memory) }.possible(situation.memory_min);
        wanted.and_then(|wanted| situation.admit(&wanted))
    };
    if let Some(reason) = reason {
        let refusal = admitted(1, situation.least_memory()).unwrap_err().message;
        assert_eq!(key(&refusal), key(&reason));
        assert_eq!((sessions, cpus, memory), (0, 0, Bytes(0)));
        return false;
    }
    admitted(cpus, memory.0).unwrap();
    admitted(1, situation.least_memory()).unwrap();
    admitted(cpus + 1, situation.least_memory()).unwrap_err();
    admitted(1, memory.0 + MIB).unwrap_err();
    let owner = situation.owner.unwrap();
    let tiny = |n: u32| vec![Taken { owner: owner.clone(), cpus: 0, memory: Bytes(0) }; n as usize];
    let later = |n| [situation.sessions.to_vec(), tiny(n)].concat();
    Situation { sessions: &later(sessions - 1), ..*situation }.places().unwrap();
    Situation { sessions: &later(sessions), ..*situation }.places().unwrap_err();
    true
}

#[test]
fn what_is_offered_is_admitted_and_one_more_is_not() {
    let owner: Owner = "pam:alice".parse().unwrap();
    let mut offers = [0, 0];
    let bound = |most| Some(Bound { most, key: "limits.user.alice.x".to_owned() });
    for (cpus, load, fraction, overcommit) in [
        (1, 0.0, 0.3, 4.0),
        (2, 0.1, 0.5, 0.4),
        (2, 0.9, 0.3, 4.0),
        (16, 0.8, 0.3, 1.0),
        (16, 0.1, 0.0, 1.0),
        (300, 0.1, 1.0, 4.0),
    ] {
        for (total, free) in
            [(64 * MIB, MIB), (GIB, 200 * MIB + 77), (64 * GIB, 40 * GIB + 1), (MEMORY_MAX.0 * 4, MEMORY_MAX.0 * 3)]
        {
            for own_cpus in [None, bound(1), bound(3), bound(400)] {
                for own_memory in [None, bound(200 * MIB + 5), bound(5 * GIB), bound(u64::MAX)] {
                    for taken in [
                        vec![],
                        vec![taken("alice", 1, 100 * MIB)],
                        vec![taken("bob", 2, GIB), taken("alice", 2, 4 * GIB + 3)],
                        vec![taken("bob", 1, GIB), taken("bob", 1, GIB), taken("bob", 1, GIB)],
                    ] {
                        let mut world = World::new(|limits| {
                            limits.service_max_session_nb = 3;
                            limits.service_max_cpu_fraction_nb_per_user = fraction;
                            limits.service_max_mem_fraction_nb_per_user = fraction;
                            limits.cpu_overcommit = overcommit;
                        });
                        world.host = Host { cpus, load, memory_total: Bytes(total), memory_available: Bytes(free) };
                        world.allowed.cpus =
                            own_cpus.as_ref().map(|b| Bound { most: b.most as u32, key: b.key.clone() });
                        let memory = |b: &Bound<u64>| Bound { most: Bytes(b.most), key: b.key.clone() };
                        world.allowed.memory = own_memory.as_ref().map(memory);
                        for least in [LEAST, Bytes(LEAST.0 + 1)] {
                            let situation = Situation { memory_min: least, ..world.situation(&owner, &taken) };
                            offers[usize::from(offer_holds(&situation))] += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(offers.iter().all(|n| *n > 200), "both kinds must come up: {offers:?}");
}
