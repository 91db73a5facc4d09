//! The socket that systemd hands over.

use std::io;
use std::os::unix::net::UnixListener;

/// The listening socket of `qwd-display.socket`.
pub fn take() -> io::Result<UnixListener> {
    let missing = || io::Error::other("systemd passed no socket: 'systemctl start qwd-display.socket' does");
    listenfd::ListenFd::from_env().take_unix_listener(0)?.ok_or_else(missing)
}
