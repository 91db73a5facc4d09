//! The display: carries a screen over a WebSocket, and drops what a role may not send.

/// Runs the program; the exit code says whether it ended as it should.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
