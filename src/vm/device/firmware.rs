//! The firmware and its variables.

use super::storage::read_only;
use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::config::{Architecture, Firmware, Word as _};
use crate::model::Bytes;
use crate::unit::{Properties, bind};
use crate::vm::document::SetUpStep;
use crate::vm::hardware::{Board, Need, need};
use crate::vm::Vm;
use serde_json::json;

/// The session's layer on the firmware's variables, inside its unit.
const VARIABLES_PATH: &str = "/var/tmp/variables.qcow2";
/// The kept variables below that layer.
const KEPT_VARIABLES_PATH: &str = "/run/variables";
/// The variables of a session that writes to what is kept.
const OWN_VARIABLES_PATH: &str = "/var/tmp/variables.fd";

/// The firmware of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FirmwareDevice {
    /// Its kind.
    pub kind: Firmware,
    architecture: Architecture,
}

/// The firmware's code, and the empty variables that go with it.
pub struct FirmwareFiles {
    /// Never written.
    pub code: &'static str,
    /// The initial variables of a session.
    pub variables: &'static str,
}

impl ChooseDevice for FirmwareDevice {
    fn choose(choice: &Choice<'_>) -> Result<Option<Self>, String> {
        let architecture = choice.board.architecture;
        let kind = chosen(choice.wish.firmware, architecture);
        if architecture == Architecture::Arm && kind != Firmware::Uefi {
            let word = kind.word();
            return Err(format!("firmware = {word} is a PC's: a machine for aarch64 has firmware = uefi"));
        }
        Ok(Some(Self { kind, architecture }))
    }
}

impl FirmwareDevice {
    /// Return the firmware's files, where there are any to be named.
    pub fn files(&self) -> Option<FirmwareFiles> {
        let (code, variables) = match (self.architecture, self.kind) {
            (Architecture::Arm, _) => ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
            (_, Firmware::Bios) => return None,
            (_, Firmware::Uefi) => ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            (_, Firmware::SecureUefi) => ("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
        };
        Some(FirmwareFiles { code, variables })
    }
}

/// Return the firmware of a machine whose section says this, or nothing.
pub(in crate::vm) fn chosen(wish: Option<Firmware>, architecture: Architecture) -> Firmware {
    let arm = architecture == Architecture::Arm;
    wish.unwrap_or(if arm { Firmware::Uefi } else { Firmware::Bios })
}

impl VirtualDevice for FirmwareDevice {
    fn machine_options(&self) -> &'static [&'static str] {
        if self.files().is_some() { &["pflash0=code", "pflash1=variables"] } else { &[] }
    }

    fn arguments(&self, vm: &Vm, arguments: &mut Arguments) {
        let Some(files) = self.files() else { return };
        let nvram = &vm.shape.nvram;
        let code = json!({"driver": "raw", "node-name": "code", "read-only": true, "file": read_only(files.code)});
        arguments.node(&code);
        if nvram.own {
            let file = json!({"driver": "file", "filename": OWN_VARIABLES_PATH});
            arguments.node(&json!({"driver": "raw", "node-name": "variables", "file": file}));
        } else {
            let before = nvram.variables.as_ref().map_or(files.variables, |_| KEPT_VARIABLES_PATH);
            arguments
                .node(&json!({"driver": "raw", "node-name": "fresh", "read-only": true, "file": read_only(before)}));
            arguments.node(&json!({"driver": "qcow2", "node-name": "variables", "backing": "fresh",
                "file": {"driver": "file", "filename": VARIABLES_PATH}}));
        }
        if self.kind == Firmware::SecureUefi {
            // Only code in system management mode, which is the firmware's own, may change the variables.
            arguments.push(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
        }
    }

    fn properties(&self, vm: &Vm) -> Properties {
        let nvram = &vm.shape.nvram;
        let (property, place) =
            if nvram.own { ("BindPaths", OWN_VARIABLES_PATH) } else { ("BindReadOnlyPaths", KEPT_VARIABLES_PATH) };
        nvram.variables.iter().map(|path| (property, bind(path, place))).collect()
    }

    fn steps(&self, vm: &Vm) -> Vec<SetUpStep> {
        let size = vm.shape.nvram.variables_size.filter(|_| !vm.shape.nvram.own);
        size.map(|size| SetUpStep::WriteOverlay { path: VARIABLES_PATH.into(), size: size.0 }).into_iter().collect()
    }

    fn memory(&self, vm: &Vm) -> Bytes {
        // The code is as large as the variables, or smaller.
        vm.shape.nvram.variables_size.map_or(Bytes(0), |size| Bytes(2 * size.0))
    }

    fn needs(&self, board: &Board) -> Vec<Need> {
        let package = if board.architecture == Architecture::Arm { "qemu-efi-aarch64" } else { "ovmf" };
        self.files().map(|files| need(files.code, package, "the UEFI firmware")).into_iter().collect()
    }
}
