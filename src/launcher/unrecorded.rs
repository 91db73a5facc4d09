//! Sessions of which only systemd knows: their records are lost or damaged, or a newer version wrote them. The former end
//! by their timers or by the sweep; until then administrators see and stop all of them, and they count as sessions in use.

use super::caller::Person;
use super::core::Core;
use super::view;
use crate::bus::Session;
use crate::model::{MachineName, Owner, Problem, SessionId, State};
use crate::systemd::UnitStatus;
use crate::unit;
use std::collections::HashMap;

const MESSAGE: &str =
    "Its record is lost or damaged: it ends at its time or by the next sweep, and nobody can open it.";
const NEWER: &str =
    "A newer version of qemu-web-desktop wrote its record: it continues, and cannot be opened by this one.";

/// Such a session, as systemd knows it.
pub(super) struct Unrecorded {
    pub id: SessionId,
    pub machine: MachineName,
    pub state: State,
    pub message: &'static str,
    /// When its last timer ends it, in seconds since 1970; zero: it has none.
    pub expires_at: u64,
}

impl Unrecorded {
    /// Return the owner of each: it is not known.
    pub(super) fn owner() -> Owner {
        Owner::recorded("", UNKNOWN)
    }
}

/// Whose session it is.
pub(super) const UNKNOWN: &str = "unknown";

impl Core {
    /// Return the sessions that systemd runs and that are not in the table, with what systemd knows of them.
    pub(super) fn unrecorded(&self) -> Result<Vec<Unrecorded>, Problem> {
        // Units before the table: a session is in the table from before its unit starts until after that has ended.
        let units = self.systemd.units(&["qwd-session-*.service", "qwd-expire@*.timer"])?;
        let mut ends: HashMap<SessionId, u64> = HashMap::new();
        for (id, end) in units.keys().filter_map(|name| unit::parse_timer_unit(name)) {
            let latest = ends.entry(id).or_default();
            *latest = end.max(*latest);
        }
        let table = self.table();
        let running = units.iter().filter(|(_, status)| status.is_active());
        let ids = running.filter_map(|(name, status)| Some((unit::parse_session_unit(name)?, status)));
        let unknown = ids.filter(|(id, _)| !table.contains_key(id));
        let describe = |(id, status): (SessionId, &UnitStatus)| {
            let message = if self.newer.has(&id) { NEWER } else { MESSAGE };
            let expires_at = ends.get(&id).copied().unwrap_or(0);
            Unrecorded { machine: machine_of(status), state: state_of(status), message, expires_at, id }
        };
        Ok(unknown.map(describe).collect())
    }

    /// The same for those who may see everybody's sessions; nothing if systemd does not answer.
    pub(super) fn unrecorded_for(&self, person: &Person) -> Vec<Unrecorded> {
        if !person.admin {
            return Vec::new();
        }
        self.unrecorded().unwrap_or_else(|problem| {
            log::warn!("Sessions without a record cannot be looked for: {problem}");
            Vec::new()
        })
    }

    /// Return one of them.
    pub(super) fn find_unrecorded(&self, person: &Person, id: &SessionId) -> Option<Session> {
        self.unrecorded_for(person).iter().find(|known| known.id == *id).map(view::unrecorded)
    }
}

/// Return the machine in a unit's description, "Desktop session ID (MACHINE)".
fn machine_of(status: &UnitStatus) -> MachineName {
    let found = status.description.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    found.and_then(|name| name.parse().ok()).unwrap_or_else(MachineName::unknown)
}

fn state_of(status: &UnitStatus) -> State {
    if status.is_ending() { State::Stopping } else { State::Running }
}
