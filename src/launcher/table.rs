//! The sessions in memory: what the records say, and what is known only while the launcher runs.

use super::caller::Person;
use crate::bus::Session;
use crate::model::{Bytes, Problem, SessionId, State, Word};
use crate::policy::Taken;
use crate::records::Record;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// One session.
#[derive(Clone)]
pub(super) struct Entry {
    /// As written down, but for the state.
    pub record: Record,
    /// Its state at this moment.
    pub state: State,
    /// Its unit is being started by a call in progress: not to be taken for an orphan.
    pub launching: bool,
    /// One talker to its monitor at a time.
    pub monitor: Arc<Mutex<()>>,
}

/// All sessions, by id.
pub(super) type Table = BTreeMap<SessionId, Entry>;

impl Entry {
    pub(super) fn new(record: Record, state: State) -> Self {
        Self { record, state, launching: false, monitor: Arc::default() }
    }

    /// What the owner may know.
    pub(super) fn session(&self) -> Session {
        Session { state: self.state.to_string(), ..self.record.session.clone() }
    }

    /// What it takes of the host.
    fn taken(&self) -> Option<Taken> {
        let session = &self.record.session;
        let owner = session.owner.parse().ok()?;
        Some(Taken { owner, cpus: session.cpus, memory: Bytes(session.memory_bytes) })
    }
}

/// What all sessions take of the host.
pub(super) fn taken(table: &Table) -> Vec<Taken> {
    table.values().filter_map(Entry::taken).collect()
}

/// Whether this person may know of a session of that owner.
pub(super) fn may_see(person: &Person, owner: &str) -> bool {
    person.admin || person.name.as_str() == owner
}

/// The entry, if there is one that this person may know of.
pub(super) fn find<'t>(table: &'t mut Table, person: &Person, id: &SessionId) -> Result<&'t mut Entry, Problem> {
    table.get_mut(id).filter(|e| may_see(person, &e.record.session.owner)).ok_or_else(no_such)
}

/// The same answer whether a session does not exist or is somebody else's.
pub(super) fn no_such() -> Problem {
    Problem::new(Word::NoSuchSession, "There is no such session.")
}
