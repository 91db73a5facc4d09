//! The properties of transient units, as functions of values. Pure; a golden test holds them.
//!
//! A session is a *service*, not a scope: systemd forks it clean, so nothing of the launcher's
//! reaches it. Every value here is built from root-owned configuration and typed amounts; no text
//! of a request reaches a property but the owner's and the machine's names in the log fields.

mod examine;
mod names;
mod sandbox;
mod session;
mod timer;

pub use examine::{conversion, examination, kvm_probe, unpacking};
pub use names::{
    ENDED_DIR, LIBEXEC, RECORDS_DIR, SESSIONS_DIR, SESSIONS_GROUP, expiry_timer, session_group, session_of_timer,
    session_unit,
};
pub use session::{SessionPlan, session};
pub use timer::expiry;

use names::ROOT_DIR;
use zbus::zvariant::Value;

/// A unit's properties, as `StartTransientUnit` takes them.
pub type Properties = Vec<(&'static str, Value<'static>)>;

/// `ExecStart=` and its like: program and arguments, run as they are, without a shell.
fn command(argv: Vec<String>) -> Value<'static> {
    let program = argv.first().cloned().unwrap_or_default();
    Value::from(vec![(program, argv, false)])
}

/// Seconds as the microseconds that the bus wants.
fn micros(seconds: u64) -> Value<'static> {
    Value::from(seconds.saturating_mul(1_000_000))
}
