//! The network card of a session on a bridge: made by a unit of its own, handed on to the session's.

use super::core::Core;
use crate::model::{BridgeName, Problem, SessionId, Word};
use crate::systemd::Job;
use crate::{handover, host, unit};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// `Ok` if the bridge is there, and all that a card on it takes.
pub(super) fn usable(bridge: &BridgeName, isolated: bool) -> Result<(), Problem> {
    host::bridge(bridge, isolated).map_err(|why| Problem::new(Word::MachineUnusable, format!("{why}.")))
}

/// The card's descriptor. The card is there as long as somebody has it.
pub(super) fn card(core: &Core, id: &SessionId, bridge: &BridgeName, isolated: bool) -> Result<OwnedFd, Problem> {
    let name = unit::tap_unit(id);
    let failed = |why: &str| {
        let text = format!("The session's network card cannot be made on the bridge '{bridge}': {why}.");
        Problem::new(Word::MachineUnusable, text)
    };
    let broken = |e: std::io::Error| failed(&e.to_string());
    let (ours, theirs) = UnixStream::pair().map_err(broken)?;
    let fds = vec![("StandardInputFileDescriptor", OwnedFd::from(theirs))];
    let job = core.systemd.start_transient(&name, &unit::tap(id, bridge, isolated), fds)?;
    // The unit has ended: what it had to say is here, or will never be.
    ours.set_nonblocking(true).map_err(broken)?;
    match (handover::take(&ours), job) {
        (Ok((_, Some(card))), Job::Done) => Ok(card),
        (Ok((words, None)), _) if !words.is_empty() => Err(failed(&words)),
        _ => Err(failed(&format!("'journalctl -u {name}' says why"))),
    }
}
