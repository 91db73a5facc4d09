//! Sessions as callers of the bus get them: made of the record, and of the facts at this moment.

use super::unrecorded::{UNKNOWN, Unrecorded};
use crate::bus::Session;
use crate::host;
use crate::model::{Bytes, Pause, State};
use crate::session::{Notice, Record};

/// The facts of a session at this moment.
pub(super) struct Live {
    pub state: State,
    /// Why its guest is paused, if it is.
    pub paused: Option<Pause>,
    /// The agent in its guest has answered.
    pub booted: bool,
    /// The latest end that the reader can reach by extending, in seconds since 1970; zero: no limit.
    pub extendable_until: u64,
    /// Why it ended; else empty.
    pub message: String,
}

impl Live {
    /// Return the facts as the record has them.
    pub(super) fn recorded(record: &Record) -> Self {
        let extendable_until = record.extendable_until;
        Self { state: record.state(), paused: None, booted: false, extendable_until, message: String::new() }
    }
}

/// Return a session as the bus carries it.
pub(super) fn session(record: &Record, live: Live) -> Session {
    let run = record.run.clone().unwrap_or_default();
    Session {
        id: record.id.clone(),
        owner: record.owner_name.clone(),
        owner_id: record.owner.clone(),
        machine: record.spec.machine.clone(),
        description: record.spec.description.clone(),
        state: live.state.reported(),
        message: live.message,
        paused: live.paused,
        booted: live.booted,
        cpus: record.spec.cpus,
        memory: record.spec.memory,
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
        id: known.id.clone(),
        owner: UNKNOWN.to_owned(),
        owner_id: Unrecorded::owner(),
        machine: known.machine.clone(),
        description: String::new(),
        state: known.state,
        message: known.message.to_owned(),
        paused: None,
        booted: false,
        cpus: 0,
        memory: Bytes(0),
        created_at: host::now(),
        expires_at: known.expires_at,
        extendable_until: 0,
        accel: None,
        network: String::new(),
        notes: Vec::new(),
    }
}

/// Return the session as it is once systemd stops it.
pub(super) fn stopping(session: Session) -> Session {
    Session { state: State::Stopping, ..session }
}
