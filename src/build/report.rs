//! What `qwd-build` tells: lines of closed JSON, which are taken for a stranger's word.

use crate::images::{Failed, told};
use crate::model::Problem;
use serde::{Deserialize, Serialize};

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
    Problem(Failed),
}

/// Reads a line. The sentence of a failure is a problem, and so is anything but a proper line.
pub fn read_step(line: &str) -> Result<Step, Problem> {
    match told::read(line, "The building of the machine")? {
        Step::Problem(failed) => Err(failed.into()),
        Step::At { phase, percent } => Ok(Step::At { phase, percent: percent.clamp(0.0, 100.0) }),
        Step::Done => Ok(Step::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Word;

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
