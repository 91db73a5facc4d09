//! `qwd-build RECIPE… DIR`: makes a disk with a Debian on it, DIR/raw, of packages of the Debian archive.
//!
//! ```text
//!  mmdebstrap ─ packages into DIR/root, with two calls of this program in between (`finish`)
//!  mke2fs     ─ the root into a partition of DIR/raw, where nothing is mounted (`disk`)
//! ```
//!
//! It runs as root, since the scripts of packages do, in a unit that shuts it in with them. What is reported
//! goes to standard error, a line of JSON for each step and one at the end; when nobody reads it any more, the
//! work stops. What the programs say goes to standard output, which is the journal.

mod archive;
mod bootstrap;
mod disk;
mod finish;
mod progress;
mod recipe;
mod report;

pub use recipe::Recipe;
pub use report::{Phase, Step, read_step};

use crate::images::{Failed, told};
use clap::{Parser, ValueEnum};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// Makes a disk with a Debian on it. Started by qwdctl alone.
#[derive(Parser)]
#[command(name = "qwd-build", version)]
struct Arguments {
    #[command(flatten)]
    recipe: Recipe,
    /// Said by mmdebstrap: what is to be done to the root that it has made so far.
    #[arg(long, value_enum)]
    hook: Option<Hook>,
    /// An empty folder; with --hook, the root.
    folder: PathBuf,
}

/// When this program is called by mmdebstrap.
#[derive(Clone, Copy, ValueEnum)]
enum Hook {
    /// Before the packages that were asked for are installed.
    Before,
    /// After that.
    After,
}

/// Why there is no disk.
#[derive(Debug, PartialEq)]
struct Failure {
    /// As people read it.
    sentence: String,
    /// There was no room for it.
    full: bool,
}

impl Failure {
    fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), full: false }
    }

    fn full() -> Self {
        let sentence = "There is not enough room for the machine. Free some, or set paths.dir_machines to a larger \
                        file system.";
        Self { sentence: sentence.into(), full: true }
    }

    /// A step with a file that went wrong.
    fn of(what: &str, error: &Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::full(),
            _ => Self::new(format!("{what}: {error}.")),
        }
    }
}

/// Runs the program. As a hook it succeeds or fails; else the status is 0 whenever there is a report.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(hook) = arguments.hook {
        return match finish::finish(hook, &arguments.recipe, &arguments.folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                // Where the other end looks for what went wrong.
                println!("qwd-build: {}", failure.sentence);
                ExitCode::FAILURE
            }
        };
    }
    end_with_the_reader();
    told::tell(&match build(&arguments) {
        Ok(()) => Step::Done,
        Err(failure) => Step::Problem(Failed::new(&failure.sentence, failure.full)),
    });
    ExitCode::SUCCESS
}

/// Once the other end of standard error is closed nobody wants the disk any more: systemd ends what this leaves.
fn end_with_the_reader() {
    std::thread::spawn(|| {
        let error = rustix::stdio::stderr();
        let mut fds = [PollFd::from_borrowed_fd(error, PollFlags::empty())];
        if matches!(poll(&mut fds, None), Ok(1..)) {
            std::process::exit(1);
        }
    });
}

/// What it takes, with the package that has it: looked for before anything is fetched.
const TOOLS: [(&str, &str); 2] = [("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs")];

fn at_hand(program: &str, package: &str) -> Result<(), Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).exists()) {
        return Ok(());
    }
    Err(missing(program, package, &ErrorKind::NotFound.into()))
}

fn build(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { recipe, folder, .. } = arguments;
    TOOLS.iter().try_for_each(|(program, package)| at_hand(program, package))?;
    let archive = archive::ask(&recipe.suite)?;
    bootstrap::bootstrap(recipe, &archive, folder)?;
    told::tell(&Step::At { phase: Phase::Disk, percent: 0.0 });
    disk::make(folder, recipe.size.0)
}

/// A program that prints what is asked for.
fn answer(program: &str, package: &str, args: &[&str]) -> Result<String, Failure> {
    let done = tool(program).args(args).stderr(Stdio::inherit()).output().map_err(|e| missing(program, package, &e))?;
    if !done.status.success() {
        return Err(Failure::new(format!("The program {program} failed ({}).", done.status)));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A program that asks nobody anything, in no language but English.
fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    command
}

fn missing(program: &str, package: &str, error: &Error) -> Failure {
    Failure::new(match error.kind() {
        ErrorKind::NotFound => format!("The program {program} is missing: 'apt install {package}' installs it."),
        _ => format!("The program {program} cannot be run: {error}."),
    })
}
