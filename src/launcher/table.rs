//! The sessions in memory: what the records say, and what is known only while the launcher runs.

use super::caller::Person;
use super::changes::{Changes, new_order};
use super::turns::Turns;
use super::view::{self, Live};
use crate::bus::Session;
use crate::model::{Event, ImpossibleEvent, Lifetime, Pause, Problem, SessionId, State, Word};
use crate::policy::{self, Bound, Taken};
use crate::session::Record;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// One session.
#[derive(Clone)]
pub(super) struct Entry {
    /// As written down, but for the state.
    pub record: Record,
    /// Its state at this moment, which [`Entry::apply`] alone changes.
    state: State,
    /// Its unit is being started by a call in progress: not to be taken for an orphan.
    pub launching: bool,
    /// Its guest's agent has answered.
    pub booted: bool,
    /// Why its guest is paused, if it is: also while the session starts or stops.
    paused: Option<Pause>,
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
    /// Return the entry of a session that is recorded.
    pub(super) fn new(record: Record) -> Self {
        // Whether its guest is paused, and why, is asked again.
        let state = record.state().after(Event::Resume).unwrap_or(record.state());
        Self {
            record,
            state,
            launching: false,
            booted: false,
            paused: None,
            changes: new_order(),
            monitor: Arc::default(),
            user: Arc::default(),
        }
    }

    /// Return its state at this moment.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Have the event happen, and return the state before.
    pub(super) fn apply(&mut self, event: Event) -> Result<State, ImpossibleEvent> {
        let next = self.state.after(event)?;
        Ok(std::mem::replace(&mut self.state, next))
    }

    /// Note that its screen has answered. An end that came first is reported by others.
    pub(super) fn mark_answering(&mut self) {
        let _ = self.apply(Event::Answer);
        self.mark_paused(self.paused);
    }

    /// Return why its guest is paused, if it is.
    pub(super) fn paused(&self) -> Option<Pause> {
        self.paused
    }

    /// Note that its guest is paused, and why, or that it continues. While the session starts or stops, its state
    /// remains.
    pub(super) fn mark_paused(&mut self, paused: Option<Pause>) {
        self.paused = paused;
        let _ = self.apply(if paused.is_some() { Event::Pause } else { Event::Resume });
    }

    /// Return the session for its owner.
    pub(super) fn session(&self) -> Session {
        view::session(&self.record, self.live())
    }

    /// Return the session for this person, with the end that they can reach by extending.
    pub(super) fn session_for(&self, person: &Person) -> Session {
        let extendable_until = policy::latest(self.record.span(), bound(person, &self.record));
        view::session(&self.record, Live { extendable_until, ..self.live() })
    }

    fn live(&self) -> Live {
        let paused = self.paused.filter(|_| self.state == State::Paused);
        Live { state: self.state, paused, booted: self.booted, ..Live::recorded(&self.record) }
    }

    /// Return its allocation.
    fn taken(&self) -> Taken {
        let spec = &self.record.spec;
        Taken { owner: self.record.owner.clone(), cpus: spec.cpus, memory: spec.memory }
    }
}

/// Return the sessions with a record that this person may list.
pub(super) fn recorded_for(table: &Table, person: &Person, all: bool) -> Vec<Session> {
    let listed = table.values().filter(|entry| (all && person.admin) || is_of(&entry.record, person));
    listed.map(|entry| entry.session_for(person)).collect()
}

/// Return a text that is another one whenever [`recorded_for`] is.
pub(super) fn list_version(table: &Table, person: &Person, all: bool) -> String {
    let mut hasher = DefaultHasher::new();
    recorded_for(table, person, all).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Return this person's lifetime limit if the session is theirs. The groups of other owners are unknown here.
pub(super) fn bound<'p>(person: &'p Person, record: &Record) -> Option<&'p Bound<Lifetime>> {
    is_of(record, person).then_some(&person.allowed.lifetime)
}

/// Return all allocations.
pub(super) fn taken(table: &Table) -> Vec<Taken> {
    table.values().map(Entry::taken).collect()
}

/// Return whether a session is this person's: the same name, proven in the same way.
pub(super) fn is_of(record: &Record, person: &Person) -> bool {
    record.owner == person.owner
}

/// Return whether this person may know of a session.
pub(super) fn may_see(person: &Person, record: &Record) -> bool {
    person.admin || is_of(record, person)
}

/// Return the entry, if this person may know of it.
pub(super) fn find<'t>(table: &'t mut Table, person: &Person, id: &SessionId) -> Result<&'t mut Entry, Problem> {
    table.get_mut(id).filter(|e| may_see(person, &e.record)).ok_or_else(no_such)
}

/// Return the error for a session that does not exist or belongs to another person: one text for both.
pub(super) fn no_such() -> Problem {
    Problem::new(Word::NoSuchSession, "There is no such session.")
}
