//! The clipboard: a serial port for SPICE's agent in the guest, which QEMU itself answers.

use super::{Arguments, Choice, VirtualDevice};
use crate::vm::Vm;
use crate::vm::exit::Failure;

/// The port `com.redhat.spice.0`, on the controller of all serial ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Clipboard;

impl Clipboard {
    pub(super) const FAILURES: &[Failure] = &[];

    pub(super) fn choose(_: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self))
    }
}

impl VirtualDevice for Clipboard {
    fn arguments(&self, _: &Vm, arguments: &mut Arguments) {
        arguments.device("virtio-serial-pci");
        arguments.push(["-chardev", "qemu-vdagent,id=vdagent,name=vdagent,clipboard=on,mouse=off"]);
        arguments.device("virtserialport,chardev=vdagent,name=com.redhat.spice.0");
    }
}
