//! A generation ID: tells the guest that it goes on as another machine than the one whose state it has.

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
