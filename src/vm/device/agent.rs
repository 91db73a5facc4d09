//! A serial port for QEMU's guest agent.

use super::{Arguments, Choice, VirtualDevice};
use crate::vm::Vm;
use crate::vm::document::{Descriptor, DescriptorKind, FD, SocketFile};
use crate::vm::exit::Failure;

/// The name of the agent's socket, in the session's directory, which is root's alone.
pub const AGENT_SOCKET: &str = "agent.sock";

/// The port `org.qemu.guest_agent.0`, on the clipboard's controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent;

impl Agent {
    pub(super) const FAILURES: &[Failure] = &[];

    pub(super) fn choose(_: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self))
    }
}

impl VirtualDevice for Agent {
    fn arguments(&self, _: &Vm, arguments: &mut Arguments) {
        arguments.device("virtserialport,chardev=agent,name=org.qemu.guest_agent.0");
    }

    fn descriptors(&self, _: &Vm) -> Vec<Descriptor> {
        vec![Descriptor {
            kind: DescriptorKind::Socket,
            arguments: vec!["-chardev".into(), format!("socket,id=agent,fd={FD},server=on,wait=off")],
            file: Some(SocketFile { name: AGENT_SOCKET, mode: 0o600 }),
        }]
    }
}
