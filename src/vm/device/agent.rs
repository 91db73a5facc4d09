//! A serial port for QEMU's guest agent.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::vm::Vm;
use crate::vm::document::{Descriptor, DescriptorKind, FD, SocketFile};

/// The name of the agent's socket, in the session's directory, which is root's alone.
pub const AGENT_SOCKET: &str = "agent.sock";

/// The port `org.qemu.guest_agent.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent;

impl ChooseDevice for Agent {
    fn choose(_: &Choice<'_>) -> Result<Option<Self>, String> {
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
