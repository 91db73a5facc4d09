//! A trusted platform module for the guest: swtpm, in the session's unit, as its user, under its limits.
//!
//! Both programs get one end of a socket pair: there is no socket to be found by anybody else, and none
//! to be waited for. swtpm ends when QEMU does, since its connection is lost; else with the unit.

use crate::images::TPM_STATE;
use crate::vm::{SWTPM, TPM_CREDENTIAL, TPM_DIR};
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// Starts it; what comes back is for QEMU, and open to it.
pub(super) fn start() -> io::Result<OwnedFd> {
    // Where what the module writes is to be kept, the folder is there already.
    DirBuilder::new().mode(0o700).recursive(true).create(TPM_DIR)?;
    begin_as_before()?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(SWTPM);
    command.args(["socket", "--tpm2", "--terminate", "--ctrl", "type=unixio,clientfd=0"]);
    command.args(["--tpmstate", &format!("dir={TPM_DIR}")]);
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
    fcntl_setfd(&ours, FdFlags::empty())?;
    Ok(ours.into())
}

/// The state that is kept beside the machine's image, if systemd hands any over.
fn begin_as_before() -> io::Result<()> {
    let Some(credentials) = std::env::var_os("CREDENTIALS_DIRECTORY") else { return Ok(()) };
    let state = fs::read(Path::new(&credentials).join(TPM_CREDENTIAL))?;
    fs::write(Path::new(TPM_DIR).join(TPM_STATE), state)
}
