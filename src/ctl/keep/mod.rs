//! The making and keeping of images: `build`, `create`, `import`, `resize`, `compact`, `remove`, `start --master`.
//!
//! ```text
//!  hold the image ─ no session on it? ─ make the new one beside it, in a sandbox ─ examine it ─ rename
//! ```
//!
//! Until the last step the old image is in force, whatever happens; what is left by a run that was ended is
//! removed by the next one or by the sweep.

mod build;
mod change;
mod clearing;
mod convert;
mod import;
mod left;
mod register;
mod remove;
mod session;

pub(super) use build::build;
pub(super) use change::{compact, resize};
pub(super) use import::import;
pub(super) use left::{adopt, discard};
pub(super) use remove::remove;
pub(super) use session::{Prepared, copy, create};

use super::args::Args;
use super::client::Client;
use super::examine::Unprivileged;
use super::{machines, out};
use crate::images::fetch::Hands;
use crate::images::{Converted, Hold, Home, Work, command_word};
use crate::model::{MachineName, Problem, Word};
use crate::session::Store;
use crate::show;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What has become of a machine's image.
#[derive(Serialize)]
struct Outcome<'a> {
    name: &'a MachineName,
    /// `built`, `imported`, `resized`, `compacted`, `unchanged`, `removed`, `adopted` or `discarded`.
    result: &'static str,
    /// Size of the image in force, in bytes.
    image_bytes: u64,
    /// Size of the disk in it, in bytes.
    disk_bytes: u64,
}

/// The folders that all is about.
struct Keeper<'a> {
    args: &'a Args,
    folder: PathBuf,
}

/// A folder in which a new image is going to be made.
struct Begun {
    work: Work,
    clearing: clearing::Clearing,
    bar: ProgressBar,
}

/// A new image that is not in force yet.
struct Made {
    work: Work,
    converted: Converted,
    /// Size of its file, in bytes.
    bytes: u64,
    clearing: clearing::Clearing,
}

/// An image that is ours alone until this is dropped.
struct Held {
    home: Home,
    holds: Vec<Hold>,
}

impl<'a> Keeper<'a> {
    fn new(args: &'a Args) -> Result<Self, Problem> {
        let settings = machines::settings(&args.root)?;
        let folder = machines::folder(&args.root, &settings);
        Ok(Self { args, folder })
    }

    fn root(&self) -> &Path {
        &self.args.root
    }

    /// Takes the image of that name, there or not, for what is to be done to it.
    fn hold(&self, name: &MachineName, doing: &str) -> Result<Held, Problem> {
        let home = Home::find(&self.folder, name)?;
        let holds = home.keys().iter().map(|key| Hold::take(self.root(), key, doing)).collect::<Result<Vec<_>, _>>()?;
        self.no_session(&home)?;
        Ok(Held { home, holds })
    }

    /// Refuses while a session stands on the image, be it by another name.
    fn no_session(&self, home: &Home) -> Result<(), Problem> {
        let keys = home.keys();
        let stands = |machine: &MachineName| {
            let other = Home::find(&self.folder, machine).ok();
            other.is_some_and(|other| other.keys().iter().any(|key| keys.contains(key)))
        };
        let sessions = match Store::new(self.root()).all() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            sessions => sessions.map_err(|e| Problem::failed(format!("The sessions' records cannot be read: {e}.")))?,
        };
        let ids: Vec<String> =
            sessions.into_iter().filter(|(_, r)| stands(&r.spec.machine)).map(|(id, _)| id.to_string()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let (who, what) = if ids.len() == 1 { ("A session stands", "it") } else { ("Sessions stand", "them") };
        let (name, all) = (home.name(), ids.join(" "));
        Err(Problem::new(
            Word::WrongState,
            format!("{who} on the image of '{name}': 'qwdctl stop {all}' ends {what} first."),
        ))
    }

    fn make_folder(&self) -> Result<(), Problem> {
        let made = std::fs::create_dir_all(&self.folder);
        made.map_err(|e| Problem::failed(format!("{} cannot be made: {e}.", self.folder.display())))
    }

    fn begin(&self, held: &Held) -> Result<Begun, Problem> {
        let work = Work::begin(&held.home, &held.holds)?;
        let clearing = clearing::clear_on_end(work.folder());
        Ok(Begun { work, clearing, bar: bar(held.home.name()) })
    }

    /// Makes the new image from an open one.
    fn make(&self, held: &Held, source: File, what: &[String]) -> Result<Made, Problem> {
        self.begin(held)?.image(source, what)
    }

    /// Says how it went, and has the launcher look at it before the first session does.
    fn report(&self, outcome: &Outcome<'_>) -> Result<(), Problem> {
        let asked =
            Client::connect().and_then(|client| client.ask(|launcher, _| launcher.examine(outcome.name.as_str())));
        if let Some(machine) = asked.ok().filter(|machine| !machine.problem.is_empty()) {
            out::complain(&format!("{}: {}", outcome.name, machine.problem));
        }
        self.say(outcome)
    }

    fn say(&self, outcome: &Outcome<'_>) -> Result<(), Problem> {
        if self.args.json {
            return out::json(outcome);
        }
        let Outcome { name, result, image_bytes, disk_bytes } = outcome;
        out::line(&match *result {
            "removed" | "discarded" => format!("{name}: {result}"),
            "unchanged" => format!("{name}: is as small as it can be ({})", show::bytes(*image_bytes)),
            _ => format!("{name}: {result} ({}, a disk of {})", show::bytes(*image_bytes), show::bytes(*disk_bytes)),
        })
    }

    /// A later download would not touch an image of one's own: said before somebody wonders.
    fn mention_url(&self, name: &MachineName) {
        let catalogue = machines::catalogue(self.root());
        if catalogue.get(name).is_some_and(|entry| entry.url.is_some()) {
            let word = command_word(name.as_str());
            out::complain(&format!(
                "{name}: url= in machines.conf is of no use any more, since 'qwdctl download' leaves this image alone. \
                 Take it out, or say 'qwdctl remove {word}' to begin anew."
            ));
        }
    }
}

impl Begun {
    /// Makes the new image from an open one, examines it, and leaves it in the folder.
    fn image(self, source: File, what: &[String]) -> Result<Made, Problem> {
        let Self { work, clearing, bar } = self;
        let converted = convert::convert(source, &work, what, &bar)?;
        let bytes = work.settle()?;
        Unprivileged(&bar).examine(&work.disk())?;
        bar.finish_and_clear();
        Ok(Made { work, converted, bytes, clearing })
    }
}

fn bar(name: &MachineName) -> ProgressBar {
    const SHAPE: &str = "{prefix}  {wide_bar}  {percent} %  {eta} left  {msg}";
    let style = ProgressStyle::with_template(SHAPE).expect("the shape of the bar is valid");
    ProgressBar::new(1000).with_style(style).with_prefix(name.to_string())
}
