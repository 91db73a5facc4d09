//! `machines`: the catalogue, with what can be started.

mod check;

pub(super) use check::check;

use super::args::Args;
use super::client::Client;
use super::out;
use crate::bus::Machine;
use crate::config::{self, Catalogue, MachineEntry};
use crate::images::{self, Kept, Purpose};
use crate::model::{Bytes, MachineName, Problem, Word};
use crate::policy::{self, Allowed};
use crate::session::Store;
use crate::show;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const NONE: &str = "There are no machines yet: list some in /etc/qemu-web-desktop/machines.conf, which 'sudo qwdctl download' fetches, or make one with 'sudo qwdctl build'.";

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    machine: Value,
    state: &'static str,
    /// The disk of a session that changes or installs it, or did and did not end in good order.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<Work>,
}

#[derive(Serialize)]
struct Work {
    purpose: Purpose,
    session: String,
    /// The session is over: 'qwdctl adopt' or 'qwdctl discard' decides.
    over: bool,
    #[serde(skip)]
    sentence: String,
}

/// Lists the machines as the launcher sees them; where it cannot be reached, as the files are.
pub(in crate::ctl) fn machines(args: &Args) -> Result<(), Problem> {
    let machines = match asked() {
        Err(problem) if problem.word == Word::Unavailable => {
            out::complain(&format!("{} The files are shown; no image has been looked into.", problem.message));
            from_files(&args.root)?
        }
        answer => answer?,
    };
    print(args, machines)
}

fn asked() -> Result<Vec<Machine>, Problem> {
    Client::connect()?.ask(|launcher, asker| launcher.machines(asker))
}

/// Prints machines as a table, or as JSON.
pub(in crate::ctl) fn print(args: &Args, machines: Vec<Machine>) -> Result<(), Problem> {
    let mut works = works(args, &machines);
    if args.json {
        let shown = machines.into_iter().map(|machine| {
            let work = works.remove(&machine.name);
            Shown { state: state(&machine), machine: machine.json(), work }
        });
        return out::json(&shown.collect::<Vec<_>>());
    }
    if machines.is_empty() {
        return out::line(NONE);
    }
    let row = |m: &Machine| {
        let size = if m.image_bytes == 0 { "-".to_owned() } else { show::bytes(m.image_bytes) };
        let cpus = amounts(m.cpus_min, m.cpus_max, |n| n.to_string());
        let memory = amounts(m.memory_min, m.memory_max, Bytes::about);
        vec![m.name.to_string(), state(m).to_owned(), cpus, memory, size, m.description.clone()]
    };
    let rows: Vec<_> = machines.iter().map(row).collect();
    let heads = ["MACHINE", "STATE", "CPUS", "MEMORY", "SIZE", "DESCRIPTION"];
    out::bytes(out::table(&heads, &rows, out::width()).as_bytes())?;
    for machine in &machines {
        // One of them at most.
        let why = format!("{}{}", machine.problem, machine.unfit);
        if !why.is_empty() {
            out::line(&format!("{}: {why}", machine.name))?;
        }
        if let Some(work) = works.get(&machine.name).filter(|work| work.over && work.sentence != why) {
            out::line(&format!("{}: {}", machine.name, work.sentence))?;
        }
    }
    Ok(())
}

/// What sessions write to that is to be kept, by machine. Only root can look.
fn works(args: &Args, machines: &[Machine]) -> HashMap<MachineName, Work> {
    let Ok(settings) = settings(&args.root) else { return HashMap::new() };
    let (folder, store) = (folder(&args.root, &settings), Store::new(&args.root));
    let work = |machine: &Machine| {
        let kept = Kept::find(&folder, &machine.name)?;
        let session = kept.plan.session.clone()?;
        let over = session.parse().is_ok_and(|id| !store.exists(&id));
        Some((machine.name.clone(), Work { purpose: kept.plan.purpose, session, over, sentence: kept.left() }))
    };
    machines.iter().filter_map(work).collect()
}

/// Return the least and the most that a machine takes, in words.
fn amounts<N: Copy + PartialEq>(least: Option<N>, most: Option<N>, show: impl Fn(N) -> String) -> String {
    match (least, most) {
        (None, None) => "any".to_owned(),
        (Some(least), None) => format!("{}+", show(least)),
        (None, Some(most)) => format!("up to {}", show(most)),
        (Some(least), Some(most)) if least == most => show(least),
        (Some(least), Some(most)) => format!("{} to {}", show(least), show(most)),
    }
}

fn state(machine: &Machine) -> &'static str {
    match (machine.problem.is_empty(), machine.image_bytes) {
        (true, _) if machine.unfit.is_empty() => "ready",
        (true, _) => "unfit",
        (false, 0) => "missing",
        (false, _) => "unusable",
    }
}

/// The folder of the images below `root`.
pub(in crate::ctl) fn folder(root: &Path, settings: &config::Settings) -> PathBuf {
    root.join(settings.machines_dir.strip_prefix("/").unwrap_or(&settings.machines_dir))
}

/// The catalogue below `root`; what is wrong with it is said.
pub(in crate::ctl) fn catalogue(root: &Path) -> Catalogue {
    let catalogue = Catalogue::load(root);
    catalogue.faults.iter().for_each(|fault| out::complain(&fault.to_string()));
    catalogue
}

/// The settings below `root`.
pub(in crate::ctl) fn settings(root: &Path) -> Result<config::Settings, Problem> {
    config::load(root).map(|loaded| loaded.settings).map_err(|e| Problem::failed(e.to_string()))
}

fn from_files(root: &Path) -> Result<Vec<Machine>, Problem> {
    let settings = settings(root)?;
    Ok(catalogue(root).machines.iter().map(|entry| from_file(root, &settings, entry)).collect())
}

fn from_file(root: &Path, settings: &config::Settings, entry: &MachineEntry) -> Machine {
    let place = images::locate(&folder(root, settings), &entry.name, entry.url.is_some());
    let usual = Allowed::anybody(settings).usual(&settings.session);
    Machine {
        image_bytes: place.as_ref().map_or(0, |p| p.identity.size),
        problem: entry.faults.first().map(ToString::to_string).or(place.err().map(|p| p.message)).unwrap_or_default(),
        ..Machine::of(entry, policy::usual_of(entry, usual))
    }
}
