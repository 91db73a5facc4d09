//! Records and stores for tests.

use super::{Record, Store};
use crate::bus::Session;
use std::fs;
use std::path::PathBuf;

pub(crate) fn store(name: &str) -> (PathBuf, Store) {
    let root = std::env::temp_dir().join(format!("qwd-records-{}-{name}", std::process::id()));
    for folder in [crate::unit::RECORDS_DIR, crate::unit::ENDED_DIR] {
        fs::create_dir_all(root.join(folder.trim_start_matches('/'))).unwrap();
    }
    let store = Store::new(&root);
    (root, store)
}

pub(crate) fn record(id: &str, owner: &str) -> Record {
    let session = Session {
        id: id.into(),
        owner: owner.into(),
        owner_id: format!("pam:{owner}"),
        machine: "grub.iso".into(),
        description: String::new(),
        state: "running".into(),
        message: String::new(),
        paused: String::new(),
        cpus: 1,
        memory_bytes: 1 << 30,
        created_at: 1,
        expires_at: 100,
        extendable_until: 0,
        accel: "tcg".into(),
        network: "none".into(),
        notes: vec![],
    };
    Record { session, timer: 0, shares: vec![], disk_folder: None, keeps: None, disk_max: 0 }
}
