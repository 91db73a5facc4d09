//! The timer that ends a session although none of our programs runs.
//!
//! It fires at the end by the clock on the wall, which the record and the pages go by, also after that clock was set or
//! the server was suspended; or when the time has passed that was left when it was armed, whichever comes first. systemd
//! never fires for a date in the past, so neither does alone. A timer that fires too early does no harm: see
//! `reaper/expire.rs`.

use super::{Properties, session_unit};
use crate::model::SessionId;
use zbus::zvariant::Value;

/// systemd knows no date after the year 2199.
const LAST_DATE: u64 = 7_258_118_399;

/// The properties of `qwd-expire@ID.END.timer`, which fires at `end`, but not in the past.
pub fn expiry(id: &SessionId, end: u64, now: u64) -> Properties {
    let left = end.saturating_sub(now).max(1);
    let unit = session_unit(id);
    let mut all: Properties = vec![
        ("Description", format!("End of the lifetime of desktop session {id}").into()),
        ("CollectMode", "inactive-or-failed".into()),
        // systemd stops the timer when the session ends, however that is. The caller starts the timer in the mode
        // "ignore-requirements": in any other, systemd starts a session again that has just ended.
        ("BindsTo", Value::from(vec![unit.clone()])),
        // Restarted with its session, the timer would stay where the session is not started again.
        ("After", Value::from(vec![unit])),
        // A timer with a date would wait for time-sync.target, which may never come.
        ("DefaultDependencies", false.into()),
        ("TimersMonotonic", Value::from(vec![("OnActiveSec", left.saturating_mul(1_000_000))])),
        ("AccuracyUSec", super::micros(1)),
        ("RemainAfterElapse", false.into()),
    ];
    if end <= LAST_DATE {
        all.push(("TimersCalendar", Value::from(vec![("OnCalendar", format!("@{end}"))])));
    }
    all
}
