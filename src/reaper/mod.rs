//! The reaper: ends what has expired, and removes what was left behind.
//!
//! `qwd-reaper sweep` has the launcher look for everything that is overdue or left over, and mails
//! owners whose sessions end soon;
//! `expire ID.N` ends one session whose lifetime is over; `end ID` is run by systemd after a session
//! has ended, explains the end and removes what it left; `boot` removes disks of before a reboot.
//! All but `sweep` work while no other program of ours runs.

mod expire;
mod letters;

use crate::bus::LauncherProxyBlocking;
use crate::clearing::{finish, stray_disks};
use crate::config::Watched;
use crate::journal;
use crate::model::Problem;
use crate::policy::Outcome;
use crate::records::Store;
use clap::{Parser, Subcommand};
use std::path::Path;
use std::process::ExitCode;
use zbus::blocking::Connection;

/// Ends what has expired and removes what was left behind. Started by systemd.
#[derive(Parser)]
#[command(name = "qwd-reaper", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Has the launcher end what is overdue and remove what was left behind.
    Sweep,
    /// Ends the session whose timer this is.
    Expire {
        /// `ID.N`, the instance of the timer.
        instance: String,
    },
    /// Explains the end of a session from MONITOR_* and removes what it left.
    End {
        /// The session's id.
        id: String,
    },
    /// Removes the disks of sessions from before a reboot.
    Boot,
}

/// Runs the program; the exit code says whether it ended as it should.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    journal::init();
    match run(arguments.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            log::error!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<(), Problem> {
    let root = Path::new("/");
    match verb {
        Verb::Sweep => {
            let swept = sweep();
            letters::send(root, &Store::new(root));
            swept
        }
        Verb::Expire { instance } => expire::expire(&Store::new(root), &instance),
        Verb::End { id } => finish(&Store::new(root), &id.parse()?, &outcome_from_environment()),
        Verb::Boot => {
            let settings = Watched::new(root).current().0.settings.clone();
            for sentence in stray_disks(&Store::new(root), settings.disks_dir.as_deref()) {
                log::info!("{sentence}");
            }
            Ok(())
        }
    }
}

/// How systemd says the unit went (systemd.exec(5), `MONITOR_*`).
fn outcome_from_environment() -> Outcome {
    let get = |name| std::env::var(name).unwrap_or_default();
    Outcome {
        result: get("MONITOR_SERVICE_RESULT"),
        code: get("MONITOR_EXIT_CODE"),
        status: get("MONITOR_EXIT_STATUS"),
    }
}

fn sweep() -> Result<(), Problem> {
    let connection = Connection::system()?;
    let found = LauncherProxyBlocking::new(&connection)?.sweep()?;
    if !found.is_empty() {
        log::info!("The sweep found {} thing(s) to do.", found.len());
    }
    Ok(())
}
