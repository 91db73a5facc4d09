//! The properties of transient units, as functions of values. Pure; a golden test holds them.
//!
//! A session is a *service*, not a scope: systemd forks it clean, so nothing of the launcher's
//! reaches it. Every value here is built from root-owned configuration and typed amounts; no text
//! of a request reaches a property but the machine's name. Everybody on the host can read them: whose a session is
//! does not stand there.

mod build;
mod examine;
mod names;
mod sandbox;
mod tap;
mod timer;

pub use build::build;
pub use examine::{conversion, examination, kvm_probe, machine_probe, unpacking};
pub use names::{
    DISK_PATH, ENDED_DIR, IMAGE_PATH, LIBEXEC, RECORDS_DIR, RUN_DIR, SESSIONS_DIR, SESSIONS_GROUP, SUSPENDED_DIR,
    ending_units, expiry_timer, expiry_timers, parse_session_unit, parse_timer, parse_timer_unit, session_group,
    session_unit, session_user, start_permit, tap_unit,
};
pub(crate) use sandbox::{only_calls, only_families, sandbox};
pub use tap::tap;
pub use timer::expiry;

use crate::model::IpNetwork;
use names::ROOT_DIR;
use std::net::IpAddr;
use std::path::Path;
use zbus::zvariant::Value;

/// Return what `Bind…Paths=` takes, for a path that must exist.
pub(crate) fn bind(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Value<'static> {
    bind_if(from, to, false)
}

/// Return what `Bind…Paths=` takes, for a path that may be missing.
pub(crate) fn bind_optional(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Value<'static> {
    bind_if(from, to, true)
}

fn bind_if(from: impl AsRef<Path>, to: impl AsRef<Path>, optional: bool) -> Value<'static> {
    let text = |path: &Path| path.display().to_string();
    Value::from(vec![(text(from.as_ref()), text(to.as_ref()), optional, 0_u64)])
}

/// `IPAddressDeny=any`.
pub(crate) fn everywhere() -> Value<'static> {
    addresses(&["0.0.0.0/0", "::/0"].map(|all| all.parse().expect("a network")))
}

pub(crate) fn addresses(list: &[IpNetwork]) -> Value<'static> {
    const AF_INET: i32 = 2;
    const AF_INET6: i32 = 10;
    let all: Vec<(i32, Vec<u8>, u32)> = list
        .iter()
        .map(|network| match network.address() {
            IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec(), network.length().into()),
            IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec(), network.length().into()),
        })
        .collect();
    Value::from(all)
}

/// A unit's properties, as `StartTransientUnit` takes them.
pub type Properties = Vec<(&'static str, Value<'static>)>;

/// `ExecStart=` and its like: program and arguments, run as they are, without a shell.
pub(crate) fn command(argv: Vec<String>) -> Value<'static> {
    let program = argv.first().cloned().unwrap_or_default();
    Value::from(vec![(program, argv, false)])
}

/// Seconds as the microseconds that the bus wants.
pub(crate) fn micros(seconds: u64) -> Value<'static> {
    Value::from(seconds.saturating_mul(1_000_000))
}
