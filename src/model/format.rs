//! The formats of disk images.

use serde::{Deserialize, Serialize};

/// The formats of disk images.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The disk's bytes as they are; ISO images too.
    Raw,
    /// QEMU's own, version 2 and 3.
    Qcow2,
    /// VirtualBox.
    Vdi,
    /// VMware, one file that needs no other.
    Vmdk,
    /// Virtual PC (`.vhd`).
    Vpc,
    /// Hyper-V.
    Vhdx,
    /// QEMU's former one.
    Qed,
}

impl Format {
    /// The driver's name in QEMU's `-blockdev` and qemu-img's `-f`.
    pub fn driver(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vdi => "vdi",
            Self::Vmdk => "vmdk",
            Self::Vpc => "vpc",
            Self::Vhdx => "vhdx",
            Self::Qed => "qed",
        }
    }
}
