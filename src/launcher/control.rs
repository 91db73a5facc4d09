//! A session's later life: its end, and the moving of that end.

use super::caller::Person;
use super::core::Core;
use super::table::{bound, find, span};
use crate::bus::Session;
use crate::host;
use crate::model::{Problem, SessionId, State, Word};
use crate::policy::{self, Asked};
use crate::unit;

/// Asks the guest to shut down and ends the session. Comes back at once; twice is fine.
pub(super) fn stop(core: &Core, person: &Person, id: &SessionId) -> Result<Session, Problem> {
    let session = ask(core, person, id)?;
    core.systemd.stop(&unit::session_unit(id))?;
    Ok(session)
}

/// Ends the session without asking its guest.
pub(super) fn kill(core: &Core, person: &Person, id: &SessionId) -> Result<Session, Problem> {
    let session = ask(core, person, id)?;
    // The stop first: from then on nothing that ends is a failure.
    core.systemd.stop(&unit::session_unit(id))?;
    core.systemd.kill(&unit::session_unit(id))?;
    Ok(session)
}

fn ask(core: &Core, person: &Person, id: &SessionId) -> Result<Session, Problem> {
    let session = {
        let mut table = core.table();
        let entry = find(&mut table, person, id)?;
        entry.state = State::Stopping;
        entry.session()
    };
    core.notify();
    let asked = Asked::Person(person.name.to_string());
    core.store.ask(id, &asked).map_err(|e| Problem::failed(format!("The wish cannot be written down: {e}.")))?;
    Ok(session)
}

/// Stops every session there is.
pub(super) fn stop_all(core: &Core, person: &Person) -> Result<u32, Problem> {
    if !person.admin {
        return Err(Problem::new(Word::NotAllowed, "Only an administrator may stop everybody's sessions."));
    }
    let ids: Vec<SessionId> = core.table().keys().cloned().collect();
    let mut stopped = 0;
    let mut last_problem = None;
    for id in ids {
        match stop(core, person, &id) {
            Ok(_) => stopped += 1,
            // It ended by itself meanwhile.
            Err(p) if p.word == Word::NoSuchSession => {}
            Err(p) => last_problem = Some(p),
        }
    }
    last_problem.map_or(Ok(stopped), Err)
}

/// Moves the end so many seconds further away, from the present end.
pub(super) fn extend(core: &Core, person: &Person, id: &SessionId, seconds: u64) -> Result<Session, Problem> {
    let (record, old_timer) = {
        let mut table = core.table();
        let entry = find(&mut table, person, id)?;
        if entry.state == State::Stopping {
            return Err(Problem::new(Word::WrongState, "This session is ending already."));
        }
        let session = &mut entry.record.session;
        session.expires_at = policy::extended(span(session), bound(person, session), seconds)?;
        let old_timer = unit::expiry_timer(id, entry.record.timer);
        entry.record.timer += 1;
        (entry.record.clone(), old_timer)
    };
    core.save(id, &record)?;
    // The new one first: at no moment is there none.
    core.arm_timer(id)?;
    core.systemd.stop(&old_timer)?;
    let left = record.session.expires_at.saturating_sub(host::now());
    log::info!(QWD_SESSION = id.as_str(), QWD_OWNER = record.session.owner.as_str(), QWD_MACHINE = record.session.machine.as_str();
        "Session {id} was extended by {} and ends in {left} s", person.name);
    core.get(person, id)
}
