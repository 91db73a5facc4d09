//! The display: carries a screen over a WebSocket, and drops what a role may not send.

pub mod frame;
pub mod handshake;
pub mod origin;
pub mod rfb;

/// Runs the program; the exit code says whether it ended as it should.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
