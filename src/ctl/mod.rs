//! `qwdctl`: what an administrator, or a member of `qwd-users`, says to the service.
//!
//! One file for each kind of command. Whatever concerns sessions goes over the bus to the launcher;
//! only downloads, the configuration and the check of the host read and write files here.

mod args;
mod args_images;
mod ask;
mod check;
mod client;
mod complete;
mod config;
mod download;
mod examine;
mod keep;
mod machines;
mod monitor;
mod old_version;
mod out;
mod sessions;
mod shares;
mod signals;
mod status;
mod stop;

use crate::model::Problem;
use args::{Args, Command, Machines};
use clap::Parser;
use std::process::ExitCode;

/// Runs the program; its exit status is 0, 1 (failed), 2 (usage), 3 (refused by a limit) or 4 (no such thing).
pub fn main() -> ExitCode {
    complete::answer_shell();
    let args = Args::parse();
    match run(&args) {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            out::complain(&problem.message);
            ExitCode::from(problem.word.exit_code())
        }
    }
}

/// Does what was asked for. The exit status is in the result where several things were asked for at
/// once and their problems have been told already.
fn run(args: &Args) -> Result<u8, Problem> {
    match &args.command {
        Command::Start(wanted) => sessions::start(args, wanted)?,
        Command::List(wanted) => sessions::list(args, wanted)?,
        Command::Show { id } => sessions::show(args, id)?,
        Command::Resume { id, disk_max } => sessions::resume(args, id, *disk_max)?,
        Command::Extend { id, time } => sessions::extend(args, id, *time)?,
        Command::Stop(wanted) => return stop::stop(args, wanted),
        Command::Share(wanted) => shares::share(args, wanted)?,
        Command::Download { names } => return download::download(args, names),
        Command::Refresh => return download::refresh(args),
        Command::Machines { what: None } => machines::machines(args)?,
        Command::Machines { what: Some(Machines::Check(wanted)) } => return machines::check(args, wanted),
        Command::Monitor(wanted) => monitor::monitor(args, wanted)?,
        Command::Build(wanted) => keep::build(args, wanted)?,
        Command::Import(wanted) => keep::import(args, wanted)?,
        Command::Resize { name, size } => keep::resize(args, name, *size)?,
        Command::Create(wanted) => keep::create(args, wanted)?,
        Command::Adopt { name } => keep::adopt(args, name)?,
        Command::Discard(wanted) => keep::discard(args, wanted)?,
        Command::Compact { name } => keep::compact(args, name)?,
        Command::Remove(wanted) => keep::remove(args, wanted)?,
        Command::Status => return status::status(args),
        Command::Check => return check::check(args),
        Command::Config => config::config(args)?,
        Command::Version => version(args)?,
        Command::Completion { shell } => completion(*shell)?,
    }
    Ok(0)
}

fn version(args: &Args) -> Result<(), Problem> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        out::json(&serde_json::json!({ "version": version }))
    } else {
        out::line(&format!("qwdctl {version}"))
    }
}

fn completion(shell: clap_complete::Shell) -> Result<(), Problem> {
    out::bytes(&complete::script(shell)?)
}
