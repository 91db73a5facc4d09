//! A trusted platform module, played by swtpm beside QEMU.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::config::Architecture;
use crate::model::{Bytes, Word};
use crate::unit::{Properties, bind};
use crate::vm::Vm;
use crate::vm::document::{FD, SetUpStep};
use crate::vm::exit::Failure;
use crate::vm::hardware::{Board, Need, need};
use zbus::zvariant::Value;

/// The program that plays the module.
pub const SWTPM: &str = "/usr/bin/swtpm";
/// Where it keeps its state, inside the session's unit.
pub const TPM_DIR: &str = "/var/tmp/tpm";
/// The name under which systemd hands over the state that it begins with.
pub const TPM_CREDENTIAL: &str = "tpm";
/// Memory of the program.
const MEMORY: Bytes = Bytes(32 << 20);

/// The trusted platform module could not be started.
pub const NO_TPM: Failure = Failure {
    code: 124,
    word: Word::Failed,
    message: "Its trusted platform module could not be started. The server's journal says why.",
};

/// A trusted platform module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tpm;

impl ChooseDevice for Tpm {
    const FAILURES: &'static [Failure] = &[NO_TPM];

    fn choose(choice: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok(choice.wish.tpm.then_some(Self))
    }
}

impl VirtualDevice for Tpm {
    fn arguments(&self, vm: &Vm, arguments: &mut Arguments) {
        let arm = vm.shape.hardware.board.architecture == Architecture::Arm;
        let device = if arm { "tpm-tis-device" } else { "tpm-crb" };
        arguments.push(["-tpmdev", "emulator,id=tpm0,chardev=tpm"]);
        arguments.device(&format!("{device},tpmdev=tpm0"));
    }

    fn properties(&self, vm: &Vm) -> Properties {
        let nvram = &vm.shape.nvram;
        let property = nvram.tpm.iter().map(|path| {
            if nvram.own {
                return ("BindPaths", bind(path, TPM_DIR));
            }
            // A secret that is root's: systemd hands it over.
            ("LoadCredential", Value::from(vec![(TPM_CREDENTIAL.to_owned(), path.display().to_string())]))
        });
        property.collect()
    }

    fn steps(&self, _: &Vm) -> Vec<SetUpStep> {
        vec![SetUpStep::StartTpm { arguments: vec!["-chardev".to_owned(), format!("socket,id=tpm,fd={FD}")] }]
    }

    fn memory(&self, _: &Vm) -> Bytes {
        MEMORY
    }

    fn needs(&self, _: &Board) -> Vec<Need> {
        vec![need(SWTPM, "swtpm", "the trusted platform module (tpm)")]
    }
}
