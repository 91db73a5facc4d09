//! A balloon: memory that the guest frees goes back to the host.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::vm::Vm;

/// virtio-balloon with free page reporting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Balloon;

impl ChooseDevice for Balloon {
    fn choose(choice: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok(choice.wish.balloon.unwrap_or(true).then_some(Self))
    }
}

impl VirtualDevice for Balloon {
    fn arguments(&self, _: &Vm, arguments: &mut Arguments) {
        arguments.device("virtio-balloon-pci,free-page-reporting=on");
    }
}
