//! A question on the terminal before what cannot be undone. Where nobody can answer, the command line has to.

use super::out;
use crate::model::{Problem, Word};
use std::io::{IsTerminal, Write};

/// Return `Ok` if `--yes` says so, or whoever sits at the terminal.
pub(super) fn sure(yes: bool, what: &str) -> Result<(), Problem> {
    let stdin = std::io::stdin();
    if yes {
        return Ok(());
    }
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        let text =
            format!("{what} There is no terminal to answer on: give --yes if that is meant. Nothing was removed.");
        return Err(Problem::new(Word::BadRequest, text));
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
