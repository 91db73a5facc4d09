//! The socket that systemd hands over.

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use std::io;
use std::os::unix::net::UnixListener;

/// The listening socket of `qwd-display.socket`.
///
/// systemd names a number; safe code has no other way from a number to a descriptor than to ask
/// the kernel for a copy of one of our own.
pub fn take() -> io::Result<UnixListener> {
    let number = sd_notify::listen_fds()?
        .next()
        .ok_or_else(|| io::Error::other("qwd-display is started by systemd: 'systemctl start qwd-display.socket'"))?;
    let copied = pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|own| pidfd_getfd(own, number, PidfdGetfdFlags::empty()))
        .map_err(|e| io::Error::other(format!("{e} (SystemCallFilter= of the unit must allow pidfd_getfd)")))?;
    Ok(UnixListener::from(copied))
}
