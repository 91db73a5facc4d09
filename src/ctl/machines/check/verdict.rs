//! What became of a machine that was tried, in words.

use crate::ctl::out;
use crate::model::{MachineName, Problem};
use crate::picture::{Picture, Seen};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// What was found.
pub(super) enum Verdict {
    /// The last picture of the screen, after so long.
    Seen(Picture, Duration),
    /// The session was not started, or ended by itself.
    Failed(String),
    /// The launcher would not start it.
    Refused(String),
    /// This program was to end before anything was found.
    Interrupted,
}

/// The same for people and for programs.
#[derive(Serialize)]
pub(super) struct Outcome {
    name: String,
    /// `screen`, `blank`, `placeholder`, `loading`, `unbootable`, `failed`, `refused` or `interrupted`.
    pub(super) result: &'static str,
    /// Why there is no screen; else empty.
    message: String,
    /// From the request to the screen; zero if there is none.
    seconds: u64,
    width: usize,
    height: usize,
    /// Where the picture is.
    pub(super) picture: Option<PathBuf>,
    #[serde(skip)]
    pub(super) last: Option<Picture>,
}

impl Verdict {
    pub(super) fn of_refusal(problem: Problem) -> Self {
        Self::Refused(problem.message)
    }

    /// In words, where so many seconds were waited at most.
    pub(super) fn told(self, name: &MachineName, wait: u32) -> Outcome {
        let (result, message) = match &self {
            Self::Seen(picture, _) => match picture.seen() {
                Seen::Something | Seen::Splash => ("screen", String::new()),
                Seen::Blank => ("blank", format!("Its screen was blank after {wait} s; '--wait' gives it longer.")),
                Seen::Placeholder => (
                    "placeholder",
                    format!(
                        "It had not set up its graphics card after {wait} s: '--wait' gives it longer, or another video= suits it."
                    ),
                ),
                Seen::Loading(line) => (
                    "loading",
                    format!("It was still being loaded after {wait} s, at '{line}'; '--wait' gives it longer."),
                ),
                Seen::Unbootable(line) => {
                    ("unbootable", format!("Its screen says '{line}': it finds nothing to boot."))
                }
            },
            Self::Failed(message) => ("failed", message.clone()),
            Self::Refused(message) => ("refused", message.clone()),
            Self::Interrupted => ("interrupted", "This was broken off; its session has ended.".to_owned()),
        };
        let (last, seconds) = match self {
            Self::Seen(picture, after) => (Some(picture), after.as_secs()),
            _ => (None, 0),
        };
        let (width, height) = last.as_ref().map_or((0, 0), Picture::size);
        let seconds = if result == "screen" { seconds } else { 0 };
        Outcome { name: name.to_string(), result, message, seconds, width, height, picture: None, last }
    }
}

impl Outcome {
    /// Says it; as JSON it comes later, with the others.
    pub(super) fn tell(&self, json: bool) -> Result<(), Problem> {
        let Self { name, width, height, seconds, .. } = self;
        let picture = self.picture.as_ref().map_or(String::new(), |path| format!(" ({})", path.display()));
        match self.result {
            "screen" if json => Ok(()),
            "screen" => out::line(&format!("{name}: reaches a screen of {width} x {height} in {seconds} s{picture}")),
            _ => {
                out::complain(&format!("{name}: {}{picture}", self.message));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(verdict: Verdict) -> Outcome {
        verdict.told(&"m.iso".parse().unwrap(), 9)
    }

    fn picture(lit: &[u8]) -> Picture {
        let points = [lit, &vec![0; 640 * 480 * 3 - lit.len()][..]].concat();
        Picture::read(&[b"P6\n640 480\n255\n", &points[..]].concat()[..]).unwrap()
    }

    #[test]
    fn what_is_seen_decides() {
        let seen = |lit: &[u8]| told(Verdict::Seen(picture(lit), Duration::from_millis(3900)));
        let screen = seen(&[0, 0, 0].into_iter().chain([7; 900]).collect::<Vec<_>>());
        assert_eq!((screen.result, screen.seconds, screen.width, screen.message.as_str()), ("screen", 3, 640, ""));
        let blank = seen(&[]);
        assert_eq!((blank.result, blank.seconds), ("blank", 0));
        assert!(blank.message.contains("after 9 s") && blank.last.is_some());
    }

    #[test]
    fn a_refusal_keeps_its_sentence() {
        let refused = told(Verdict::of_refusal(Problem::failed("All places are taken.")));
        assert_eq!((refused.result, refused.message.as_str()), ("refused", "All places are taken."));
        assert_eq!(told(Verdict::Interrupted).result, "interrupted");
    }
}
