//! What all parts of the launcher share.

use super::agents::Agents;
use super::caller::{Caller, Callers, Person};
use super::disks::Written;
use super::ended::Ended;
use super::idle::Idle;
use super::machine_type::MachineTypes;
use super::newer::Newer;
use super::table::{Entry, Table, find, is_of, list_version, may_see, no_such, recorded_for};
use super::tickets::Tickets;
use super::verdicts::Verdicts;
use super::view;
use super::viewers::{self, Viewers};
use super::waits::Waits;
use crate::bus::{Asker, Session};
use crate::cgroup::Groups;
use crate::config::{Catalogue, Loaded, Settings, Watched};
use crate::journal::{self, LimitedLog};
use crate::model::{Event, Problem, SessionId, State, Word};
use crate::session::{Asked, Store};
use crate::systemd::Systemd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zbus::blocking::Connection;

/// Lines of one person, or of one link, in a minute.
const LINES: u32 = 20;

/// The launcher's state and its connections to the outside.
pub(super) struct Core {
    pub root: PathBuf,
    pub connection: Connection,
    pub systemd: Systemd,
    pub groups: Groups,
    pub config: Watched,
    pub store: Store,
    pub idle: Idle,
    pub callers: Arc<Callers>,
    pub waits: Arc<Waits>,
    pub tickets: Mutex<Tickets>,
    pub viewers: Viewers,
    pub lines: Lines,
    pub verdicts: Verdicts,
    pub written: Written,
    pub newer: Newer,
    pub machine_types: MachineTypes,
    pub agents: Agents,
    ended: Ended,
    table: Mutex<Table>,
    changed: Condvar,
}

/// The journal's lines that people can cause as often as they like, so many a minute of each.
pub(super) struct Lines {
    /// Sessions that were refused.
    pub refusals: Arc<LimitedLog>,
    /// Guests who came by a link.
    pub joins: Arc<LimitedLog>,
    /// Links made and taken back, ends moved, and sessions that moved to another browser.
    pub changes: Arc<LimitedLog>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            refusals: LimitedLog::start(LINES, |line| log::warn!(MESSAGE_ID = journal::id::REFUSED; "{line}")),
            joins: LimitedLog::start(LINES, |line| log::info!("{line}")),
            changes: LimitedLog::start(LINES, |line| log::info!("{line}")),
        }
    }
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
            callers: Arc::new(Callers::new(connection)),
            waits: Arc::default(),
            tickets: Mutex::default(),
            viewers: Viewers::default(),
            lines: Lines::default(),
            verdicts: Verdicts::load(root),
            written: Written::default(),
            newer: Newer::default(),
            machine_types: MachineTypes::default(),
            agents: Agents::new()?,
            ended: Ended::default(),
            table: Mutex::default(),
            changed: Condvar::new(),
        };
        core.adopt()?;
        Ok(core)
    }

    fn adopt(&self) -> Result<(), Problem> {
        let ids = self.store.ids();
        let ids = ids.map_err(|e| Problem::failed(format!("The sessions' records cannot be read: {e}.")))?;
        self.newer.find(&self.store, &ids);
        let mut table = self.table();
        for (id, record) in ids.into_iter().filter_map(|id| self.store.read(&id).map(|record| (id, record))) {
            self.spend_permit(&id);
            let mut entry = Entry::new(record);
            if self.store.asked(&id) != Asked::Nobody {
                // Nothing to stop where there is no unit.
                let _ = entry.apply(Event::Stop);
            }
            table.insert(id, entry);
        }
        Ok(())
    }

    /// The table. Never held while anything outside is waited for, but for the admission's reading
    /// of the host.
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody who waits that something has changed.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
        self.waits.wake_all();
    }

    /// Show a session as stopping, here and on the pages that have it on the screen. Twice is fine.
    pub(super) fn mark_stopping(&self, id: &SessionId) {
        let before = self.table().get_mut(id).and_then(|entry| entry.apply(Event::Stop).ok());
        if before.is_some_and(|state| state != State::Stopping) {
            viewers::signal_ending(self, id);
        }
        self.notify();
    }

    /// Show that a session's guest has booted. Twice is fine.
    pub(super) fn mark_booted(&self, id: &SessionId) {
        if let Some(entry) = self.table().get_mut(id) {
            entry.booted = true;
        }
        self.notify();
    }

    /// Return the settings in use. A launcher that started with a configuration it cannot use has none.
    pub(super) fn loaded(&self) -> Result<Arc<Loaded>, Problem> {
        self.config.current().0.ok_or_else(no_settings)
    }

    /// Return for whom this caller may speak, of those they say they do, under the settings in use. Without any, only
    /// root can be told from others, and may still look at sessions and stop them.
    pub(super) fn person(&self, caller: &Caller, asker: &Asker) -> Result<Person, Problem> {
        match self.loaded() {
            Ok(loaded) => caller.person(asker, &loaded.settings),
            Err(_) if *caller == Caller::Root && asker.owner.is_empty() => caller.person(asker, &Settings::default()),
            Err(problem) => Err(problem),
        }
    }

    /// Who wants to look around; `None` before anybody is signed in on the page.
    pub(super) fn visitor(&self, caller: &Caller, asker: &Asker) -> Result<Option<Person>, Problem> {
        let nobody = *caller == Caller::Portal && asker.owner.is_empty();
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
        let notice = self.store.notice(id).filter(|n| may_see(person, &n.record));
        notice.as_ref().map(view::ended).ok_or_else(no_such)
    }

    /// This person's sessions, the oldest first.
    pub(super) fn list(&self, person: &Person, all: bool) -> Vec<Session> {
        let mut sessions = recorded_for(&self.table(), person, all);
        if all || person.root {
            sessions.extend(self.unrecorded_for(person).iter().map(view::unrecorded));
        }
        sessions.sort_by_key(|s| s.created_at);
        sessions
    }

    /// Return what [`list_version`] says of the sessions at this moment.
    pub(super) fn list_version(&self, person: &Person, all: bool) -> String {
        list_version(&self.table(), person, all)
    }

    /// This person's sessions that have ended within the last day, the latest first.
    pub(super) fn ended(&self, person: &Person, all: bool) -> Vec<Session> {
        let notices = self.ended.notices(&self.store);
        notices.iter().filter(|n| (all && person.admin) || is_of(&n.record, person)).map(view::ended).collect()
    }
}

/// For people of the portal and for the terminal alike.
fn no_settings() -> Problem {
    Problem::new(
        Word::Unavailable,
        "The configuration of this service cannot be used. The administrator finds the file and line with \
         'qwdctl check'; sessions that run are not affected.",
    )
}
