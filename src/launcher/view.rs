//! Sessions as callers of the bus get them: made of the record, and of the facts at this moment.

use super::unrecorded::Unrecorded;
use crate::bus::Session;
use crate::host;
use crate::model::{Pause, State};
use crate::session::{Notice, Record};

/// The facts of a session at this moment.
pub(super) struct Live {
    pub state: State,
    /// Why its guest is paused, if it is.
    pub paused: Option<Pause>,
    /// The latest end that the reader can reach by extending, in seconds since 1970; zero: no limit.
    pub extendable_until: u64,
    /// Why it ended; else empty.
    pub message: String,
}

impl Live {
    /// Return the facts as the record has them.
    pub(super) fn recorded(record: &Record) -> Self {
        let extendable_until = record.extendable_until;
        Self { state: record.state(), paused: None, extendable_until, message: String::new() }
    }
}

/// Return a session as the bus carries it.
pub(super) fn session(record: &Record, live: Live) -> Session {
    let run = record.run.clone().unwrap_or_default();
    Session {
        id: record.id.to_string(),
        owner: record.owner_name.clone(),
        owner_id: record.owner.to_string(),
        machine: record.spec.machine.to_string(),
        description: record.spec.description.clone(),
        state: live.state.reported().to_string(),
        message: live.message,
        paused: live.paused.map_or("", Pause::as_str).to_owned(),
        cpus: record.spec.cpus,
        memory_bytes: record.spec.memory.0,
        created_at: record.created_at,
        expires_at: record.expires_at,
        extendable_until: live.extendable_until,
        accel: run.accel,
        network: run.network,
        notes: run.notes,
    }
}

/// Return a session that has ended.
pub(super) fn ended(notice: &Notice) -> Session {
    session(&notice.record, Live { message: notice.message.clone(), ..Live::recorded(&notice.record) })
}

/// Return a session of which only systemd knows.
pub(super) fn unrecorded(known: &Unrecorded) -> Session {
    Session {
        id: known.id.to_string(),
        owner: "unknown".to_owned(),
        machine: known.machine.clone(),
        state: known.state.to_string(),
        message: known.message.to_owned(),
        created_at: host::now(),
        expires_at: known.expires_at,
        ..Session::default()
    }
}

/// Return the session as it is once systemd stops it.
pub(super) fn stopping(session: Session) -> Session {
    Session { state: State::Stopping.to_string(), ..session }
}
