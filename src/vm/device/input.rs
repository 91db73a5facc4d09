//! Pointer and keyboard.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::config::Architecture;
use crate::vm::Vm;

/// An absolute pointer, which follows the browser's; a keyboard where the board has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input;

impl ChooseDevice for Input {
    fn choose(_: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self))
    }
}

impl VirtualDevice for Input {
    fn arguments(&self, vm: &Vm, arguments: &mut Arguments) {
        // xHCI does not wake an idle guest as UHCI would.
        arguments.device("qemu-xhci");
        arguments.device("usb-tablet");
        if vm.shape.hardware.board.architecture == Architecture::Arm {
            arguments.device("usb-kbd");
        }
    }
}
