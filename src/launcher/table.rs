//! The sessions in memory: what the records say, and what is known only while the launcher runs.

use super::caller::Person;
use super::changes::{Changes, new_order};
use super::turns::Turns;
use crate::bus::Session;
use crate::model::{Bytes, Lifetime, Pause, Problem, SessionId, State, Word};
use crate::policy::{self, Bound, Span, Taken};
use crate::session::Record;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// One session.
#[derive(Clone)]
pub(super) struct Entry {
    /// As written down, but for the state.
    pub record: Record,
    /// Its state at this moment.
    pub state: State,
    /// Its unit is being started by a call in progress: not to be taken for an orphan.
    pub launching: bool,
    /// Why its guest is paused, if it is.
    pub paused: Option<Pause>,
    /// One change of its record at a time.
    pub changes: Changes,
    /// One talker to its monitor at a time.
    pub monitor: Arc<Turns>,
    /// The number of the session's user, once it is known.
    pub user: Arc<OnceLock<u32>>,
}

/// All sessions, by id.
pub(super) type Table = BTreeMap<SessionId, Entry>;

impl Entry {
    pub(super) fn new(record: Record, state: State) -> Self {
        Self {
            record,
            state,
            launching: false,
            paused: None,
            changes: new_order(),
            monitor: Arc::default(),
            user: Arc::default(),
        }
    }

    /// What the owner may know.
    pub(super) fn session(&self) -> Session {
        let paused = self.paused.filter(|_| self.state == State::Running).map_or("", Pause::as_str);
        Session { state: self.state.to_string(), paused: paused.to_owned(), ..self.record.session.clone() }
    }

    /// What this person may know: how far they can extend it depends on who they are.
    pub(super) fn session_for(&self, person: &Person) -> Session {
        let session = self.session();
        Session { extendable_until: policy::latest(span(&session), bound(person, &session)), ..session }
    }

    /// What it takes of the host.
    fn taken(&self) -> Taken {
        let session = &self.record.session;
        Taken { owner: session.owner(), cpus: session.cpus, memory: Bytes(session.memory_bytes) }
    }
}

/// Return the sessions with a record that this person may list.
pub(super) fn recorded_for(table: &Table, person: &Person, all: bool) -> Vec<Session> {
    let listed = table.values().filter(|entry| (all && person.admin) || is_of(&entry.record.session, person));
    listed.map(|entry| entry.session_for(person)).collect()
}

/// Return a text that is another one whenever [`recorded_for`] is.
pub(super) fn list_version(table: &Table, person: &Person, all: bool) -> String {
    let mut hasher = DefaultHasher::new();
    for session in recorded_for(table, person, all) {
        serde_json::to_string(&session).unwrap_or_default().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// When it began and ends.
pub(super) fn span(session: &Session) -> Span {
    Span { created_at: session.created_at, expires_at: session.expires_at, latest: session.extendable_until }
}

/// This person's limit of a session's lifetime, if the session is theirs. Of somebody else the groups are
/// not known here; what was decided at the start holds for all.
pub(super) fn bound<'p>(person: &'p Person, session: &Session) -> Option<&'p Bound<Lifetime>> {
    is_of(session, person).then_some(&person.allowed.lifetime)
}

/// What all sessions take of the host.
pub(super) fn taken(table: &Table) -> Vec<Taken> {
    table.values().map(Entry::taken).collect()
}

/// Return whether a session is this person's: the same name, proven in the same way.
pub(super) fn is_of(session: &Session, person: &Person) -> bool {
    session.owner() == person.owner
}

/// Return whether this person may know of a session.
pub(super) fn may_see(person: &Person, session: &Session) -> bool {
    person.admin || is_of(session, person)
}

/// The entry, if there is one that this person may know of.
pub(super) fn find<'t>(table: &'t mut Table, person: &Person, id: &SessionId) -> Result<&'t mut Entry, Problem> {
    table.get_mut(id).filter(|e| may_see(person, &e.record.session)).ok_or_else(no_such)
}

/// The same answer whether a session does not exist or is somebody else's.
pub(super) fn no_such() -> Problem {
    Problem::new(Word::NoSuchSession, "There is no such session.")
}
