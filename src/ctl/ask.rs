//! A question on the terminal before what cannot be undone. Where nobody can answer, it is not asked.

use super::out;
use crate::model::{Problem, Word};
use std::io::{IsTerminal, Write};

/// `Ok` if `--yes` or a script says so, or whoever sits there.
pub(super) fn sure(yes: bool, what: &str) -> Result<(), Problem> {
    let stdin = std::io::stdin();
    if yes || !stdin.is_terminal() {
        return Ok(());
    }
    // Nobody sees it when standard error is closed; then nothing is answered by accident either.
    let _ = write!(std::io::stderr(), "{} [y/N] ", out::plain(what));
    let mut answer = String::new();
    let read = stdin.read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" if read.is_ok() => Ok(()),
        _ => Err(Problem::new(Word::Failed, "Nothing was removed.")),
    }
}
