//! A trusted platform module for the guest: swtpm, in the session's unit, as its user, under its limits.
//!
//! Both programs get one end of a socket pair: there is no socket to be found by anybody else, and none
//! to be waited for. swtpm ends when QEMU does, since its connection is lost; else with the unit.

use crate::qemu::SWTPM;
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// What the module remembers, as long as the session lives.
const STATE: &str = "/var/tmp/tpm";

/// Starts it; what comes back is for QEMU, and open to it.
pub(super) fn start() -> io::Result<OwnedFd> {
    DirBuilder::new().mode(0o700).create(STATE)?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(SWTPM);
    command.args(["socket", "--tpm2", "--terminate", "--ctrl", "type=unixio,clientfd=0"]);
    command.args(["--tpmstate", &format!("dir={STATE}")]);
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
    fcntl_setfd(&ours, FdFlags::empty())?;
    Ok(ours.into())
}
