//! All that clones of a virtual machine have in common.

use super::Accel;
use super::hardware::Hardware;
use crate::model::{Bytes, Format};
use std::path::{Path, PathBuf};

/// Everything that the guest's state depends on: a saved guest can only go on in a machine of the same shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// QEMU's versioned machine type, such as `pc-i440fx-7.2`: a plain one is another machine with each version.
    pub machine_type: String,
    /// Board and devices.
    pub hardware: Hardware,
    /// Kernel or software.
    pub accel: Accel,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
    /// The base of the disk.
    pub backing: Backing,
    /// Size of the session's disk.
    pub disk_size: Bytes,
    /// The initial state of firmware and TPM.
    pub nvram: Nvram,
    /// The kind of network.
    pub network: Network,
}

/// The base of the session's overlay.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Backing {
    /// A disk image, read-only.
    Image { path: PathBuf, format: Format },
    /// Nothing: an empty disk beside a CD.
    Empty { cd: PathBuf },
    /// Nothing: an empty disk beside a CD, which boots only as long as the disk cannot.
    Install { cd: PathBuf },
    /// Nothing: the disk is an image that the session writes to.
    Own,
}

impl Backing {
    /// Return the file that is bound into the unit, read-only.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Image { path, .. } | Self::Empty { cd: path } | Self::Install { cd: path } => Some(path),
            Self::Own => None,
        }
    }

    /// Return whether there is a CD.
    pub fn has_cd(&self) -> bool {
        matches!(self, Self::Empty { .. } | Self::Install { .. })
    }
}

/// The saved state of firmware and TPM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Nvram {
    /// The firmware's variables; `None`: it begins with those of its package.
    pub variables: Option<PathBuf>,
    /// Size of the variables in either case; `None`: the firmware has none.
    pub variables_size: Option<Bytes>,
    /// The module's state, or the directory of it if the session writes to it; `None`: it begins without.
    pub tpm: Option<PathBuf>,
    /// The session writes to both, and they are kept. Otherwise its changes end with it.
    pub own: bool,
}

/// The network that the guest's card is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// There is no card.
    None,
    /// QEMU's user mode.
    User,
    /// A bridge, by a tap device.
    Bridge,
}
