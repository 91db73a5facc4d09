//! Names in a Debian system that is being made.

use super::{Problem, text_newtype};
use std::{fmt, str::FromStr};

/// A release of Debian, such as `trixie`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite(String);

/// A package's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageName(String);

/// The name of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountName(String);

macro_rules! name {
    ($name:ty, $most:literal, $sentence:literal, $fits:expr) => {
        impl FromStr for $name {
            type Err = Problem;

            fn from_str(text: &str) -> Result<Self, Problem> {
                let fits: fn(&str) -> bool = $fits;
                if !text.is_empty() && text.len() <= $most && fits(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(Problem::bad_request($sentence))
            }
        }
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

name!(Suite, 32, "A release of Debian is named by small letters, such as bookworm or trixie.", |text| text
    .bytes()
    .all(|b| b.is_ascii_lowercase()));
// apt would remove 'NAME-', and take much else for a pattern.
name!(
    PackageName,
    100,
    "A package's name has small letters, digits and + - . characters, such as firefox-esr; commas stand between names.",
    |text| {
        text.len() > 1
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
            && !text.ends_with(['-', '.'])
    }
);
name!(
    AccountName,
    32,
    "An account's name has small letters, digits and _ - characters, and begins with a letter; root is not for this.",
    |text| {
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
            && text != "root"
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_debian_has_passes_and_what_a_shell_or_apt_would_misread_does_not() {
        for text in ["trixie", "sid"] {
            assert!(text.parse::<Suite>().is_ok(), "{text}");
        }
        for text in ["g++", "0ad", "libgl1-mesa-dri", "python3.13", "firefox-esr"] {
            assert!(text.parse::<PackageName>().is_ok(), "{text}");
        }
        let long = "a".repeat(200);
        for text in ["", "-x", "a b", "a,b", "a;b", "$(a)", "a\nb", "../a", "a/b", "A", "é", "?a", "~na", &long] {
            assert!(text.parse::<Suite>().is_err(), "{text:?}");
            assert!(text.parse::<PackageName>().is_err(), "{text:?}");
            assert!(text.parse::<AccountName>().is_err(), "{text:?}");
        }
        for text in ["vim-", "x", "+a", "a=1", "a:i386", "a^", "a*"] {
            assert!(text.parse::<PackageName>().is_err(), "{text:?}");
        }
        for (text, good) in [("user", true), ("lab_1", true), ("root", false), ("1a", false), ("a.b", false)] {
            assert_eq!(text.parse::<AccountName>().is_ok(), good, "{text}");
        }
    }
}
