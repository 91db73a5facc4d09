//! The accelerator.

use crate::config::Architecture;
use crate::model::{Acceleration, Bytes};
use crate::unit::Properties;
use crate::vm::Board;
use zbus::zvariant::Value;

/// The accelerator that a session gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accel {
    /// The kernel's virtualization.
    Kvm,
    /// Emulation, with a buffer of translated code of that size.
    Tcg(Bytes),
}

/// Hyper-V features for Windows, so that it need not measure and wait.
const ENLIGHTENED: &str = "hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-vpindex=on,hv-runtime=on,hv-time=on,\
                           hv-synic=on,hv-stimer=on,hv-reset=on,hv-frequencies=on,hv-tlbflush=on,hv-ipi=on";

impl Accel {
    /// Return its kind.
    pub fn kind(self) -> Acceleration {
        match self {
            Self::Kvm => Acceleration::Kvm,
            Self::Tcg(_) => Acceleration::Tcg,
        }
    }

    /// Return the value of `-accel`.
    pub(super) fn option(self) -> String {
        match self {
            Self::Kvm => "kvm".to_owned(),
            Self::Tcg(buffer) => format!("tcg,thread=multi,tb-size={}", buffer.0 >> 20),
        }
    }

    /// Return the value of `-cpu`.
    pub(super) fn cpu(self, board: &Board) -> String {
        match (self, board.architecture) {
            (Self::Kvm, Architecture::X86) if board.windows => format!("host,{ENLIGHTENED}"),
            (Self::Kvm, _) => "host".to_owned(),
            (Self::Tcg(_), Architecture::X86) => "max".to_owned(),
            // Signed pointers by the book cost half of the time.
            (Self::Tcg(_), Architecture::Arm) => "max,pauth-impdef=on".to_owned(),
        }
    }

    /// Return QEMU's memory for it.
    pub(super) fn memory(self) -> Bytes {
        match self {
            Self::Kvm => Bytes(0),
            Self::Tcg(buffer) => buffer,
        }
    }

    /// Return what the unit needs for it.
    pub(super) fn properties(self) -> Properties {
        match self {
            Self::Kvm => vec![
                ("DeviceAllow", Value::from(vec![("/dev/kvm".to_owned(), "rw".to_owned())])),
                ("SupplementaryGroups", Value::from(vec!["kvm"])),
            ],
            Self::Tcg(_) => Vec::new(),
        }
    }
}
