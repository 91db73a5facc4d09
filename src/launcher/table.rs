//! The sessions in memory: what the records say, and what is known only while the launcher runs.

use super::caller::Person;
use crate::bus::Session;
use crate::model::{Bytes, Lifetime, Problem, SessionId, State, Word};
use crate::policy::{self, Bound, Span, Taken};
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

    /// What this person may know: how far they can extend it depends on who they are.
    pub(super) fn session_for(&self, person: &Person) -> Session {
        let session = self.session();
        Session { extendable_until: policy::latest(span(&session), bound(person, &session)), ..session }
    }

    /// What it takes of the host.
    fn taken(&self) -> Option<Taken> {
        let session = &self.record.session;
        let owner = session.owner.parse().ok()?;
        Some(Taken { owner, cpus: session.cpus, memory: Bytes(session.memory_bytes) })
    }
}

/// When it began and ends.
pub(super) fn span(session: &Session) -> Span {
    Span { created_at: session.created_at, expires_at: session.expires_at, latest: session.extendable_until }
}

/// This person's limit of a session's lifetime, if the session is theirs. Of somebody else the groups are
/// not known here; what was decided at the start holds for all.
pub(super) fn bound<'p>(person: &'p Person, session: &Session) -> Option<&'p Bound<Lifetime>> {
    (session.owner == person.name.as_str()).then_some(&person.allowed.lifetime)
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
