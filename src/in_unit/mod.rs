//! What runs inside a session's unit, as its dynamic user: the start and the end of its QEMU.
//!
//! `qwd-session` reads from its channel what it is to do, writes the overlays, starts a trusted platform module, listens
//! on the monitors' sockets, tells systemd that it is ready and becomes
//! QEMU, so that whoever waits for the unit finds sockets that already listen.
//! `qwd-powerdown` asks the guest to shut down and waits.

mod powerdown;
mod qcow2;
mod start;
mod tpm;

pub use powerdown::main as powerdown_main;
pub use start::main as session_main;
