//! The clipboard: a serial port for SPICE's agent in the guest, which QEMU itself answers.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::vm::Vm;

/// The port `com.redhat.spice.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Clipboard;

impl ChooseDevice for Clipboard {
    fn choose(_: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self))
    }
}

impl VirtualDevice for Clipboard {
    fn arguments(&self, _: &Vm, arguments: &mut Arguments) {
        arguments.push(["-chardev", "qemu-vdagent,id=vdagent,name=vdagent,clipboard=on,mouse=off"]);
        arguments.device("virtserialport,chardev=vdagent,name=com.redhat.spice.0");
    }
}
