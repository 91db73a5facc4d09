//! The launcher: decides whether a session may start, and has systemd start and stop it.
//!
//! It runs as root without a network and with one capability, is started by the bus when somebody
//! calls, and leaves when it has been idle for a while. Nothing depends on its staying: what it
//! knows is written in the records and in systemd, and read again when it starts.
//!
//! ```text
//!  caller ── service (who may call what) ── core ── create, control, shares, joins, screens, viewers, …
//!                                            │
//!                            records (disk) ─┴─ table (memory) ── watch (a record goes: told at once)
//! ```

mod bridge;
mod caller;
mod catalogue;
mod control;
mod core;
mod create;
mod ended;
mod figures;
mod follow;
mod idle;
mod joins;
mod kvm;
mod offers;
mod pictures;
mod plan;
mod ready;
mod runtime;
mod screens;
mod service;
mod shares;
mod sweep;
mod table;
mod viewers;
mod watch;

use crate::model::Problem;
use crate::{bus, journal};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use zbus::blocking::connection::Builder;

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

fn serve() -> Result<(), Problem> {
    let connection = Builder::system().and_then(Builder::build)?;
    let core = Arc::new(core::Core::new(Path::new("/"), &connection)?);
    watch::start(Arc::clone(&core))?;
    connection.object_server().at(bus::PATH, service::Launcher(Arc::clone(&core)))?;
    connection.request_name(bus::NAME)?;
    core.idle.wait_until_idle();
    // systemd starts a new one for whoever calls from now on; what has arrived is still answered.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    connection.release_name(bus::NAME)?;
    core.idle.wait_for_callers();
    Ok(())
}
