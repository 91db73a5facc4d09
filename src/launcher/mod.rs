//! The launcher: decides whether a session may start, and has systemd start and stop it.

/// Runs the program; the exit code says whether it ended as it should.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
