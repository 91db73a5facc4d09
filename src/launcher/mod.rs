//! The launcher: decides whether a session may start, and has systemd start and stop it.
//!
//! It runs as root without a network and with one capability, is started by the bus when somebody
//! calls, and leaves when no session runs and nobody has called for a while. Nothing depends on its staying: what it
//! knows is written in the records and in systemd, and read again when it starts.
//!
//! ```text
//!  caller ── service (who may call what) ── core ── create, control, shares, joins, screens, viewers, …
//!                                            │
//!                            records (disk) ─┴─ table (memory) ── watch (a record goes: told at once)
//! ```

mod agents;
mod bridge;
mod caller;
mod calls;
mod catalogue;
mod changes;
mod claim;
mod control;
#[cfg(test)]
mod control_tests;
mod core;
mod create;
mod disks;
mod ended;
mod figures;
mod follow;
mod idle;
mod joins;
mod kvm;
mod machine_type;
mod newer;
mod offers;
mod pictures;
mod plan;
mod ready;
mod reap;
#[cfg(test)]
mod reap_tests;
mod runtime;
mod screens;
mod service;
mod shares;
mod single;
mod start;
mod stops;
mod sweep;
mod table;
#[cfg(test)]
mod testing;
mod threads;
mod tickets;
mod turns;
mod unrecorded;
mod verdicts;
mod view;
mod viewers;
mod waits;
mod watch;

use crate::model::Problem;
use crate::{bus, journal};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::fdo::RequestNameFlags;

/// How long one call to systemd, or to the bus, may take.
const ANSWER: Duration = Duration::from_secs(30);

/// Serves the bus until it has been idle for some minutes.
pub fn main() -> ExitCode {
    journal::init();
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            log::error!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Connect to a bus. Who does not answer, systemd while it reads its units again for example, is waited for for a while.
fn connect(builder: Builder<'_>) -> zbus::Result<Connection> {
    builder.method_timeout(ANSWER).build()
}

fn serve() -> Result<(), Problem> {
    let _alone = single::acquire(Path::new("/"))?;
    let launcher = service::Launcher::default();
    // Served before the name is ours: zbus drops calls that arrive before it listens for them, and their callers wait.
    let serving = Builder::system().and_then(|builder| builder.serve_at(bus::PATH, launcher.clone()));
    let connection = serving.and_then(connect)?;
    let core = Arc::new(core::Core::new(Path::new("/"), &connection)?);
    watch::start(Arc::clone(&core))?;
    disks::start(Arc::clone(&core))?;
    agents::start(Arc::clone(&core))?;
    stops::start(Arc::clone(&core));
    launcher.begin(&core);
    // Never taken from, nor given to, another launcher.
    connection.request_name_with_flags(bus::NAME, RequestNameFlags::DoNotQueue.into())?;
    follow::take_over(&core);
    core.idle.wait_until_idle();
    // systemd starts a new one for whoever calls from now on; what has arrived is still answered.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    connection.release_name(bus::NAME)?;
    core.idle.wait_for_callers();
    Ok(())
}
