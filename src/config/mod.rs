//! Configuration in three stages and three types, of which only the last travels.
//!
//! 1. A *fragment*: one file (`config.toml`, then `config.d/*.toml` by name), its keys known, each
//!    with the line it stands on. 2. The *merged* raw settings: later files win, key by key.
//! 3. Validated [`Settings`]. `machines.conf` is the catalogue and is read apart.

mod access;
mod build;
mod disk;
mod edit;
mod entities;
mod file;
mod hardware;
mod icon;
mod keys;
mod limits;
mod machine;
mod machines;
mod mail;
mod monitor;
mod nearest;
mod network;
pub mod raw;
mod settings;
mod sign_in;
pub mod text;
mod watched;
mod wording;

pub use crate::model::Method;
pub use access::HIDDEN;
pub use build::{Build, Desktop, build_size};
pub use disk::{DiskLimits, FsAmount};
pub use edit::{one_line, with_keys, with_section, without_section};
pub use file::{Loaded, Origin, load};
pub use hardware::{
    Architecture, Card, Clock, DiskBus, Firmware, Guest, Hardware as MachineHardware, NetworkMode, Video, Word,
};
pub use icon::Icon;
pub use keys::{flatten, free_keys, known_keys};
pub use limits::{Allowance, Limits, Whose};
pub use machine::{Amounts, MachineEntry};
pub use machines::Catalogue;
pub use mail::Mail;
pub use monitor::Monitor;
pub use network::{MachineNetwork, Network, Reach};
pub use raw::Raw;
pub use settings::{Accel, Download, Page, Qemu, Session, Settings};
pub use sign_in::{Email, Encryption, Ldap, Server, SignIn};
pub use watched::Watched;

use std::fmt;

/// The folder of the configuration, below a root that tests may move.
pub const CONFIG_DIR: &str = "etc/qemu-web-desktop";

/// Why a configuration cannot be used: the place, and the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// `FILE:LINE`, or only the file.
    pub place: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A phrase, which goes on: what comes from elsewhere may be a sentence.
        write!(f, "{}: {}", self.place, self.message.trim_end_matches('.'))
    }
}

impl std::error::Error for ConfigError {}
