//! The reaper: ends what has expired, and removes what was left behind.
//!
//! `qwd-reaper sweep` has the launcher look for everything that is overdue or left over, and mails
//! owners whose sessions end soon;
//! `expire ID.END` ends one session whose lifetime is over; `end ID` is run by systemd after a session
//! has ended, explains the end and removes what it left; `boot` removes disks of before a reboot.
//! All but `sweep` work while no other program of ours runs.

mod expire;
mod letters;

use crate::bus::{self, LauncherProxyBlocking};
use crate::cgroup;
use crate::config::Watched;
use crate::journal;
use crate::model::Problem;
use crate::session::{Outcome, Store, finish, stray_disks};
use crate::systemd::Systemd;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zbus::blocking::Connection;
use zbus::blocking::fdo::DBusProxy;
use zbus::names::BusName;

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
        /// `ID.END`, the instance of the timer.
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
            let store = Store::new(root);
            let swept = sweep(&store);
            letters::send(root, &store);
            swept
        }
        Verb::Expire { instance } => expire::expire(&Store::new(root), &instance),
        Verb::End { id } => finish(&Store::new(root), &id.parse()?, &outcome_from_environment()),
        Verb::Boot => {
            let disks = disks_directory(root);
            for sentence in stray_disks(&Store::new(root), disks.as_deref()) {
                log::info!("{sentence}");
            }
            Ok(())
        }
    }
}

/// Return where the sessions' disks are kept, if that is a directory of the administrator's. Where the configuration
/// cannot be used, that is not known, and the disks there stay for the sweep.
fn disks_directory(root: &Path) -> Option<PathBuf> {
    Watched::new(root).current().0.and_then(|loaded| loaded.settings.disks_dir.clone())
}

/// How systemd says the unit went (systemd.exec(5), `MONITOR_*`).
fn outcome_from_environment() -> Outcome {
    let get = |name| std::env::var(name).unwrap_or_default();
    Outcome {
        result: get("MONITOR_SERVICE_RESULT"),
        code: get("MONITOR_EXIT_CODE"),
        status: get("MONITOR_EXIT_STATUS"),
        oom_is_told: cgroup::is_unified(Path::new("/")),
    }
}

/// Have the launcher look. One that has left is not called back while there is no session: what lies about besides
/// waits until it is used again.
fn sweep(store: &Store) -> Result<(), Problem> {
    let connection = Connection::system()?;
    if !is_in_use(&connection, store)? {
        return Ok(());
    }
    let found = LauncherProxyBlocking::new(&connection)?.sweep()?;
    if !found.is_empty() {
        log::info!("The sweep found {} thing(s) to do.", found.len());
    }
    Ok(())
}

/// Return whether the launcher runs, or there is a session, on record or as a unit.
fn is_in_use(connection: &Connection, store: &Store) -> Result<bool, Problem> {
    let name = BusName::try_from(bus::NAME).map_err(zbus::Error::from)?;
    if DBusProxy::new(connection)?.name_has_owner(name).map_err(zbus::Error::from)? {
        return Ok(true);
    }
    let on_record = store.ids().map_or(true, |ids| !ids.is_empty());
    Ok(on_record || !Systemd::new(connection)?.active(&["qwd-session-*.service"])?.is_empty())
}
