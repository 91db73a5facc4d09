//! Names of people and of machines.

use super::{Problem, text_newtype};
use std::{fmt, str::FromStr};

/// A user's name, as a sign-in method or the host knows it. Compared whole, always; see [`super::Owner`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

/// A machine's name: the section in `machines.conf` and the file in the machines folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineName(String);

const LONGEST: usize = 128;

fn fits(text: &str, inner: impl Fn(char) -> bool) -> bool {
    text.len() <= LONGEST
        && text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        && !text.ends_with(' ')
        && text.chars().all(inner)
}

impl FromStr for UserName {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if fits(text, |c| c.is_ascii_alphanumeric() || "._-@+:\\'".contains(c)) {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::bad_request(format!("A user name {}.", Self::RULE)))
    }
}

impl MachineName {
    /// What a name may be, as the end of a sentence.
    pub const RULE: &'static str = "it has 1 to 128 letters, digits, blanks or . _ - + @ ( ) characters, begins with a \
                                    letter, a digit or _, and does not end with a blank";

    /// Return what is shown for a machine whose name is not known.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }
}

impl FromStr for MachineName {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if fits(text, |c| c.is_ascii_alphanumeric() || " ._-+@()".contains(c)) {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new(
            super::Word::NoSuchMachine,
            format!("There is no such machine. A machine's name is like this: {}.", Self::RULE),
        ))
    }
}

impl UserName {
    /// What a name has, for a sentence.
    pub const RULE: &'static str =
        "has 1 to 128 letters from a to z, digits or . _ - @ + ' characters, and begins with a letter or digit";

    /// Return a name of our own, which is known to be one.
    pub(super) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

macro_rules! text {
    ($name:ty) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        text_newtype!($name);
    };
}
text!(UserName);
text!(MachineName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for text in ["alice", "o'brien@example.org", "alice.b@example.org", "EXP\\alice", "local:alice", "_apt"] {
            assert!(text.parse::<UserName>().is_ok(), "{text}");
        }
        for text in ["slax.iso", "Debian 12 (desktop).qcow2", "win_11-pro.qcow2"] {
            assert!(text.parse::<MachineName>().is_ok(), "{text}");
        }
    }

    #[test]
    fn hostile_names_do_not() {
        let long = "a".repeat(10_000);
        let hostile = [
            "",
            "../x",
            "/etc/passwd",
            "-drive",
            "a,b=c",
            "a\nb",
            "a\0b",
            "a%n",
            "a;b",
            "a/b",
            " a",
            "a ",
            ".x",
            "é",
            "'x",
            &long,
        ];
        for text in hostile {
            assert!(text.parse::<MachineName>().is_err(), "{text:?}");
            assert!(text.parse::<UserName>().is_err(), "{text:?}");
        }
    }
}
