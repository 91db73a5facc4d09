//! `download`: fetches the images of the catalogue; `refresh`: has all that are there examined.

use super::args::Args;
use super::client::Client;
use super::examine::Unprivileged;
use super::machines::{self, catalogue, folder, settings};
use super::out;
use crate::config::{Catalogue, MachineEntry};
use crate::images::fetch::{Fetched, Lock, Network, Proxies, fetch};
use crate::model::{MachineName, Problem, Word};
use crate::show;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::HashSet;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[derive(Serialize)]
struct Outcome<'a> {
    name: &'a MachineName,
    /// `downloaded`, `current` or `failed`.
    result: &'static str,
    /// Size of the image in force that was fetched or checked; zero if it failed.
    image_bytes: u64,
    /// Why it failed; else empty.
    message: String,
}

const PASSED_OVER: &str = "Parts of /etc/qemu-web-desktop/machines.conf were passed over because of the mistakes above: \
                           correct them and run the command again.";

/// Fetches the machines named, or all that have an address. One failure does not stop the others.
pub(super) fn download(args: &Args, names: &[String]) -> Result<u8, Problem> {
    let settings = settings(&args.root)?;
    let catalogue = catalogue(&args.root);
    let wanted = wanted(&catalogue, names)?;
    let folder = folder(&args.root, &settings);
    let network = Network {
        most: settings.download.size_max.0,
        timeout: Duration::from_secs(settings.download.timeout.into()),
        proxies: Proxies::from_env(&settings.download.proxy),
    };
    let _lock = Lock::take(&folder)?;
    let job = Job { args, folder: &folder, network: &network, bars: MultiProgress::new() };
    let code = summary(args, &job.all(&wanted, settings.download.parallel))?;
    // Which mistakes there are has been said already.
    if names.is_empty() && catalogue.is_incomplete() {
        out::complain(PASSED_OVER);
        return Ok(1);
    }
    Ok(code)
}

/// What all downloads of one run have in common.
struct Job<'a> {
    args: &'a Args,
    folder: &'a Path,
    network: &'a Network,
    bars: MultiProgress,
}

impl Job<'_> {
    /// Fetches all of them, some at the same time. What became of them, in the order of their names.
    fn all<'m>(&self, wanted: &[&'m MachineEntry], parallel: usize) -> Vec<Outcome<'m>> {
        let queue = Mutex::new(wanted.iter().enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            let mut done = Vec::new();
            while let Some((at, entry)) = next() {
                done.push((at, self.one(entry)));
            }
            done
        };
        let mut done = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..parallel.min(wanted.len())).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.flatten().collect::<Vec<_>>()
        });
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn one<'m>(&self, entry: &'m MachineEntry) -> Outcome<'m> {
        if let Some(fault) = entry.faults.first() {
            // It has been said already.
            return Outcome { name: &entry.name, result: "failed", image_bytes: 0, message: fault.to_string() };
        }
        let bar = self.bars.add(bar(&entry.name));
        let mut progress = |done, total: Option<u64>| {
            bar.set_length(total.unwrap_or(done));
            bar.set_position(done);
        };
        let fetched = fetch(self.folder, entry, self.network, &Unprivileged(&bar), &mut progress);
        bar.finish_and_clear();
        let outcome = match fetched {
            Ok(Fetched::New(size)) => told_launcher(&entry.name, size),
            Ok(Fetched::Current(size)) => Outcome::good(&entry.name, "current", size),
            Err(problem) => Outcome { name: &entry.name, result: "failed", image_bytes: 0, message: problem.message },
        };
        self.bars.suspend(|| outcome.tell(self.args));
        outcome
    }
}

fn wanted<'a>(catalogue: &'a Catalogue, names: &[String]) -> Result<Vec<&'a MachineEntry>, Problem> {
    if names.is_empty() {
        return Ok(catalogue.machines.iter().filter(|entry| entry.url.is_some()).collect());
    }
    let mut all: Vec<&MachineEntry> = names.iter().map(|name| catalogued(catalogue, name)).collect::<Result<_, _>>()?;
    // Named twice is meant once.
    let mut seen = HashSet::new();
    all.retain(|entry| seen.insert(&entry.name));
    Ok(all)
}

fn catalogued<'a>(catalogue: &'a Catalogue, name: &str) -> Result<&'a MachineEntry, Problem> {
    let found = name.parse().ok().and_then(|name: MachineName| catalogue.get(&name));
    found.ok_or_else(|| {
        let name = name.escape_debug();
        Problem::new(Word::NoSuchMachine, format!("There is no [{name}] in /etc/qemu-web-desktop/machines.conf."))
    })
}

/// The launcher remembers what it finds out now, so that the first session need not wait for it. What
/// it cannot tell now, it finds out then.
fn told_launcher(name: &MachineName, size: u64) -> Outcome<'_> {
    let asked = Client::connect().and_then(|client| client.ask(|launcher, _| launcher.examine(name.as_str())));
    if let Some(machine) = asked.ok().filter(|machine| !machine.problem.is_empty()) {
        out::complain(&format!("{name}: {}", machine.problem));
    }
    Outcome::good(name, "downloaded", size)
}

impl<'a> Outcome<'a> {
    fn good(name: &'a MachineName, result: &'static str, image_bytes: u64) -> Self {
        Self { name, result, image_bytes, message: String::new() }
    }

    fn tell(&self, args: &Args) {
        let line = match self.result {
            "failed" => return out::complain(&format!("{}: {}", self.name, self.message)),
            _ if args.json => return,
            "current" => format!("{}: is up to date ({})", self.name, show::bytes(self.image_bytes)),
            _ => format!("{}: downloaded ({})", self.name, show::bytes(self.image_bytes)),
        };
        // The download counts, whoever reads about it.
        let _ = out::line(&line);
    }
}

fn bar(name: &MachineName) -> ProgressBar {
    const SHAPE: &str = "{prefix}  {wide_bar}  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
    let style = ProgressStyle::with_template(SHAPE).expect("the shape of the bar is valid");
    ProgressBar::new(0).with_style(style).with_prefix(name.to_string())
}

fn summary(args: &Args, outcomes: &[Outcome<'_>]) -> Result<u8, Problem> {
    if args.json {
        out::json(&outcomes)?;
    } else if outcomes.is_empty() {
        out::line("No machine in /etc/qemu-web-desktop/machines.conf has an address (url=) to be fetched from.")?;
    }
    let failed = outcomes.iter().filter(|outcome| outcome.result == "failed").count();
    if failed == 0 {
        return Ok(0);
    }
    out::complain(&format!(
        "{failed} of {} machines could not be fetched; images that were there before stay in force.",
        outcomes.len()
    ));
    Ok(1)
}

/// Has every image examined by the launcher; the status is 1 if one is unusable. Those that are
/// missing are named with the command that fetches them.
pub(super) fn refresh(args: &Args) -> Result<u8, Problem> {
    let client = Client::connect()?;
    let catalogue = catalogue(&args.root);
    let examined =
        catalogue.machines.iter().map(|entry| client.ask(|launcher, _| launcher.examine(entry.name.as_str())));
    let examined = examined.collect::<Result<Vec<_>, Problem>>()?;
    let unusable = examined.iter().any(|machine| !machine.problem.is_empty() && machine.image_bytes > 0);
    machines::print(args, examined)?;
    if catalogue.is_incomplete() {
        out::complain(PASSED_OVER);
    }
    Ok((unusable || catalogue.is_incomplete()).into())
}
