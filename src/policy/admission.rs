//! May this session start? The predecessor's limits under their names, made to hold on small hosts.
//!
//! A share limit counts the request as well, but an owner's first session of one CPU and the least
//! memory always fits a share. Load is the present one. Every refusal names its limit and what
//! would fit.

use crate::config::raw::Limits;
use crate::model::{Bytes, Problem, UserName, Word};

/// What is asked for, with every default filled in.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// For whom.
    pub owner: UserName,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
}

/// What one session has already.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Whose it is.
    pub owner: UserName,
    /// Its virtual CPUs.
    pub cpus: u32,
    /// Its guest memory.
    pub memory: Bytes,
}

/// The host at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Its CPUs.
    pub cpus: u32,
    /// Present load: 1.0 is all CPUs busy.
    pub load: f64,
    /// All its memory.
    pub memory_total: Bytes,
    /// Memory to be had at once.
    pub memory_available: Bytes,
}

/// `Ok`, or the limit that says no. `memory_min` is the least memory a session can have; the
/// request has been checked against it.
pub fn admit(
    limits: &Limits,
    host: &Host,
    memory_min: Bytes,
    sessions: &[Taken],
    wanted: &Wanted,
) -> Result<(), Problem> {
    let own: Vec<&Taken> = sessions.iter().filter(|t| t.owner == wanted.owner).collect();
    places(limits, sessions.len(), own.len())?;
    let first_and_least = own.is_empty() && wanted.cpus == 1 && wanted.memory <= memory_min;
    if !first_and_least {
        cpu_share(limits, host, &own, wanted)?;
        memory_share(limits, host, &own, wanted)?;
    }
    whole_host(limits, host, sessions, wanted)
}

fn refused(message: String) -> Problem {
    Problem::new(Word::LimitReached, message)
}

fn places(limits: &Limits, all: usize, own: usize) -> Result<(), Problem> {
    let most = limits.service_max_session_nb_per_user;
    if own >= most as usize {
        return Err(refused(format!(
            "You have {} already, and {most} is the most one person can have at a time (service_max_session_nb_per_user). Stop one to start another.",
            count(own)
        )));
    }
    if all >= limits.service_max_session_nb as usize {
        return Err(refused(format!(
            "All {} places of this service are taken (service_max_session_nb). Try again when a session has ended.",
            limits.service_max_session_nb
        )));
    }
    Ok(())
}

fn count(n: usize) -> String {
    if n == 1 { "1 session".to_owned() } else { format!("{n} sessions") }
}

fn cpu_share(limits: &Limits, host: &Host, own: &[&Taken], wanted: &Wanted) -> Result<(), Problem> {
    let share = f64::from(host.cpus) * limits.service_max_cpu_fraction_nb_per_user;
    // One CPU is the least there is: a share of less still means one.
    let most = (share.floor() as u64).max(1);
    let has: u64 = own.iter().map(|t| u64::from(t.cpus)).sum();
    if has + u64::from(wanted.cpus) <= most {
        return Ok(());
    }
    Err(refused(format!(
        "One person's sessions can have {most} of this server's {} CPUs together (service_max_cpu_fraction_nb_per_user): you have {has} and asked for {} more.{}",
        host.cpus,
        wanted.cpus,
        fitting(most.saturating_sub(has).to_string(), most > has, "CPU")
    )))
}

fn memory_share(limits: &Limits, host: &Host, own: &[&Taken], wanted: &Wanted) -> Result<(), Problem> {
    let most = (host.memory_total.0 as f64 * limits.service_max_mem_fraction_nb_per_user) as u64;
    let has: u64 = own.iter().map(|t| t.memory.0).sum();
    if has.saturating_add(wanted.memory.0) <= most {
        return Ok(());
    }
    let left = most.saturating_sub(has);
    Err(refused(format!(
        "One person's sessions can have {} of memory together (service_max_mem_fraction_nb_per_user): you have {} and asked for {} more.{}",
        human(most),
        human(has),
        human(wanted.memory.0),
        fitting(human(left), left >= 1 << 20, "memory")
    )))
}

fn whole_host(limits: &Limits, host: &Host, sessions: &[Taken], wanted: &Wanted) -> Result<(), Problem> {
    let given: u64 = sessions.iter().map(|t| u64::from(t.cpus)).sum();
    let most = (f64::from(host.cpus) * limits.cpu_overcommit).floor() as u64;
    if given + u64::from(wanted.cpus) > most {
        return Err(refused(format!(
            "{given} of the {most} virtual CPUs of this service are given out (cpu_overcommit), and you asked for {}.{}",
            wanted.cpus,
            fitting(most.saturating_sub(given).to_string(), most > given, "CPU")
        )));
    }
    if host.load > limits.service_max_load {
        return Err(refused(format!(
            "The server is too busy just now: its load is {:.0} %, and nothing new starts above {:.0} % (service_max_load). Try again in a minute.",
            host.load * 100.0,
            limits.service_max_load * 100.0
        )));
    }
    if wanted.memory > host.memory_available {
        return Err(refused(format!(
            "The server has {} of memory free, and you asked for {}. Ask for less, or try again later.",
            human(host.memory_available.0),
            human(wanted.memory.0)
        )));
    }
    Ok(())
}

fn fitting(amount: String, any: bool, what: &str) -> String {
    if any { format!(" {amount} {what} would fit.") } else { String::new() }
}

/// Bytes rounded down for a sentence, as `1.5 GiB` or `512 MiB`.
fn human(bytes: u64) -> String {
    if bytes >= 1 << 30 {
        format!("{:.1} GiB", (bytes * 10 / (1 << 30)) as f64 / 10.0)
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const LEAST: Bytes = Bytes(128 << 20);

    fn host() -> Host {
        Host { cpus: 2, load: 0.1, memory_total: Bytes(8 * GIB), memory_available: Bytes(6 * GIB) }
    }

    fn wanted(owner: &str, cpus: u32, memory: u64) -> Wanted {
        Wanted { owner: owner.parse().unwrap(), cpus, memory: Bytes(memory) }
    }

    fn taken(owner: &str, cpus: u32, memory: u64) -> Taken {
        Taken { owner: owner.parse().unwrap(), cpus, memory: Bytes(memory) }
    }

    fn refusal(limits: &Limits, host: &Host, sessions: &[Taken], wanted: &Wanted) -> String {
        let problem = admit(limits, host, LEAST, sessions, wanted).unwrap_err();
        assert_eq!(problem.word, Word::LimitReached);
        problem.message
    }

    #[test]
    fn the_defaults_on_two_cores_admit_a_first_session_and_refuse_the_second() {
        let limits = Limits::default();
        assert!(admit(&limits, &host(), LEAST, &[], &wanted("alice", 1, GIB)).is_ok());
        let one = [taken("alice", 1, GIB)];
        assert!(refusal(&limits, &host(), &one, &wanted("alice", 1, GIB)).contains("service_max_cpu_fraction"));
        assert!(admit(&limits, &host(), LEAST, &one, &wanted("bob", 1, GIB)).is_ok());
    }

    #[test]
    fn a_first_least_session_fits_every_share() {
        let limits = Limits {
            service_max_cpu_fraction_nb_per_user: 0.0,
            service_max_mem_fraction_nb_per_user: 0.0,
            ..Limits::default()
        };
        assert!(admit(&limits, &host(), LEAST, &[], &wanted("alice", 1, LEAST.0)).is_ok());
        refusal(&limits, &host(), &[], &wanted("alice", 1, LEAST.0 + (1 << 20)));
        refusal(&limits, &host(), &[], &wanted("alice", 2, LEAST.0));
    }

    #[test]
    fn the_last_place_is_the_last() {
        let limits = Limits { service_max_session_nb: 2, ..Limits::default() };
        let two = [taken("a", 1, GIB), taken("b", 1, GIB)];
        assert!(admit(&limits, &host(), LEAST, &two[..1], &wanted("c", 1, GIB)).is_ok());
        assert!(refusal(&limits, &host(), &two, &wanted("c", 1, GIB)).contains("All 2 places"));
    }

    #[test]
    fn owners_are_compared_whole() {
        let limits = Limits { service_max_session_nb_per_user: 1, ..Limits::default() };
        assert!(admit(&limits, &host(), LEAST, &[taken("al", 1, GIB)], &wanted("alice", 1, GIB)).is_ok());
    }

    #[test]
    fn cpus_given_out_stop_at_the_overcommit() {
        let limits = Limits { cpu_overcommit: 1.0, service_max_cpu_fraction_nb_per_user: 1.0, ..Limits::default() };
        let one = [taken("bob", 1, GIB)];
        assert!(admit(&limits, &host(), LEAST, &one, &wanted("alice", 1, GIB)).is_ok());
        assert!(refusal(&limits, &host(), &one, &wanted("alice", 2, GIB)).contains("1 CPU would fit"));
    }

    #[test]
    fn a_busy_host_and_a_full_one_say_so() {
        let limits = Limits { service_max_mem_fraction_nb_per_user: 1.0, ..Limits::default() };
        let busy = Host { load: 0.9, ..host() };
        assert!(refusal(&limits, &busy, &[], &wanted("alice", 1, GIB)).contains("90 %"));
        assert!(refusal(&limits, &host(), &[], &wanted("alice", 1, 7 * GIB)).contains("6.0 GiB of memory free"));
    }

    #[test]
    fn enormous_requests_do_not_overflow() {
        refusal(&Limits::default(), &host(), &[taken("alice", 1, GIB)], &wanted("alice", u32::MAX, u64::MAX));
    }
}
