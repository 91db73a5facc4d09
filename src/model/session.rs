//! What a viewer of a session may do, and why its guest is paused.

use super::{Problem, text_newtype};
use std::{fmt, str::FromStr};

/// What a viewer may do with a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Look, type, point, paste.
    Control,
    /// Look only.
    View,
}

/// What a guest's processor is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Acceleration {
    /// The kernel's virtualisation.
    Kvm,
    /// Emulation in software, which works everywhere.
    #[default]
    Tcg,
}

/// Why a session's guest is paused although its session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pause {
    /// It has written as much as one session may.
    DiskLimit,
    /// The server's disk is almost full; it goes on by itself.
    ServerDiskFull,
    /// The server could not read or write its disk.
    DiskError,
}

impl Pause {
    /// Return the message for the session's owner.
    pub fn explain(self) -> &'static str {
        match self {
            Self::DiskLimit => {
                "Disk limit reached. The session stays paused until an administrator gives it more space. If you do not \
                 need its data, stop it."
            }
            Self::ServerDiskFull => {
                "The server's disk is almost full. The session continues by itself when there is space again."
            }
            Self::DiskError => {
                "The server could not read or write this session's disk. Ask an administrator: the server's journal has \
                 the reason."
            }
        }
    }
}

/// Give the variants of a type their stable texts, by which it is read and written.
macro_rules! words {
    ($name:ident { $($variant:ident = $text:literal),+ } $what:literal) => {
        impl $name {
            /// The stable text used on the bus, in the JSON API and in records.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl FromStr for $name {
            type Err = Problem;
            fn from_str(text: &str) -> Result<Self, Problem> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(Problem::bad_request(concat!($what, " is one of:", $(" ", $text),+, "."))),
                }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        text_newtype!($name);
    };
}
pub(super) use words;
words!(Pause { DiskLimit = "disk_limit", ServerDiskFull = "server_disk_full", DiskError = "disk_error" } "A reason to pause");
words!(Acceleration { Kvm = "kvm", Tcg = "tcg" } "An acceleration");
words!(Role { Control = "control", View = "view" } "A role");
