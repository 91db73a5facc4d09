//! The start of a session's unit, with the channel by which it gets all that it works with.

use super::bridge;
use super::core::Core;
use super::create::storage_problem;
use super::runtime::Card;
use crate::channel;
use crate::model::{Problem, SessionId};
use crate::monitor::sockets;
use crate::systemd::Job;
use crate::vm::{Descriptor, Vm};
use std::os::fd::OwnedFd;

/// Start the session's unit with the timer of its end, and wait until it is up, or is not going to be. `span` is as
/// `Systemd::start_session` takes it.
pub(super) fn start_unit(core: &Core, id: &SessionId, vm: &Vm, card: &Card, span: (u64, u64)) -> Result<Job, Problem> {
    let document = vm.document();
    let directory = core.store.sockets(id);
    sockets::make_directory(&directory).map_err(|e| storage_problem("The session's sockets cannot be made", &e))?;
    let open = |descriptor: &Descriptor| open_descriptor(core, id, descriptor, card);
    let descriptors = document.descriptors.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // The channel has the only copies from then on.
    let channel = channel::send(&document, &descriptors)
        .map_err(|e| storage_problem("What the session starts with cannot be handed over", &e))?;
    let fds = vec![("StandardInputFileDescriptor", channel)];
    core.systemd.start_session(id, &vm.unit(), fds, span)
}

fn open_descriptor(core: &Core, id: &SessionId, descriptor: &Descriptor, card: &Card) -> Result<OwnedFd, Problem> {
    match (descriptor.file, card) {
        (Some(file), _) => sockets::bind_socket(&core.store.sockets(id), file)
            .map_err(|e| storage_problem("The session's sockets cannot be made", &e)),
        (None, Card::Bridge { name, isolated }) => bridge::card(core, id, name, *isolated),
        (None, _) => Err(Problem::failed("The session has a network card, and no bridge to put it on.")),
    }
}
