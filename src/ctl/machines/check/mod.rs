//! `machines check`: starts each machine briefly, and says whether it reaches a screen.
//!
//! A screen has no event that says "something is to be seen", so its picture is asked for each second.
//! Everything else is waited for. A session ends in every case: when it has been looked at, on Ctrl-C and
//! its like, and, where this program is killed, by the short lifetime that it was started with.

mod look;
mod verdict;

use super::NONE;
use crate::bus::Machine;
use crate::ctl::args::{Args, MachinesCheck};
use crate::ctl::client::{Client, is_root};
use crate::ctl::out;
use crate::ctl::signals::{ENDS, Signals};
use crate::model::{MachineName, Problem, Word};
use crate::picture::Picture;
use crate::whole;
use indicatif::{ProgressBar, ProgressStyle};
use look::Look;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use verdict::{Outcome, Verdict};

/// Looks at the machines named, or at all, one after the other; the status is 1 unless all reach a screen.
pub(in crate::ctl) fn check(args: &Args, wanted: &MachinesCheck) -> Result<u8, Problem> {
    if !is_root() {
        return Err(Problem::new(Word::NotAllowed, "Only root can try the machines: 'sudo qwdctl machines check'."));
    }
    // Before there are other threads, so that none of them takes a signal.
    let signals = signals()?;
    let client = Client::connect()?;
    let names = names(client.ask(|launcher, asker| launcher.machines(asker))?, &wanted.names)?;
    let folder = wanted.pictures.as_deref().map(made).transpose()?;
    let bar = bar();
    let mut outcomes = Vec::new();
    for (at, name) in names.iter().enumerate() {
        bar.set_message(format!("{name} ({} of {}): looks for a screen", at + 1, names.len()));
        let verdict = Look::new(&client, &signals, wanted.wait).at(name);
        let interrupted = matches!(verdict, Verdict::Interrupted);
        let mut outcome = verdict.told(name, wanted.wait);
        if let (Some(folder), Some(picture)) = (&folder, &outcome.last) {
            outcome.picture = bar.suspend(|| kept(folder, name, picture));
        }
        bar.suspend(|| outcome.tell(args.json))?;
        outcomes.push(outcome);
        if interrupted {
            break;
        }
    }
    bar.finish_and_clear();
    summary(args, &outcomes)
}

/// What ends this program comes through the channel from now on.
fn signals() -> Result<Receiver<()>, Problem> {
    let (sender, receiver) = channel();
    Signals::hold(ENDS)?.each(move |_| sender.send(()).is_ok());
    Ok(receiver)
}

fn names(all: Vec<Machine>, wanted: &[String]) -> Result<Vec<MachineName>, Problem> {
    let known: Vec<MachineName> = all.into_iter().map(|machine| machine.name).collect();
    if wanted.is_empty() {
        return Ok(known);
    }
    let find = |name: &String| {
        known.iter().find(|known| known.as_str() == name).cloned().ok_or_else(|| {
            let text =
                format!("There is no machine '{}'; 'qwdctl machines' lists those there are.", name.escape_debug());
            Problem::new(Word::NoSuchMachine, text)
        })
    };
    wanted.iter().map(find).collect()
}

fn made(folder: &Path) -> Result<PathBuf, Problem> {
    let failed = |e| Problem::failed(format!("The folder {} cannot be made: {e}.", folder.display()));
    fs::create_dir_all(folder).map_err(failed).map(|()| folder.to_owned())
}

/// Where the picture is kept; `None` if it cannot be, which is said.
fn kept(folder: &Path, name: &MachineName, picture: &Picture) -> Option<PathBuf> {
    let path = folder.join(format!("{name}.png"));
    let written = picture.png().and_then(|png| {
        whole::write(&path, &png, whole::PUBLIC)
            .map_err(|e| Problem::failed(format!("{} cannot be written: {e}.", path.display())))
    });
    written.map_err(|problem| out::complain(&problem.message)).ok().map(|()| path)
}

/// A line on a terminal, nothing elsewhere.
fn bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {wide_msg}  {elapsed}").expect("the shape of the line is valid");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn summary(args: &Args, outcomes: &[Outcome]) -> Result<u8, Problem> {
    if args.json {
        out::json(&outcomes)?;
    } else if outcomes.is_empty() {
        out::line(NONE)?;
    }
    let without = outcomes.iter().filter(|outcome| outcome.result != "screen").count();
    if without == 0 {
        return Ok(0);
    }
    out::complain(&format!("{without} of {} machines did not reach a screen.", outcomes.len()));
    Ok(1)
}
