//! What programs of ours tell line by line while they work: closed JSON, which is taken for a stranger's word.

use super::facts::{printable, report_line};
use crate::model::{Problem, Word};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// Why there is no result.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    problem: String,
    full: bool,
}

impl Failed {
    /// The sentence, and whether there was no room.
    pub(crate) fn new(sentence: &str, full: bool) -> Self {
        Self { problem: printable(sentence, 500), full }
    }
}

impl From<Failed> for Problem {
    fn from(Failed { problem, full }: Failed) -> Self {
        Self::new(if full { Word::NoSpace } else { Word::Failed }, printable(&problem, 500))
    }
}

/// Prints a line for whoever reads standard error.
pub(crate) fn tell(line: &impl Serialize) {
    let line = serde_json::to_string(line).expect("plain records become JSON");
    // Whether anybody reads is looked at elsewhere.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Reads a line; `what` begins the sentence if it is not a proper one.
pub(crate) fn read<T: DeserializeOwned>(line: &str, what: &str) -> Result<T, Problem> {
    serde_json::from_str(report_line(line, what)?).map_err(|_| unlike(what))
}

/// What was printed is no report.
pub(crate) fn unlike(what: &str) -> Problem {
    Problem::failed(format!("{what} printed something else than its report."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_result_is_told_in_plain_text() {
        for (full, word) in [(true, Word::NoSpace), (false, Word::Failed)] {
            let line = serde_json::to_string(&Failed::new("It is\tfull.", full)).unwrap();
            let problem = Problem::from(read::<Failed>(&line, "It").unwrap());
            assert_eq!((problem.word, problem.message.contains('\t')), (word, false));
        }
        // A stranger's word is not believed to be plain.
        let problem = Problem::from(read::<Failed>(r#"{"problem":"a\u001b[2Jb","full":false}"#, "It").unwrap());
        assert!(!problem.message.contains('\u{1b}'), "{problem:?}");
        for odd in ["", "text", r#"{"problem":"","full":false,"more":1}"#] {
            assert!(read::<Failed>(odd, "The program").unwrap_err().message.starts_with("The program"), "{odd:?}");
        }
    }
}
