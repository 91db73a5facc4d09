//! What all parts of the launcher share.

use super::caller::{Caller, Callers, Person};
use super::ended::Ended;
use super::idle::Idle;
use super::screens::Tickets;
use super::table::{Entry, Table, find, may_see, no_such};
use super::viewers::Viewers;
use crate::bus::{Asker, Session};
use crate::cgroup::Groups;
use crate::config::{Catalogue, Loaded, Watched};
use crate::images::{Facts, Identity};
use crate::model::{Problem, SessionId, State};
use crate::records::{Record, Store, is_running};
use crate::systemd::Systemd;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zbus::blocking::Connection;

/// The launcher's state and its connections to the outside.
pub(super) struct Core {
    pub root: PathBuf,
    pub connection: Connection,
    pub systemd: Systemd,
    pub groups: Groups,
    pub config: Watched,
    pub store: Store,
    pub idle: Idle,
    pub callers: Callers,
    pub tickets: Mutex<Tickets>,
    pub viewers: Viewers,
    pub facts: Mutex<HashMap<Identity, Facts>>,
    ended: Ended,
    table: Mutex<Table>,
    changed: Condvar,
}

impl Core {
    /// Reads what exists; sessions that run are taken on as they are.
    pub(super) fn new(root: &Path, connection: &Connection) -> Result<Self, Problem> {
        let systemd = Systemd::new(connection)?;
        let groups = Groups::new(root, &systemd.control_group()?);
        let core = Self {
            root: root.to_owned(),
            connection: connection.clone(),
            systemd,
            groups,
            config: Watched::new(root),
            store: Store::new(root),
            idle: Idle::new(),
            callers: Callers::new(connection)?,
            tickets: Mutex::default(),
            viewers: Viewers::default(),
            facts: Mutex::default(),
            ended: Ended::default(),
            table: Mutex::default(),
            changed: Condvar::new(),
        };
        core.adopt();
        Ok(core)
    }

    fn adopt(&self) {
        let mut table = self.table();
        for (id, record) in self.store.all() {
            let state = match () {
                () if self.store.asked(&id) != crate::policy::Asked::Nobody => State::Stopping,
                () if is_running(&record) => State::Running,
                () => State::Starting,
            };
            table.insert(id, Entry::new(record, state));
        }
    }

    /// The table. Never held while anything outside is waited for, but for the admission's reading
    /// of the host.
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody who waits that something has changed.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// The settings in force.
    pub(super) fn loaded(&self) -> Arc<Loaded> {
        self.config.current().0
    }

    /// For whom this caller may speak, of those they say they do, under the settings in force.
    pub(super) fn person(&self, caller: &Caller, asker: &Asker) -> Result<Person, Problem> {
        caller.person(asker, &self.loaded().settings)
    }

    /// Who wants to look around; `None` before anybody is signed in on the page.
    pub(super) fn visitor(&self, caller: &Caller, asker: &Asker) -> Result<Option<Person>, Problem> {
        let nobody = *caller == Caller::Portal && asker.name.is_empty();
        if nobody { Ok(None) } else { self.person(caller, asker).map(Some) }
    }

    /// The machines, as their file has them now.
    pub(super) fn catalogue(&self) -> Catalogue {
        Catalogue::load(&self.root)
    }

    /// Waits until `ready` finds something in the table, at most so long.
    pub(super) fn wait_for<T>(&self, patience: Duration, mut ready: impl FnMut(&Table) -> Option<T>) -> Option<T> {
        let start = Instant::now();
        let mut table = self.table();
        loop {
            if let Some(found) = ready(&table) {
                return Some(found);
            }
            let left = patience.checked_sub(start.elapsed())?;
            table = self.changed.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The session, also if it has ended within the last day.
    pub(super) fn get(&self, person: &Person, id: &SessionId) -> Result<Session, Problem> {
        if let Ok(entry) = find(&mut self.table(), person, id) {
            return Ok(entry.session_for(person));
        }
        let notice = self.store.notice(id).filter(|n| may_see(person, &n.session.owner));
        notice.map(|n| n.session).ok_or_else(no_such)
    }

    /// This person's sessions, the oldest first.
    pub(super) fn list(&self, person: &Person, all: bool) -> Vec<Session> {
        let mut sessions: Vec<Session> = self
            .table()
            .values()
            .filter(|e| (all && person.admin) || e.record.session.owner == person.name.as_str())
            .map(|entry| entry.session_for(person))
            .collect();
        sessions.sort_by_key(|s| s.created_at);
        sessions
    }

    /// This person's sessions that have ended within the last day, the latest first.
    pub(super) fn ended(&self, person: &Person, all: bool) -> Vec<Session> {
        let ended = self.ended.sessions(&self.store);
        ended.iter().filter(|s| (all && person.admin) || s.owner == person.name.as_str()).cloned().collect()
    }

    /// Waits while the session is in this state, and says how it is then.
    pub(super) fn wait(
        &self,
        person: &Person,
        id: &SessionId,
        state: State,
        patience: Duration,
    ) -> Result<Session, Problem> {
        self.wait_for(patience, |table| match table.get(id) {
            Some(entry) if entry.state == state => None,
            _ => Some(()),
        });
        self.get(person, id)
    }

    /// Puts a change of a session on record, unless it has ended.
    pub(super) fn save(&self, id: &SessionId, record: &Record) -> Result<(), Problem> {
        match self.store.update(id, record) {
            Ok(true) => Ok(()),
            Ok(false) => Err(no_such()),
            Err(e) => Err(Problem::failed(format!("The session's record cannot be written: {e}."))),
        }
    }
}
