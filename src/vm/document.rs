//! The document that the launcher hands to `qwd-session`, and the descriptors that go with it.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Replaced by the number of a descriptor in the arguments that need one.
pub const FD: &str = "{fd}";

/// Everything that `qwd-session` works from. Closed: both ends are of one version, and anything else is a mistake.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StartDocument {
    /// Steps before QEMU starts, in this order.
    pub steps: Vec<SetUpStep>,
    /// QEMU and its arguments, without those that name descriptors.
    pub qemu: Vec<String>,
    /// The descriptors that come with the document, in their order.
    pub descriptors: Vec<Descriptor>,
}

/// A step before QEMU starts.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SetUpStep {
    /// Write an empty overlay.
    WriteOverlay {
        /// Its file, inside the session's unit.
        path: PathBuf,
        /// The size that the guest sees, in bytes.
        size: u64,
    },
    /// Start a trusted platform module beside QEMU.
    StartTpm {
        /// QEMU's arguments for the module's other end, with [`FD`].
        arguments: Vec<String>,
    },
}

/// A descriptor for QEMU.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// Its kind, which the receiver verifies.
    pub kind: DescriptorKind,
    /// QEMU's arguments for it, with [`FD`].
    pub arguments: Vec<String>,
    /// The socket's file in the session's directory. `qwd-session` cannot reach it.
    #[serde(skip)]
    pub file: Option<SocketFile>,
}

/// The kind of a descriptor.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DescriptorKind {
    /// A bound Unix socket on which QEMU listens.
    Socket,
    /// The tap device of the guest's network card.
    Tap,
}

/// The file of a socket that the launcher binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketFile {
    /// Its name in the session's directory, which is root's alone.
    pub name: &'static str,
    /// Its permissions.
    pub mode: u32,
}

impl std::fmt::Display for DescriptorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Socket => "socket",
            Self::Tap => "network card's tap device",
        })
    }
}
