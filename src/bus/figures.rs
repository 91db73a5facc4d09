//! What the monitor and the metrics show: figures that cross the bus, and how JSON has them.

use super::types::{Session, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zbus::zvariant::Type;

/// A session and what it uses of the host, for administrators.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Type)]
pub struct Usage {
    /// The session.
    pub session: Session,
    /// When this was read, in microseconds since 1970: two readings make a rate.
    pub read_at_microseconds: u64,
    /// CPU time since its start, in microseconds.
    pub cpu_microseconds: u64,
    /// Memory at this moment, in bytes: QEMU and all that its files keep of it.
    pub memory_used: u64,
    /// As much as it may have, in bytes; zero: no limit, or not started yet.
    pub memory_limit: u64,
    /// Threads and processes.
    pub tasks: u64,
    /// Those who have it on the screen.
    pub viewers: u32,
}

impl Usage {
    /// What the JSON says of it beside the session itself; `busy` is how many CPUs it keeps busy.
    pub fn figures(&self, busy: Option<f64>) -> Value {
        json!({
            "cpus_busy": busy,
            "cpu_seconds": seconds(self.cpu_microseconds),
            "memory_used_bytes": self.memory_used,
            "memory_limit_bytes": self.memory_limit,
            "tasks": self.tasks,
            "viewers": self.viewers,
        })
    }
}

/// Microseconds as seconds.
pub fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

/// The service in figures for machines: sums, and nobody's name.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Type)]
pub struct Figures {
    /// What everybody may know.
    pub status: Status,
    /// Sessions whose screen does not answer yet.
    pub starting: u32,
    /// Sessions that can be used.
    pub running: u32,
    /// Sessions that are ending.
    pub stopping: u32,
    /// CPU time of all sessions since this host's start, those that are over included, in microseconds.
    pub cpu_microseconds: u64,
    /// Memory of all sessions at this moment, in bytes.
    pub memory_used: u64,
    /// Those who have any session on the screen.
    pub viewers: u32,
}
