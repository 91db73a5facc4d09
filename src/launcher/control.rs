//! A session's later life: its end, and the moving of that end.

use super::caller::Person;
use super::changes::take_turn;
use super::core::Core;
use super::table::{bound, find};
use super::turns::Kind;
use super::view;
use crate::bus::Session;
use crate::model::{Problem, SessionId, State, Word};
use crate::policy;
use crate::session::Asked;
use crate::{host, show, unit};
use std::sync::Arc;
use std::time::Duration;

/// Asks the guest to shut down and ends the session. Comes back at once; twice is fine.
pub(super) fn stop(core: &Core, person: &Person, id: &SessionId) -> Result<Session, Problem> {
    end(core, person, id, |unit| core.systemd.stop(unit))
}

/// How long QEMU may take to end by itself before it is killed.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// Ends the session without asking its guest.
pub(super) fn kill(core: &Core, person: &Person, id: &SessionId) -> Result<Session, Problem> {
    // What it wrote to a disk that is to be kept must not count as finished, as it does after an end in good order.
    let is_scratch = core.table().get(id).is_some_and(|entry| entry.record.persistent_disk().is_none());
    // The stop first: from then on nothing that ends is a failure.
    if !is_scratch {
        return end(core, person, id, |unit| core.systemd.stop(unit).and_then(|()| core.systemd.kill(unit)));
    }
    let order = |unit: &str| core.systemd.stop(unit).and_then(|()| core.systemd.terminate(unit));
    let session = end(core, person, id, order)?;
    // QEMU ends at once on SIGTERM, so that its unit does not count as failed; one that does not has to.
    if core.wait_for(LAST_MOMENT, |table| (!table.contains_key(id)).then_some(())).is_none() {
        core.systemd.kill(&unit::session_unit(id))?;
    }
    Ok(session)
}

/// Write down who asked for the end, have systemd end the session, and only then show it as stopping.
fn end(
    core: &Core,
    person: &Person,
    id: &SessionId,
    order: impl FnOnce(&str) -> Result<(), Problem>,
) -> Result<Session, Problem> {
    let known = find(&mut core.table(), person, id).map(|entry| entry.session());
    let session = known.or_else(|problem| core.find_unrecorded(person, id).ok_or(problem))?;
    if let Err(e) = core.store.ask(id, &Asked::Person(person.owner.clone(), person.to_string())) {
        // Ending takes no room on a disk.
        log::error!(QWD_SESSION = id.as_str(); "That {person} stopped session {id} cannot be written down: {e}.");
    }
    order(&unit::session_unit(id))?;
    core.mark_stopping(id);
    Ok(view::stopping(session))
}

/// Stops every session there is.
pub(super) fn stop_all(core: &Core, person: &Person) -> Result<u32, Problem> {
    if !person.admin {
        return Err(Problem::new(Word::NotAllowed, "Only an administrator may stop everybody's sessions."));
    }
    let mut ids: Vec<SessionId> = core.table().keys().cloned().collect();
    ids.extend(core.unrecorded_for(person).into_iter().map(|known| known.id));
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
    let changes = Arc::clone(&find(&mut core.table(), person, id)?.changes);
    let turn = take_turn(&changes, Kind::Person)?;
    let mut armed = None;
    let extended = core.change_in_turn(&turn, id, |record| {
        refuse_if_ending(core, id)?;
        record.expires_at = policy::extended(record.span(), bound(person, record), seconds)?;
        // The new timer first: at no moment is there none. One for an end that is not on record does nothing.
        core.systemd.arm_expiry(id, record.expires_at, host::now())?;
        armed = Some(record.expires_at);
        // After that, since it takes a while: the end may have come meanwhile.
        refuse_if_ending(core, id)?;
        Ok(record.clone())
    });
    let tidied = match (&extended, armed) {
        (Ok(record), _) => core.systemd.disarm_others(id, record.expires_at),
        (Err(_), Some(end)) => core.systemd.disarm_expiry(id, end),
        (Err(_), None) => Ok(()),
    };
    if let Err(problem) = tidied {
        log::warn!(QWD_SESSION = id.as_str(); "Session {id} has a timer too many, which will do nothing: {problem}");
    }
    let record = extended?;
    let left = show::left(record.expires_at, host::now());
    let line = format!("Session {id} was extended by {person}. Time left: {left}.");
    if core.lines.changes.admit(&person.owner.to_string(), "extend", &line) {
        log::info!(QWD_SESSION = id.as_str(), QWD_OWNER = record.owner_shown().as_str(),
            QWD_MACHINE = record.spec.machine.as_str(); "{line}");
    }
    core.get(person, id)
}

fn refuse_if_ending(core: &Core, id: &SessionId) -> Result<(), Problem> {
    let stopping = core.table().get(id).is_some_and(|entry| entry.state() == State::Stopping);
    if stopping || core.store.asked(id) != Asked::Nobody {
        return Err(Problem::new(Word::WrongState, "This session is ending already."));
    }
    Ok(())
}
