//! What `qwd-build` tells: lines of closed JSON, which are taken for a stranger's word.

use crate::images::{printable, report_line};
use crate::model::{Problem, Word};
use serde::{Deserialize, Serialize};
use std::io::Write;

/// What is being done.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Packages are fetched and installed.
    Packages,
    /// They become a disk.
    Disk,
}

/// One line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Step {
    /// So far it has come.
    At {
        /// With what.
        phase: Phase,
        /// How far.
        percent: f64,
    },
    /// The disk is there.
    Done,
    /// There is none.
    #[serde(untagged)]
    Problem {
        /// The sentence.
        problem: String,
        /// There was no room for it.
        full: bool,
    },
}

/// Prints a line for whoever reads standard error.
pub(super) fn tell(step: &Step) {
    let step = match step {
        Step::Problem { problem, full } => Step::Problem { problem: printable(problem, 500), full: *full },
        other => other.clone(),
    };
    let line = serde_json::to_string(&step).expect("plain records become JSON");
    // Whether anybody reads is looked at elsewhere.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Reads a line. The sentence of a failure is a problem, and so is anything but a proper line.
pub fn read_step(line: &str) -> Result<Step, Problem> {
    let line = report_line(line, "The building of the machine")?;
    match serde_json::from_str(line) {
        Ok(Step::Problem { problem, full }) => {
            Err(Problem::new(if full { Word::NoSpace } else { Word::Failed }, printable(&problem, 500)))
        }
        Ok(Step::At { phase, percent }) => Ok(Step::At { phase, percent: percent.clamp(0.0, 100.0) }),
        Ok(Step::Done) => Ok(Step::Done),
        Err(_) => Err(Problem::failed("The building of the machine printed something else than its report.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_reads_back_and_others_are_not_believed() {
        for step in [Step::At { phase: Phase::Disk, percent: 12.5 }, Step::Done] {
            assert_eq!(read_step(&serde_json::to_string(&step).unwrap()).unwrap(), step);
        }
        let full = read_step(r#"{"problem":"No \u001broom.","full":true}"#).unwrap_err();
        assert_eq!((full.word, full.message.as_str()), (Word::NoSpace, "No  room."));
        for line in ["", "{}", "null", r#"{"at":{"phase":"tea","percent":1}}"#, "E: x"] {
            assert_eq!(read_step(line).unwrap_err().word, Word::Failed, "{line}");
        }
        let far = read_step(r#"{"at":{"phase":"packages","percent":1e9}}"#).unwrap();
        assert_eq!(far, Step::At { phase: Phase::Packages, percent: 100.0 });
    }
}
