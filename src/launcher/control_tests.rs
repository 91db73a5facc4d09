//! Changes of a session that come at once, and ones that cannot be written down.

use super::changes::take_turn;
use super::testing::{Bench, alice, id};
use super::tickets::Holder;
use super::turns::Kind;
use super::{control, joins, shares};
use crate::host;
use crate::model::{Lifetime, Problem, Role, State};
use crate::session::{Asked, Record};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Of a session that began just now, ends in a minute, and can live for a day.
fn short(record: &mut Record) {
    record.created_at = host::now();
    record.expires_at = host::now() + 60;
    record.extendable_until = host::now() + 86_400;
}

/// The timers that the stand-in for systemd has.
fn timers(bench: &Bench) -> BTreeSet<String> {
    bench.units.lock().unwrap().active.clone()
}

fn of(end: u64) -> BTreeSet<String> {
    BTreeSet::from([crate::unit::expiry_timer(&id(), end)])
}

fn view() -> shares::ShareRequest {
    shares::ShareRequest { role: Role::View, lifetime: Lifetime(0), once: false }
}

#[test]
fn extensions_and_shares_at_once_all_count_and_leave_one_timer() {
    let bench = Bench::new("at-once", short);
    let end = bench.written().expires_at;
    bench.core.arm_timer(&id()).unwrap();
    assert_eq!(timers(&bench), of(end));
    std::thread::scope(|scope| {
        let extend = || control::extend(&bench.core, &alice(), &id(), 60).map(drop);
        let share = || shares::share(&bench.core, &alice(), &id(), &view()).map(drop);
        let extended: Vec<_> = (0..6).map(|_| scope.spawn(extend)).collect();
        let shared: Vec<_> = (0..6).map(|_| scope.spawn(share)).collect();
        for done in extended.into_iter().chain(shared) {
            done.join().unwrap().unwrap();
        }
    });
    let written = bench.written();
    assert_eq!((written.expires_at, written.shares.len()), (end + 360, 6));
    assert_eq!(bench.core.get(&alice(), &id()).unwrap().expires_at, end + 360);
    assert_eq!(timers(&bench), of(end + 360));
}

#[test]
fn a_timer_that_is_armed_is_armed_again_without_harm() {
    let bench = Bench::new("again", short);
    for _ in 0..2 {
        bench.core.arm_timer(&id()).unwrap();
    }
    assert_eq!(timers(&bench).len(), 1);
    bench.units.lock().unwrap().refuses = true;
    bench.units.lock().unwrap().active.clear();
    assert!(bench.core.arm_timer(&id()).is_err());
}

#[test]
fn an_extension_that_is_refused_changes_nothing() {
    let bench = Bench::new("refused", short);
    bench.core.arm_timer(&id()).unwrap();
    let end = bench.written().expires_at;
    let unchanged = |result: Result<crate::bus::Session, Problem>| {
        result.unwrap_err();
        assert_eq!(bench.written().expires_at, end);
        assert_eq!(bench.core.get(&alice(), &id()).unwrap().expires_at, end);
        assert_eq!(timers(&bench), of(end));
    };
    unchanged(bench.without_room(|| control::extend(&bench.core, &alice(), &id(), 60)));
    bench.units.lock().unwrap().refuses = true;
    unchanged(control::extend(&bench.core, &alice(), &id(), 60));
    bench.units.lock().unwrap().refuses = false;
    unchanged(control::extend(&bench.core, &alice(), &id(), 1 << 40));
    bench.core.store.ask(&id(), &Asked::Expiry).unwrap();
    unchanged(control::extend(&bench.core, &alice(), &id(), 60));
}

#[test]
fn a_share_that_cannot_be_written_down_does_not_exist() {
    let bench = Bench::new("share", short);
    assert!(bench.without_room(|| shares::share(&bench.core, &alice(), &id(), &view())).is_err());
    assert!(shares::shares(&bench.core, &alice(), &id()).unwrap().is_empty());
}

#[test]
fn a_stop_that_systemd_does_not_take_is_no_stop_and_one_that_cannot_be_written_down_is() {
    let bench = Bench::new("stop", short);
    let unit = crate::unit::session_unit(&id());
    bench.units.lock().unwrap().active.insert(unit.clone());
    bench.units.lock().unwrap().refuses = true;
    bench.without_room(|| control::stop(&bench.core, &alice(), &id()).unwrap_err());
    assert_eq!(bench.core.get(&alice(), &id()).unwrap().state, State::Running);
    bench.units.lock().unwrap().refuses = false;
    let stopped = bench.without_room(|| control::stop(&bench.core, &alice(), &id()).unwrap());
    assert_eq!(stopped.state, State::Stopping);
    assert!(!bench.units.lock().unwrap().active.contains(&unit));
}

#[test]
fn changes_in_a_loop_are_a_few_lines_of_each_kind() {
    let bench = Bench::new("lines", short);
    let core = &bench.core;
    let has_lines = |by: &str, cause| core.lines.changes.admit(by, cause, "One more.");
    for _ in 0..20 {
        let (made, _) = shares::share(core, &alice(), &id(), &view()).unwrap();
        shares::unshare(core, &alice(), &id(), &made.id).unwrap();
        control::extend(core, &alice(), &id(), 1).unwrap();
    }
    for cause in ["share", "unshare", "extend"] {
        assert!(!has_lines("pam:alice", cause) && has_lines("pam:bob", cause), "{cause}");
    }
}

#[test]
fn a_guest_who_comes_again_waits_for_no_turn() {
    let bench = Bench::new("again-by-link", short);
    let (_, link) = shares::share(&bench.core, &alice(), &id(), &view()).unwrap();
    let join = || joins::join(&bench.core, &Holder::default(), &link, "192.0.2.7".parse().ok()).unwrap().ticket;
    let first = join();
    let changes = Arc::clone(&bench.core.table()[&id()].changes);
    let hanging = take_turn(&changes, Kind::Person).unwrap();
    // More than may wait, and nobody to free the turn meanwhile.
    let tickets: BTreeSet<String> = (0..40).map(|_| join()).chain([first]).collect();
    assert_eq!(tickets.len(), 41);
    drop(hanging);
    let made = shares::shares(&bench.core, &alice(), &id()).unwrap();
    shares::unshare(&bench.core, &alice(), &id(), &made[0].id).unwrap();
    let mut kept = bench.core.tickets.lock().unwrap();
    assert!(tickets.iter().all(|ticket| kept.redeem(&ticket.parse().unwrap()).is_err()));
}
