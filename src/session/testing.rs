//! Records and stores for tests.

use super::{DiskKind, Record, Run, Spec, Store};
use crate::model::{Acceleration, Bytes, Lifetime, Owner, State};
use crate::policy::Span;
use std::fs;
use std::path::PathBuf;

/// Return an empty store, and the root that it lies below.
pub(crate) fn store(name: &str) -> (PathBuf, Store) {
    let root = std::env::temp_dir().join(format!("qwd-records-{}-{name}", std::process::id()));
    for directory in [crate::unit::RECORDS_DIR, crate::unit::ENDED_DIR, crate::unit::SUSPENDED_DIR] {
        fs::create_dir_all(root.join(directory.trim_start_matches('/'))).unwrap();
    }
    let store = Store::new(&root);
    (root, store)
}

/// Return the record of a session that runs.
pub(crate) fn record(id: &str, owner: &str) -> Record {
    let spec = Spec {
        machine: "grub.iso".parse().unwrap(),
        description: String::new(),
        cpus: 1,
        memory: Bytes(1 << 30),
        lifetime: Lifetime(99),
        disk: DiskKind::Scratch,
    };
    let by_pam = Owner::recorded(&format!("pam:{owner}"), owner);
    let span = Span { created_at: 1, expires_at: 100, latest: 0 };
    let mut record = Record::new(id.parse().unwrap(), (by_pam, owner.to_owned()), spec, span);
    record.place(Run { accel: Some(Acceleration::Tcg), network: "none".into(), ..Run::default() }).unwrap();
    record.with_state(State::Running)
}

impl Record {
    /// Return the record in another state, however it came there.
    pub(crate) fn with_state(self, state: State) -> Self {
        Self { state, ..self }
    }
}
