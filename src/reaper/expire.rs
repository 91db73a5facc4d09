//! The end of a lifetime, by the session's own timer.
//!
//! A timer fires too early if the record was written and the timer for it was not armed, or if the server's clock was
//! set back. Then a timer for the end on record takes over. All of it works while the launcher does not run.

use crate::host;
use crate::model::{Problem, SessionId};
use crate::session::{Asked, OnRecord, Record, Store};
use crate::systemd::Systemd;
use crate::unit;
use zbus::blocking::Connection;

/// A timer may fire so many seconds early by the clock of the record.
const SLACK: u64 = 2;

/// What a timer that has fired means.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    /// The session is to end.
    Now,
    /// It is to end at this time, in seconds since 1970.
    Later(u64),
    /// The session has no end.
    Never,
}

/// Asks for the end of the session, or arms a timer if that is not due yet.
pub(super) fn expire(store: &Store, instance: &str) -> Result<(), Problem> {
    let (id, fired) = unit::parse_timer(instance)?;
    if matches!(store.look_up(&id), Ok(OnRecord::Newer)) {
        log::warn!(QWD_SESSION = id.as_str(); "Session {id} continues after its time: a newer version of qemu-web-desktop \
            wrote its record. Install that version again, or run 'qwdctl stop {id}'.");
        return Ok(());
    }
    let record = store.read(&id);
    let systemd = Systemd::new(&Connection::system()?)?;
    let now = host::now();
    match due(record.as_ref(), fired, now) {
        Due::Never => Ok(()),
        Due::Later(end) => systemd.arm_expiry(&id, end, now),
        // The latest timer of a session without a record is the one that counts.
        Due::Now if record.is_none() && has_another(&systemd, &id, instance)? => Ok(()),
        Due::Now => {
            note(store, &id, record.as_ref());
            systemd.stop(&unit::session_unit(&id))
        }
    }
}

/// Decide by the end on record; by the timer's own where the record is lost or damaged.
fn due(record: Option<&Record>, fired: u64, now: u64) -> Due {
    match record.map_or(fired, |record| record.expires_at) {
        0 if record.is_some() => Due::Never,
        end if end > now.saturating_add(SLACK) => Due::Later(end),
        _ => Due::Now,
    }
}

fn has_another(systemd: &Systemd, id: &SessionId, instance: &str) -> Result<bool, Problem> {
    let own = format!("qwd-expire@{instance}.timer");
    Ok(systemd.expiry_timers(id)?.iter().any(|timer| *timer != own))
}

/// Write down and report why the session ends. It ends also where that cannot be written.
fn note(store: &Store, id: &SessionId, record: Option<&Record>) {
    if let Err(e) = store.ask(id, &Asked::Expiry) {
        log::error!(QWD_SESSION = id.as_str(); "The expiry of session {id} cannot be written down: {e}.");
    }
    let owner = record.map(|r| r.owner_shown()).unwrap_or_default();
    let machine = record.map_or("", |r| r.spec.machine.as_str());
    log::info!(QWD_SESSION = id.as_str(), QWD_OWNER = owner.as_str(), QWD_MACHINE = machine;
        "The lifetime of session {id} is over; its guest is asked to shut down");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::{record, store};

    fn ending_at(end: u64) -> Record {
        let mut record = record("abcdefghij", "alice");
        record.expires_at = end;
        record
    }

    #[test]
    fn the_end_on_record_counts_whatever_the_timer_says() {
        let at = |end, fired| due(Some(&ending_at(end)), fired, 1000);
        assert_eq!([at(1000, 1000), at(1002, 1000), at(500, 9000)], [Due::Now, Due::Now, Due::Now]);
        assert_eq!(
            [at(1003, 1000), at(9000, 0), at(9000, 9000)],
            [Due::Later(1003), Due::Later(9000), Due::Later(9000)]
        );
        assert_eq!(at(0, 1000), Due::Never);
    }

    #[test]
    fn a_session_without_a_record_ends_by_its_timer() {
        assert_eq!([due(None, 1000, 1000), due(None, 0, 1000)], [Due::Now, Due::Now]);
        assert_eq!(due(None, 5000, 1000), Due::Later(5000));
    }

    #[test]
    fn a_session_of_a_newer_version_is_not_ended() {
        let (root, store) = store("expire-newer");
        let id: SessionId = "abcdefghij".parse().unwrap();
        store.create(&id, &record("abcdefghij", "alice")).unwrap();
        std::fs::write(store.find_file(&id).unwrap(), r#"{"version": 2}"#).unwrap();
        expire(&store, "abcdefghij.100").unwrap();
        assert_eq!(store.asked(&id), Asked::Nobody);
        std::fs::remove_dir_all(root).unwrap();
    }
}
