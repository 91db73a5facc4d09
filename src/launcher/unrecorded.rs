//! Sessions of which only systemd knows: their records are lost or damaged. They end by their timers or by the sweep;
//! until then administrators see and stop them, and they count as sessions in use.

use super::caller::Person;
use super::core::Core;
use crate::bus::Session;
use crate::host;
use crate::model::{Problem, SessionId, State};
use crate::systemd::UnitStatus;
use crate::unit;
use std::collections::HashMap;

const MESSAGE: &str =
    "Its record is lost or damaged: it ends at its time or by the next sweep, and nobody can open it.";

impl Core {
    /// Return the sessions that systemd runs and that are not in the table, with what systemd knows of them.
    pub(super) fn unrecorded(&self) -> Result<Vec<Session>, Problem> {
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
        Ok(unknown.map(|(id, status)| describe(&id, status, ends.get(&id).copied().unwrap_or(0))).collect())
    }

    /// The same for those who may see everybody's sessions; nothing if systemd does not answer.
    pub(super) fn unrecorded_for(&self, person: &Person) -> Vec<Session> {
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
        self.unrecorded_for(person).into_iter().find(|session| session.id == id.as_str())
    }
}

fn describe(id: &SessionId, status: &UnitStatus, expires_at: u64) -> Session {
    let state = if status.is_ending() { State::Stopping } else { State::Running };
    // As the unit's description has it: "Desktop session ID (MACHINE)".
    let machine = status.description.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or("?");
    Session {
        id: id.to_string(),
        owner: "unknown".to_owned(),
        machine: machine.to_owned(),
        state: state.to_string(),
        message: MESSAGE.to_owned(),
        created_at: host::now(),
        expires_at,
        ..Session::default()
    }
}
