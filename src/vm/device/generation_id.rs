//! A generation ID: by it, a guest notices that it continues as another machine.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::config::Architecture;
use crate::vm::Vm;

/// The device `vmgenid` of PCs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GenerationId;

impl ChooseDevice for GenerationId {
    fn choose(choice: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok((choice.board.architecture == Architecture::X86).then_some(Self))
    }
}

impl VirtualDevice for GenerationId {
    fn arguments(&self, vm: &Vm, arguments: &mut Arguments) {
        arguments.device(&format!("vmgenid,guid={}", vm.identity.generation()));
    }
}
