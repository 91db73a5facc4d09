//! What the sweep and a launcher that begins anew do for sessions that do not belong together with their records.

use super::caller::Person;
use super::create::give_up;
use super::reap::reap_sessions;
use super::testing::{Bench, ID, alice, id};
use super::{control, follow};
use crate::host;
use crate::model::State;
use crate::session::{Asked, Record};
use crate::systemd::Job;
use crate::unit::{expiry_timer, session_unit};
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

const STRAY: &str = "bbbbbbbbbb";

/// Of a session that ends in a minute.
fn short(record: &mut Record) {
    record.expires_at = host::now() + 60;
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// A bench on which the session runs.
fn running(name: &str, edit: impl FnOnce(&mut Record)) -> Bench {
    let bench = Bench::new(name, edit);
    bench.run_units([session_unit(&id()).as_str()]);
    bench
}

fn timer_of(bench: &Bench) -> String {
    expiry_timer(&id(), bench.written().expires_at)
}

fn reap(bench: &Bench) -> usize {
    reap_sessions(&bench.core).unwrap().len()
}

#[test]
fn a_session_and_its_timer_start_together() {
    let bench = Bench::new("together", short);
    let end = host::now() + 60;
    let properties = Vec::new();
    let start = |end| bench.core.systemd.start_session(&id(), &properties, Vec::new(), (end, host::now()));
    assert_eq!(start(end).unwrap(), Job::Done);
    assert_eq!(bench.running(), names([&session_unit(&id()), &expiry_timer(&id(), end)]));
    bench.units.lock().unwrap().active.clear();
    assert_eq!(start(0).unwrap(), Job::Done);
    assert_eq!(bench.running(), names([&session_unit(&id())]));
}

#[test]
fn a_job_whose_end_is_not_reported_is_asked_for() {
    let bench = Bench::new("silent", short);
    bench.units.lock().unwrap().silent = true;
    let job = bench.core.systemd.start_transient(&session_unit(&id()), &Vec::new(), Vec::new());
    assert_eq!(job.unwrap(), Job::Done);
}

#[test]
fn a_failed_start_is_forgotten_only_once_nothing_of_it_runs() {
    let bench = running("failed-start", short);
    let record = bench.written();
    bench.units.lock().unwrap().refuses = true;
    give_up(&bench.core, &record);
    assert_eq!(bench.core.get(&alice(), &id()).unwrap().state, State::Stopping);
    assert_eq!((bench.written(), bench.core.store.asked(&id())), (record.clone(), Asked::FailedStart));
    // Once systemd is back, the sweep ends it; the units at its end clear up.
    bench.units.lock().unwrap().refuses = false;
    assert_eq!((reap(&bench), bench.running()), (1, names([])));
    bench.run_units([session_unit(&id()).as_str()]);
    give_up(&bench.core, &record);
    assert_eq!((bench.running(), bench.core.store.exists(&id())), (names([]), false));
    assert!(bench.core.get(&alice(), &id()).is_err());
}

#[test]
fn a_session_without_a_record_is_ended_and_so_is_a_timer_without_a_session() {
    let bench = running("strays", short);
    let timer = timer_of(&bench);
    bench.run_units([timer.as_str(), &format!("qwd-session-{STRAY}.service"), "qwd-expire@cccccccccc.5.timer"]);
    bench.run_units(["qwd-session-NOT.service"]);
    assert_eq!(reap(&bench), 1);
    assert_eq!(bench.running(), names([&session_unit(&id()), &timer, "qwd-session-NOT.service"]));
    // One that is ending already is left to systemd.
    let stray = format!("qwd-session-{STRAY}.service");
    bench.run_units([stray.as_str()]);
    bench.let_stop_since(&stray, 0);
    assert_eq!(reap(&bench), 0);
}

#[test]
fn a_session_that_puts_its_end_off_is_killed() {
    let bench = running("put-off", short);
    bench.core.store.ask(&id(), &Asked::Expiry).unwrap();
    bench.let_stop_since(&session_unit(&id()), 49);
    assert_eq!((reap(&bench), bench.running().len()), (0, 1));
    bench.let_stop_since(&session_unit(&id()), 51);
    assert_eq!((reap(&bench), bench.running().len()), (1, 0));
    // The same goes for one without a record.
    let stray = format!("qwd-session-{STRAY}.service");
    bench.run_units([stray.as_str()]);
    bench.let_stop_since(&stray, 51);
    assert!(reap(&bench) >= 1 && !bench.running().contains(&stray));
}

#[test]
fn records_that_cannot_be_read_end_no_session() {
    let bench = running("unread", |record| record.expires_at = 0);
    let anew = bench.begin_anew();
    let path = bench.core.store.folder().join(format!("{ID}.json"));
    fs::rename(&path, path.with_extension("aside")).unwrap();
    // As when descriptors have run out: there is something, and it cannot be read.
    fs::create_dir(&path).unwrap();
    assert_eq!(reap_sessions(&anew).unwrap(), Vec::<String>::new());
    bench.without_room(|| reap_sessions(&anew).unwrap_err());
    assert_eq!(bench.running(), names([&session_unit(&id())]));
}

#[test]
fn a_stop_that_was_not_passed_on_is_passed_on_by_the_sweep() {
    let bench = running("not-passed-on", short);
    bench.units.lock().unwrap().refuses = true;
    control::stop(&bench.core, &alice(), &id()).unwrap_err();
    assert_eq!(reap(&bench), 1, "systemd does not take it yet");
    bench.units.lock().unwrap().refuses = false;
    // systemd is at it: it has a limit of its own.
    bench.let_stop_since(&session_unit(&id()), 0);
    assert_eq!((reap(&bench), bench.running().len()), (0, 1));
    bench.units.lock().unwrap().stopping.clear();
    assert_eq!((reap(&bench), bench.running().len()), (1, 0));
}

#[test]
fn a_session_has_one_timer_again_whatever_was_missing_or_left() {
    let bench = running("timers", short);
    let both = names([&session_unit(&id()), &timer_of(&bench)]);
    assert_eq!((reap(&bench), bench.running()), (1, both.clone()));
    assert_eq!((reap(&bench), bench.running()), (0, both.clone()));
    bench.run_units([expiry_timer(&id(), 7).as_str(), &expiry_timer(&id(), host::now() + 3000)]);
    assert_eq!((reap(&bench), bench.running()), (1, both));
}

#[test]
fn an_overdue_session_is_stopped_although_nothing_can_be_written() {
    let bench = running("overdue", |record| record.expires_at = host::now() - 60);
    let marks = bench.core.store.folder().join(format!("{ID}.asked"));
    fs::create_dir(&marks).unwrap();
    assert_eq!((reap(&bench), bench.running()), (1, names([])));
}

#[test]
fn a_session_with_a_damaged_record_keeps_its_last_timer_and_ends_without_one() {
    let bench = running("noise", short);
    let (timer, end) = (timer_of(&bench), bench.written().expires_at);
    fs::write(bench.core.store.folder().join(format!("{ID}.json")), "noise").unwrap();
    let anew = bench.begin_anew();
    bench.run_units([timer.as_str()]);
    assert_eq!(reap_sessions(&anew).unwrap().len(), 0);
    assert_eq!(bench.running().len(), 2);
    let root = Person { admin: true, ..alice() };
    let [listed] = &anew.list(&root, true)[..] else { panic!("one session") };
    let told = (listed.id.as_str(), listed.machine.as_str(), listed.state, listed.expires_at);
    assert_eq!(told, (ID, "grub.iso", State::Running, end));
    assert_eq!(anew.unrecorded().unwrap().len(), 1);
    assert!(anew.list(&alice(), true).is_empty() && control::stop(&anew, &alice(), &id()).is_err());
    assert_eq!(bench.core.unrecorded().unwrap().len(), 0);
    control::stop(&anew, &root, &id()).unwrap();
    assert_eq!(bench.running(), names([&timer]));
    fs::remove_file(anew.store.folder().join(format!("{ID}.asked"))).unwrap();
    bench.run_units([session_unit(&id()).as_str()]);
    bench.units.lock().unwrap().active.remove(&timer);
    assert_eq!(reap_sessions(&anew).unwrap().len(), 1);
    assert_eq!(bench.running(), names([]));
    // A launcher that knew the session before goes by what it knows.
    bench.run_units([session_unit(&id()).as_str()]);
    assert_eq!(reap(&bench), 1);
    assert_eq!(bench.running(), names([&session_unit(&id()), &timer]));
}

#[test]
fn a_launcher_that_begins_anew_sees_to_what_was_starting_and_wakes_who_waits() {
    let bench = Bench::new("anew", |record| {
        short(record);
        *record = record.clone().with_state(State::Starting);
    });
    let anew = bench.begin_anew();
    let waiting = Arc::clone(&anew);
    let woken = std::thread::spawn(move || waiting.wait_for(Duration::from_secs(60), |t| t.is_empty().then_some(())));
    super::watch::start(Arc::clone(&anew)).unwrap();
    // Nothing runs: the launcher before had not come to it.
    follow::take_over(&anew);
    assert!(woken.join().unwrap().is_some());
    assert_eq!(anew.get(&alice(), &id()).unwrap().state, State::Failed);
}

#[test]
fn a_session_that_needs_no_unit_is_left_alone_and_any_other_without_one_is_finished() {
    for state in [State::Queued, State::Suspended] {
        let bench = Bench::new("no-unit", |record| *record = record.clone().with_state(state));
        let anew = bench.begin_anew();
        assert_eq!((reap(&bench), reap_sessions(&anew).unwrap().len()), (0, 0), "{state}");
        assert_eq!((bench.written().state(), anew.table()[&id()].state()), (state, state));
    }
    for state in [State::Starting, State::Running, State::Paused, State::Stopping] {
        let bench = Bench::new("lost-unit", |record| *record = record.clone().with_state(state));
        assert_eq!((reap(&bench), bench.core.store.exists(&id())), (1, false), "{state}");
    }
}

#[test]
fn a_session_of_a_newer_version_is_kept_and_reported_and_its_unit_left_running() {
    let bench = running("newer", short);
    let file = bench.core.store.find_file(&id()).unwrap();
    let newer = r#"{"version": 2, "record": "of another kind"}"#;
    fs::write(&file, newer).unwrap();
    let anew = bench.begin_anew();
    for _ in 0..2 {
        // Neither by a launcher that knew it before, nor by one that never did.
        assert_eq!((reap(&bench), reap_sessions(&anew).unwrap().len()), (0, 0));
        assert_eq!(bench.running(), names([&session_unit(&id())]));
        assert_eq!(fs::read_to_string(&file).unwrap(), newer);
    }
    let [message] = &anew.newer.messages()[..] else { panic!("one message") };
    assert!(message.contains(ID) && message.contains(file.to_str().unwrap()), "{message}");
    let root = Person { admin: true, ..alice() };
    let [listed] = &anew.list(&root, true)[..] else { panic!("one session") };
    assert!(listed.message.contains("newer version"), "{}", listed.message);
    assert!(anew.list(&alice(), false).is_empty());
    control::stop(&anew, &root, &id()).unwrap();
    assert_eq!((reap(&bench), reap_sessions(&anew).unwrap().len(), bench.running()), (0, 0, names([])));
    assert_eq!(fs::read_to_string(&file).unwrap(), newer);
}

#[test]
fn a_record_that_was_cut_in_half_is_one_that_is_damaged() {
    let bench = running("half", |record| record.expires_at = 0);
    let file = bench.core.store.find_file(&id()).unwrap();
    let text = fs::read(&file).unwrap();
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    let anew = bench.begin_anew();
    assert_eq!((reap_sessions(&anew).unwrap().len(), bench.running()), (1, names([])));
    assert_eq!((reap_sessions(&anew).unwrap().len(), file.exists()), (1, false));
    assert!(anew.newer.messages().is_empty());
}
