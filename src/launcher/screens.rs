//! Tickets, and what they are good for: one end of a stream that speaks RFB.
//!
//! A ticket is good once and for 15 seconds. It lives in memory alone: whoever asks after a restart
//! of the launcher gets a fresh one at once.

use super::caller::Person;
use super::core::Core;
use super::table::{find, no_such};
use super::tickets::{Pass, parse_owner};
use super::turns::Kind;
use crate::bus::Grant;
use crate::model::{Problem, Role, Secret, SessionId, State, Word};
use crate::monitor::Monitor;
use std::os::fd::OwnedFd;
use std::sync::PoisonError;
use std::time::Duration;

/// A viewer may come while the machine is still starting.
const STARTING: Duration = Duration::from_secs(60);
/// A QEMU that runs answers within this, however busy its host is.
const RUNNING: Duration = Duration::from_secs(20);

/// A question that can wait for nobody: a page shows the answer beside the screen.
const AGENT: Duration = Duration::from_secs(3);

/// Return whether a clipboard agent runs in the session's guest.
pub(super) fn has_agent(core: &Core, id: &SessionId) -> Result<bool, Problem> {
    core.talk(id, AGENT, Monitor::has_agent)
}

/// A ticket for a session of one's own.
pub(super) fn ticket(core: &Core, person: &Person, id: &SessionId, role: Role) -> Result<Secret, Problem> {
    let state = find(&mut core.table(), person, id)?.state();
    if state == State::Stopping {
        return Err(Problem::new(Word::WrongState, "This session is ending."));
    }
    let (session, share) = (id.clone(), String::new());
    Ok(issue(core, Pass { session, role, share, holder: person.into(), client: None, until: 0 }))
}

/// A ticket for a right that has been found good.
pub(super) fn issue(core: &Core, pass: Pass) -> Secret {
    core.tickets.lock().unwrap_or_else(PoisonError::into_inner).issue(pass)
}

/// Turns a ticket into a screen.
pub(super) fn redeem(core: &Core, secret: &Secret) -> Result<(OwnedFd, Grant), Problem> {
    let pass = core.tickets.lock().unwrap_or_else(PoisonError::into_inner).redeem(secret)?;
    let state = core.table().get(&pass.session).map(|e| e.state()).ok_or_else(no_such)?;
    let kind = if pass.share.is_empty() { Kind::Person } else { Kind::Guest };
    if kind == Kind::Guest {
        // The display counts too, but only when QEMU has been asked.
        core.viewers.admit_guest(&pass.session, &pass.share)?;
    }
    let patience = if state == State::Starting { STARTING } else { RUNNING };
    let screen = core.open_screen(&pass.session, kind, patience)?;
    let table = core.table();
    let record = table.get(&pass.session).map(|e| &e.record).ok_or_else(no_such)?;
    let grant = Grant {
        session: record.id.clone(),
        owner: record.owner_shown(),
        owner_id: record.owner.clone(),
        machine: record.spec.machine.clone(),
        role: pass.role,
        share: pass.share,
        name_id: parse_owner(&pass.holder.id, &pass.holder.name),
        name: pass.holder.name,
        until: Some(pass.until).filter(|until| *until != 0),
    };
    Ok((screen.into(), grant))
}
