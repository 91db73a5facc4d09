//! The end of a lifetime, by the session's own timer.

use crate::host;
use crate::model::Problem;
use crate::policy::Asked;
use crate::records::Store;
use crate::systemd::Systemd;
use crate::unit;
use zbus::blocking::Connection;

/// A timer may fire so many seconds early by the clock of the record.
const SLACK: u64 = 2;

/// Asks for the end of the session, unless it has been extended: then its newer timer will.
pub(super) fn expire(store: &Store, instance: &str) -> Result<(), Problem> {
    let id = unit::session_of_timer(instance)?;
    let Some(record) = store.read(&id) else { return Ok(()) };
    let session = &record.session;
    if session.expires_at == 0 || session.expires_at > host::now() + SLACK {
        return Ok(());
    }
    store.ask(&id, &Asked::Expiry).map_err(|e| Problem::failed(format!("The expiry cannot be written down: {e}.")))?;
    log::info!(QWD_SESSION = id.as_str(), QWD_OWNER = session.owner.as_str(), QWD_MACHINE = session.machine.as_str();
        "The lifetime of session {id} is over; its guest is asked to shut down");
    Systemd::new(&Connection::system()?)?.stop(&unit::session_unit(&id))
}
