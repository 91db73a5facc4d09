//! What is known about an image, and the line in which `qwd-inspect` tells it.
//!
//! The line comes from a process that has read a stranger's file, so it is taken for a stranger's
//! word too: closed JSON, bounded in length and values, its sentence stripped of control characters.

use crate::model::{Format, Problem, Word};
use serde::{Deserialize, Serialize};

/// No disk is larger than this (64 TiB).
pub const VIRTUAL_SIZE_MAX: u64 = 64 << 40;

/// A report is one short line: so many bytes at most.
const LINE_MAX: usize = 2048;
/// As many bytes of one are worth reading: more than a good one has, so that what is longer is noticed.
pub const REPORT_MAX: u64 = 2 * LINE_MAX as u64;

/// What an image is, as far as starting it needs to know.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// How its bytes are to be read.
    pub format: Format,
    /// A CD or DVD, which is booted from and needs a disk beside it.
    pub iso: bool,
    /// Size of the disk it holds, in bytes.
    pub virtual_size: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    problem: String,
    /// It lies elsewhere than in the image.
    #[serde(default)]
    elsewhere: bool,
}

/// Why `qwd-inspect` has no facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The image is no machine: why.
    Image(String),
    /// It could not be looked into: why.
    Elsewhere(String),
}

impl From<String> for Refused {
    fn from(sentence: String) -> Self {
        Self::Image(sentence)
    }
}

/// The line that [`read_report`] reads.
pub(super) fn write_report(found: &Result<Facts, Refused>) -> String {
    let line = match found {
        Ok(facts) => serde_json::to_string(facts),
        Err(Refused::Image(why)) => serde_json::to_string(&Refusal { problem: printable(why, 500), elsewhere: false }),
        Err(Refused::Elsewhere(why)) => {
            serde_json::to_string(&Refusal { problem: printable(why, 500), elsewhere: true })
        }
    };
    line.expect("plain records become JSON")
}

/// Reads what `qwd-inspect` printed. The sentence of a refused image becomes a
/// [`Word::MachineUnusable`]; anything but a proper report, [`Word::Failed`].
pub fn read_report(text: &str) -> Result<Facts, Problem> {
    let line = report_line(text, "The examination of the image")?;
    if let Ok(refusal) = serde_json::from_str::<Refusal>(line) {
        let word = if refusal.elsewhere { Word::Failed } else { Word::MachineUnusable };
        return Err(Problem::new(word, printable(&refusal.problem, 500)));
    }
    let facts: Facts = serde_json::from_str(line)
        .map_err(|e| Problem::failed(format!("The report about the image cannot be read: {e}.")))?;
    if !(1..=VIRTUAL_SIZE_MAX).contains(&facts.virtual_size) || facts.iso && facts.format != Format::Raw {
        return Err(Problem::failed("The report about the image contradicts itself."));
    }
    Ok(facts)
}

/// The one line that a helper of ours printed; `what` begins the sentence if that was something else.
pub(crate) fn report_line<'a>(text: &'a str, what: &str) -> Result<&'a str, Problem> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    if line.is_empty() {
        return Err(Problem::failed(format!("{what} ended without a result.")));
    }
    if line.len() > LINE_MAX || line.contains('\n') {
        return Err(Problem::failed(format!("{what} printed something else than its report.")));
    }
    Ok(line)
}

/// The text on one line, without what would move a terminal's cursor, and not too long.
pub(crate) fn printable(text: &str, longest: usize) -> String {
    let mut line: String =
        text.chars().take(longest).map(|c| if c.is_control() || is_direction(c) { ' ' } else { c }).collect();
    if text.chars().nth(longest).is_some() {
        line.push('…');
    }
    line.trim().to_owned()
}

/// Unicode's invisible marks that turn or reorder the text after them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_back() {
        let facts = Facts { format: Format::Qcow2, iso: false, virtual_size: 10 << 30 };
        let line = write_report(&Ok(facts));
        assert_eq!(line, r#"{"format":"qcow2","iso":false,"virtual_size":10737418240}"#);
        assert_eq!(read_report(&format!("{line}\n")).unwrap(), facts);
        let refused = read_report(&write_report(&Err("It is \u{1b}[31mred\nand long.".to_owned().into()))).unwrap_err();
        assert_eq!(refused.word, Word::MachineUnusable);
        assert_eq!(refused.message, "It is  [31mred and long.");
        let elsewhere = read_report(&write_report(&Err(Refused::Elsewhere("No qemu-img.".into())))).unwrap_err();
        assert_eq!((elsewhere.word, elsewhere.message.as_str()), (Word::Failed, "No qemu-img."));
    }

    #[test]
    fn a_report_that_is_not_ours_is_not_believed() {
        let long = format!(r#"{{"problem":"{}"}}"#, "x".repeat(4000));
        for text in [
            "",
            "\n",
            "null",
            "{}",
            r#"{"format":"qcow2","iso":false}"#,
            r#"{"format":"qcow2","iso":false,"virtual_size":-1}"#,
            r#"{"format":"qcow2","iso":false,"virtual_size":0}"#,
            r#"{"format":"qcow2","iso":false,"virtual_size":70368744177665}"#,
            r#"{"format":"qcow2","iso":true,"virtual_size":1048576}"#,
            r#"{"format":"nbd","iso":false,"virtual_size":1048576}"#,
            r#"{"format":"raw","iso":false,"virtual_size":1048576,"backing":"/etc/shadow"}"#,
            "{\"format\":\"raw\",\"iso\":false,\"virtual_size\":1048576}\n{}",
            &long,
        ] {
            assert_eq!(read_report(text).unwrap_err().word, Word::Failed, "{text:?}");
        }
    }

    #[test]
    fn every_format_is_called_as_qemu_calls_it() {
        for format in [Format::Raw, Format::Qcow2, Format::Vdi, Format::Vmdk, Format::Vpc, Format::Vhdx, Format::Qed] {
            assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{}\"", format.driver()));
        }
    }
}
