//! The controller of all serial ports by which the host speaks to agents in the guest.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::vm::Vm;

/// virtio-serial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SerialController;

impl ChooseDevice for SerialController {
    fn choose(_: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self))
    }
}

impl VirtualDevice for SerialController {
    fn arguments(&self, _: &Vm, arguments: &mut Arguments) {
        arguments.device("virtio-serial-pci");
    }
}
