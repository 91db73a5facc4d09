//! Names of people and of machines.

use super::{Problem, text_newtype};
use std::{fmt, str::FromStr};

/// Who owns a session: what a sign-in method or a person gave as name. Compared whole, always.
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
        if fits(text, |c| c.is_ascii_alphanumeric() || "._-@+:\\".contains(c)) {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::bad_request(
            "A user name has 1 to 128 letters, digits or . _ - @ + characters and begins with a letter or digit.",
        ))
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
            "There is no such machine: a machine's name has 1 to 128 letters, digits, blanks or . _ - + @ ( ) characters.",
        ))
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
        for text in ["alice", "alice.b@example.org", "EXP\\alice", "local:alice", "_apt"] {
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
            &long,
        ];
        for text in hostile {
            assert!(text.parse::<MachineName>().is_err(), "{text:?}");
            assert!(text.parse::<UserName>().is_err(), "{text:?}");
        }
    }
}
