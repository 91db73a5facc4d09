//! A virtual machine as a list of devices. Pure: reads nothing, runs nothing.
//!
//! ```text
//! machines.conf, [qemu] ──> Hardware: board and devices ─┐
//! image, accelerator, amounts ───────────────────────────┴─> Shape: all that clones share ───┐
//! the session's id ──────────────────────────────────────> Identity: what must differ ───────┼─> Vm
//! limits and paths of this host ─────────────────────────> HostSide: not seen by the guest ──┘
//!
//! Vm ──> QEMU's arguments, the unit's properties, the start document of `qwd-session`
//! ```
//!
//! All three are folds over the devices: a device's file (`device/`) says everything about it. Disks are an explicit
//! `-blockdev` graph, so that no image can name another file as its backing; there is no listening VNC socket: viewers
//! are handed to QEMU one by one through its monitor.

mod accel;
mod argv;
pub mod device;
mod document;
pub mod exit;
mod hardware;
mod identity;
mod shape;
mod unit;

pub use accel::Accel;
pub use argv::Arguments;
pub use device::agent::AGENT_SOCKET;
pub use device::firmware::FirmwareFiles;
pub use device::monitors::{LAUNCHER_SOCKET, STOP_SOCKET};
pub use device::nic::{BRIDGE_HELPER, BRIDGE_TOOL};
pub use device::storage::{DISK_NAME, file_limit};
pub use device::tpm::{SWTPM, TPM_CREDENTIAL, TPM_DIR};
pub use document::{Descriptor, DescriptorKind, FD, SetUpStep, SocketFile, StartDocument};
pub use hardware::{Board, Chipset, Hardware, Need, host};
pub use identity::Identity;
pub use shape::{Backing, Network, Nvram, Shape};

use crate::model::{Bytes, IpNetwork, Lifetime, MachineName};
use crate::unit::Properties;
use std::path::PathBuf;

/// Limits and paths of this host. The guest does not see them.
#[derive(Clone, Debug)]
pub struct HostSide {
    /// The session's disk outside the unit, if it is not in its private `/var/tmp`.
    pub disk_file: Option<PathBuf>,
    /// The largest file that QEMU may write; `None`: no limit.
    pub file_max: Option<Bytes>,
    /// Memory of QEMU itself, in addition to the guest's.
    pub overhead: Bytes,
    /// Percent of one CPU for each virtual CPU.
    pub cpu_quota: u32,
    /// Time for the guest to shut down.
    pub stop_grace: Lifetime,
    /// Networks that QEMU must not reach; `None`: it has no network at all.
    pub closed: Option<Vec<IpNetwork>>,
    /// The file with the guest's name server, bound as `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
}

/// A virtual machine of one session on this host.
#[derive(Clone, Debug)]
pub struct Vm {
    /// The machine's name, for the journal.
    pub machine: MachineName,
    /// All that its clones have in common.
    pub shape: Shape,
    /// The values that differ between clones.
    pub identity: Identity,
    /// The limits and paths of this host.
    pub host: HostSide,
}

impl Vm {
    /// Return QEMU's command line, program first. `qwd-session` adds the arguments that name descriptors.
    pub fn argv(&self) -> Vec<String> {
        argv::argv(self)
    }

    /// Return the properties of `qwd-session-ID.service`, to which the caller adds the channel as standard input.
    pub fn unit(&self) -> Properties {
        unit::properties(self)
    }

    /// Return what `qwd-session` has to do, and with which descriptors.
    pub fn document(&self) -> StartDocument {
        let devices = || self.shape.hardware.devices();
        StartDocument {
            steps: devices().flat_map(|device| device.steps(self)).collect(),
            qemu: self.argv(),
            descriptors: devices().flat_map(|device| device.descriptors(self)).collect(),
        }
    }
}
