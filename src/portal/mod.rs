//! The portal: pages and the JSON API, behind Apache. Starts nothing, reads no disk image.

/// Runs the program; the exit code says whether it ended as it should.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
