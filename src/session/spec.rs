//! The request for a session, with every default filled in: nothing of it depends on when or where the session runs.

use crate::model::{Bytes, Lifetime, MachineName};
use serde::{Deserialize, Serialize};

/// The specification of a session.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The machine of the catalogue.
    pub machine: MachineName,
    /// The catalogue's description of it; empty: none.
    pub description: String,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
    /// Time from the start to the end; zero: no end.
    pub lifetime: Lifetime,
    /// The disk that the session writes to.
    pub disk: DiskKind,
}

/// The disk that a session writes to.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskKind {
    /// Removed when the session ends.
    Scratch,
    /// Prepared by root's qwdctl, and put in the image's place when the session ends.
    Persistent,
}
