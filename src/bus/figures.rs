//! What the monitor and the metrics show: figures that cross the bus.

use super::types::{Session, Status};
use serde::{Deserialize, Serialize};
use zbus::zvariant::{Type, as_value};

/// A session and what it uses of the host, for administrators.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The session.
    #[serde(with = "as_value")]
    pub session: Session,
    /// When this was read, in microseconds since 1970: two readings make a rate.
    #[serde(default, with = "as_value")]
    pub read_at_microseconds: u64,
    /// CPU time since its start, in microseconds.
    #[serde(default, with = "as_value")]
    pub cpu_microseconds: u64,
    /// Memory at this moment, in bytes: QEMU and all that its files keep of it.
    #[serde(default, with = "as_value")]
    pub memory_used: u64,
    /// As much as it may have, in bytes; zero: no limit, or not started yet.
    #[serde(default, with = "as_value")]
    pub memory_limit: u64,
    /// Threads and processes.
    #[serde(default, with = "as_value")]
    pub tasks: u64,
    /// Those who have it on the screen.
    #[serde(default, with = "as_value")]
    pub viewers: u32,
}

/// Return microseconds as seconds.
pub fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

/// The service in figures for machines: sums, and nobody's name.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(default, deny_unknown_fields)]
pub struct Figures {
    /// What everybody may know.
    #[serde(with = "as_value")]
    pub status: Status,
    /// Sessions whose screen does not answer yet.
    #[serde(with = "as_value")]
    pub starting: u32,
    /// Sessions that can be used.
    #[serde(with = "as_value")]
    pub running: u32,
    /// Sessions that are ending.
    #[serde(with = "as_value")]
    pub stopping: u32,
    /// CPU time of all sessions since this host's start, those that are over included, in microseconds.
    #[serde(with = "as_value")]
    pub cpu_microseconds: u64,
    /// Memory of all sessions at this moment, in bytes.
    #[serde(with = "as_value")]
    pub memory_used: u64,
    /// Those who have any session on the screen.
    #[serde(with = "as_value")]
    pub viewers: u32,
}
