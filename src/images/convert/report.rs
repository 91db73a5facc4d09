//! What `qwd-convert` tells: lines of closed JSON, which are taken for a stranger's word.

use super::super::VIRTUAL_SIZE_MAX;
use super::super::told::{self, Failed};
use crate::model::Problem;
use serde::{Deserialize, Serialize};

/// An image has been made.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Converted {
    /// It is a CD, as it was.
    pub iso: bool,
    /// Size of the disk it holds, in bytes.
    pub virtual_size: u64,
}

/// One line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Step {
    /// So far it has come.
    Percent(f64),
    /// It is done.
    Done(Converted),
    /// There is no image.
    #[serde(untagged)]
    Problem(Failed),
}

const WHAT: &str = "The making of the image";

/// Reads a line. The sentence of a refused image is a problem, and so is anything but a proper line.
pub fn read_step(line: &str) -> Result<Step, Problem> {
    match told::read(line, WHAT)? {
        Step::Problem(failed) => Err(failed.into()),
        Step::Percent(percent) => Ok(Step::Percent(percent.clamp(0.0, 100.0))),
        Step::Done(made) if (1..=VIRTUAL_SIZE_MAX).contains(&made.virtual_size) => Ok(Step::Done(made)),
        Step::Done(_) => Err(told::unlike(WHAT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Word;

    #[test]
    fn every_line_reads_back_and_others_are_not_believed() {
        for step in [Step::Percent(12.5), Step::Done(Converted { iso: false, virtual_size: 4 << 20 })] {
            assert_eq!(read_step(&serde_json::to_string(&step).unwrap()).unwrap(), step);
        }
        let full = read_step(r#"{"problem":"No \u001broom.","full":true}"#).unwrap_err();
        assert_eq!((full.word, full.message.as_str()), (Word::NoSpace, "No  room."));
        for line in
            ["", "{}", "null", r#"{"done":{"iso":false,"virtual_size":0}}"#, r#"{"percent":"x"}"#, "qemu-img: x"]
        {
            assert_eq!(read_step(line).unwrap_err().word, Word::Failed, "{line}");
        }
        assert_eq!(read_step(r#"{"percent":1e9}"#).unwrap(), Step::Percent(100.0));
    }
}
