//! `qwdctl`: what an administrator, or a member of `qwd-users`, says to the service.

/// Runs the program; its exit status is 0, 1 (failed), 2 (usage), 3 (refused by a limit) or 4 (no such thing).
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
