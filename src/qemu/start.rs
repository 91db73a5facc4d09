//! The document that the launcher hands to `qwd-session`, and the descriptors that it names.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// All that `qwd-session` is told. Closed: both ends are of one version, and anything else is a mistake.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StartDocument {
    /// Empty layers to write before QEMU starts.
    pub overlays: Vec<Overlay>,
    /// Start a trusted platform module beside QEMU.
    pub tpm: bool,
    /// QEMU and its arguments, without those that name descriptors.
    pub qemu: Vec<String>,
    /// The descriptors that come with the document, in their order.
    pub descriptors: Vec<DescriptorKind>,
}

/// An empty layer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// Its file, inside the session's unit.
    pub path: PathBuf,
    /// The size that the guest sees, in bytes.
    pub size: u64,
}

/// The use of a descriptor.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DescriptorKind {
    /// A bound Unix socket on which QEMU is to serve its monitor.
    Monitor,
    /// The tap device of the guest's network card.
    Card,
}

impl std::fmt::Display for DescriptorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Monitor => "monitor's socket",
            Self::Card => "network card's tap device",
        })
    }
}
