//! Session ids, which name units and paths, and secrets, which must be guessed by nobody.

use super::{Problem, text_newtype};
use std::{fmt, str::FromStr};

const ID_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const ID_LEN: usize = 10;

/// The id of a session: ten letters and digits, safe in a unit name, a path and a URL.
/// It is a name, not a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(String);

impl SessionId {
    /// An id from fifty random bits (five of each byte given).
    pub fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
        Self(bytes.iter().map(|b| ID_LETTERS[usize::from(b % 32)] as char).collect())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if text.len() == ID_LEN && text.bytes().all(|b| ID_LETTERS.contains(&b)) {
            return Ok(Self(text.to_owned()));
        }
        // An id that cannot exist names no session: the caller learns nothing more from its form.
        Err(Problem::new(super::Word::NoSuchSession, "There is no such session."))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_newtype!(SessionId);

/// 256 random bits as base64url: a ticket or the secret of a share link. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Characters of the text form: 32 bytes in base64url without padding.
    pub const LEN: usize = 43;

    /// A secret from its encoded text, which only `random()` of the caller should make.
    pub fn from_encoded(text: String) -> Self {
        Self(text)
    }

    /// The text to hand to whom it belongs. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if text.len() == Self::LEN && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new(super::Word::BadTicket, "This link or ticket is not valid any more."))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back() {
        let id = SessionId::from_bytes([0, 1, 31, 32, 255, 7, 8, 9, 10, 11]);
        assert_eq!(id.as_str().parse::<SessionId>().unwrap(), id);
    }

    #[test]
    fn nothing_but_an_id_is_an_id() {
        for text in ["", "abc", "../../etc/", "ABCDEFGHJK", "abcdefghi.", "abcdefghijk", "abcdefghi\n"] {
            assert!(text.parse::<SessionId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_secret_does_not_show_in_debug() {
        let secret: Secret = "a".repeat(Secret::LEN).parse().unwrap();
        assert!(!format!("{secret:?}").contains("aaa"));
    }
}
