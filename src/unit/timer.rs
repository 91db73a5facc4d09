//! The timer that ends a session although none of our programs runs.

use super::{Properties, session_unit};
use crate::model::SessionId;
use zbus::zvariant::Value;

/// The properties of `qwd-expire@ID.N.timer`, which fires so many seconds from now.
pub fn expiry(id: &SessionId, seconds: u64) -> Properties {
    let unit = session_unit(id);
    vec![
        ("Description", format!("End of the lifetime of desktop session {id}").into()),
        ("CollectMode", "inactive-or-failed".into()),
        // The timer goes with its session, however that ends.
        ("BindsTo", Value::from(vec![unit.clone()])),
        ("After", Value::from(vec![unit])),
        ("TimersMonotonic", Value::from(vec![("OnActiveSec", seconds.saturating_mul(1_000_000))])),
        ("AccuracyUSec", super::micros(1)),
        ("RemainAfterElapse", false.into()),
    ]
}
