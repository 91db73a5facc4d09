//! The start of a session's unit, with the channel by which it gets all that it works with.

use super::bridge;
use super::core::Core;
use super::create::storage_problem;
use super::runtime::Card;
use crate::channel;
use crate::model::{Problem, SessionId};
use crate::monitor::sockets;
use crate::systemd::Job;
use crate::unit::{self, SessionPlan};
use std::os::fd::OwnedFd;

/// Start the session's unit with the timer of its end, and wait until it is up, or is not going to be. `span` is as
/// `Systemd::start_session` takes it.
pub(super) fn start_unit(
    core: &Core,
    id: &SessionId,
    plan: &SessionPlan,
    card: &Card,
    span: (u64, u64),
) -> Result<Job, Problem> {
    let mut descriptors = sockets::bind_all(&core.store.sockets(id))
        .map_err(|e| storage_problem("The session's monitors cannot be made", &e))?;
    if let Card::Bridge { name, isolated } = card {
        descriptors.push(bridge::card(core, id, name, *isolated)?);
    }
    let channel = hand_over(plan, descriptors)?;
    let fds = vec![("StandardInputFileDescriptor", channel)];
    core.systemd.start_session(id, &unit::session(plan), fds, span)
}

/// Put the document and the descriptors into a channel, which has the only copies from then on.
fn hand_over(plan: &SessionPlan, descriptors: Vec<OwnedFd>) -> Result<OwnedFd, Problem> {
    let sent = channel::send(&unit::document(plan), &descriptors);
    sent.map_err(|e| storage_problem("What the session starts with cannot be handed over", &e))
}
