//! Properties of every sequence of events in a session's life.

use super::testing::{record, store};
use super::{Record, Run, Store};
use crate::model::Event::{self, *};
use crate::model::State::{self, *};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// The diagram of `model/state.rs`, without the two ends that follow every other state.
const DIAGRAM: [(State, Event, State); 12] = [
    (Queued, Place, Starting),
    (Starting, Answer, Running),
    (Running, Pause, Paused),
    (Paused, Pause, Paused),
    (Paused, Resume, Running),
    (Running, Suspend, Suspended),
    (Paused, Suspend, Suspended),
    (Suspended, Restore, Starting),
    (Starting, Stop, Stopping),
    (Running, Stop, Stopping),
    (Paused, Stop, Stopping),
    (Stopping, Stop, Stopping),
];

/// Return where the diagram leads, if anywhere.
fn expected(from: State, event: Event) -> Option<State> {
    match event {
        _ if matches!(from, Ended | Failed) => None,
        End => Some(Ended),
        Fail => Some(Failed),
        _ => DIAGRAM.iter().find(|(state, by, _)| (*state, *by) == (from, event)).map(|(_, _, to)| *to),
    }
}

/// Return the names of the records in a directory below `root`.
fn files(root: &Path, directory: &str) -> Vec<String> {
    let path = root.join(directory.trim_start_matches('/'));
    let names = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".json")).collect()
}

/// Have the event happen to a recorded session, and check what follows.
fn step(root: &Path, store: &Store, record: &mut Record, event: Event) -> Result<(), TestCaseError> {
    let before = record.clone();
    let applied = if event == Place { record.place(Run::default()) } else { record.apply(event) };
    prop_assert_eq!(applied.ok().map(|()| record.state()), expected(before.state(), event));
    if applied.is_err() {
        prop_assert_eq!(&*record, &before);
        return Ok(());
    }
    if record.state() == Running {
        prop_assert!(matches!(before.state(), Starting | Paused) && record.run.is_some());
    }
    prop_assert!(store.update(&record.id, record).unwrap());
    prop_assert_eq!(store.read(&record.id), Some(record.clone()));
    let here = vec![format!("{}.json", record.id)];
    let (suspended, others) = if record.state() == Suspended { (here, vec![]) } else { (vec![], here) };
    prop_assert_eq!(files(root, crate::unit::SUSPENDED_DIR), suspended);
    prop_assert_eq!(files(root, crate::unit::RECORDS_DIR), others);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_leads_where_the_diagram_says_and_the_record_follows(
        // Ends are rare, or few sequences would come far.
        events in vec(prop_oneof![20 => select(&[Place, Answer, Pause, Resume, Suspend, Restore, Stop][..]),
                                  1 => select(&[End, Fail][..])], 0..60)
    ) {
        static CASES: AtomicU32 = AtomicU32::new(0);
        let (root, store) = store(&format!("properties-{}", CASES.fetch_add(1, Ordering::Relaxed)));
        let mut record = Record { run: None, ..record("abcdefghij", "alice") }.with_state(Queued);
        store.create(&record.id, &record).unwrap();
        let (mut has_started, mut has_ended) = (false, false);
        for event in events {
            step(&root, &store, &mut record, event)?;
            has_started |= record.state() == Starting;
            prop_assert!(has_started || !record.state().is_up());
            prop_assert!(!has_ended || record.state().is_final());
            has_ended |= record.state().is_final();
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}
