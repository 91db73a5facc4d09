//! QEMU's argument list, as a function of values. Pure: runs nothing, reads nothing.
//!
//! How a session's QEMU is started is decided here and nowhere else. Disks are an explicit
//! `-blockdev` graph, so that no image can name another file as its backing; there is no listening
//! VNC socket: viewers are handed to QEMU one by one through its monitor.

mod argv;
mod drives;
mod hardware;
mod start;

pub use argv::{Accel, Disk, NETDEV, Network, Nvram, Plan, argv, board};
pub use drives::file_limit;
pub use hardware::{FirmwareFiles, Hardware, Need, SWTPM, host};
pub use start::{DescriptorKind, Overlay, StartDocument};

/// The name of the monitor socket that the launcher uses, in the session's directory, which is root's alone.
pub const LAUNCHER_SOCKET: &str = "launcher.sock";
/// The name of the monitor socket that ends a session: QEMU serves one client a socket at a time.
pub const STOP_SOCKET: &str = "stop.sock";
/// Where that one is bound in the session's unit.
pub const STOP_SOCKET_PATH: &str = "/run/stop.sock";
/// The overlay's file name, wherever its folder is.
pub const DISK_NAME: &str = "disk.qcow2";
/// The overlay's place inside the session's unit.
pub const DISK_PATH: &str = "/var/tmp/disk.qcow2";

/// The session's layer on the firmware's variables, inside its unit.
pub const VARIABLES_PATH: &str = "/var/tmp/variables.qcow2";
/// What is below that layer, where it is kept beside the machine's image.
pub const KEPT_VARIABLES_PATH: &str = "/run/variables";
/// The variables of a session that writes to what is kept.
pub const OWN_VARIABLES_PATH: &str = "/var/tmp/variables.fd";
/// Where a trusted platform module keeps its state, inside the session's unit.
pub const TPM_DIR: &str = "/var/tmp/tpm";
/// The name under which systemd hands over the state that a module begins with.
pub const TPM_CREDENTIAL: &str = "tpm";

/// The machine's own file, inside the session's unit: where it lies on the host is nobody's business.
pub const IMAGE_PATH: &str = "/run/image";

/// What makes a tap device and puts it on a bridge.
pub const BRIDGE_HELPER: &str = "/usr/lib/qemu/qemu-bridge-helper";
/// What keeps a device on a bridge from others on it.
pub const BRIDGE_TOOL: &str = "/usr/sbin/bridge";

/// What `qwd-session` exits with when it could not become QEMU, and what each means.
pub mod exit {
    /// No room for the overlay.
    pub const NO_SPACE: i32 = 120;
    /// The overlay could not be made for another reason.
    pub const NO_DISK: i32 = 121;
    /// The emulator is not installed, or not executable.
    pub const NO_QEMU: i32 = 122;
    /// QEMU's monitors could not be served.
    pub const NO_SOCKET: i32 = 123;
    /// The trusted platform module could not be started.
    pub const NO_TPM: i32 = 124;
    /// The document, or a descriptor that it names, was not handed over.
    pub const NO_DOCUMENT: i32 = 125;
}
