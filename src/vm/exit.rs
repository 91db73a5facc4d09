//! The exit codes of `qwd-session` when it cannot become QEMU, and the owner's message for each.

use super::device::DEVICE_FAILURES;
use crate::model::Word;

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// The kind of problem.
    pub word: Word,
    /// The message for the owner.
    pub message: &'static str,
}

/// The emulator is not installed, or not executable.
pub const NO_QEMU: Failure = Failure {
    code: 122,
    word: Word::Failed,
    message: "QEMU is not installed on the server; the administrator can install it.",
};
/// The document, or a descriptor that it names, was not handed over.
pub const NO_DOCUMENT: Failure = Failure {
    code: 125,
    word: Word::Failed,
    message: "What it starts with was not handed over to it. The server's journal says why.",
};

/// Return the failure with an exit code.
pub fn failure(code: i32) -> Option<Failure> {
    let own = [NO_QEMU, NO_DOCUMENT];
    let all = own.iter().chain(DEVICE_FAILURES.iter().copied().flatten());
    all.copied().find(|failure| i32::from(failure.code) == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_exit_code_has_one_meaning() {
        let all: Vec<u8> = (0..=255).filter(|code| failure(*code).is_some()).map(|code| code as u8).collect();
        let devices: Vec<u8> = DEVICE_FAILURES.iter().copied().flatten().map(|failure| failure.code).collect();
        let distinct: BTreeSet<u8> = devices.iter().copied().collect();
        assert_eq!((distinct.len(), all.len()), (devices.len(), devices.len() + 2));
    }
}
