//! A source of random numbers.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::vm::Vm;

/// virtio-rng: a guest that starts has entropy at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rng;

impl ChooseDevice for Rng {
    fn choose(_: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self))
    }
}

impl VirtualDevice for Rng {
    fn arguments(&self, _: &Vm, arguments: &mut Arguments) {
        arguments.device("virtio-rng-pci");
    }
}
