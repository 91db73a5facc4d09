//! A password: wiped from memory when it is no longer needed, and shown by no log.

use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// Somebody's password.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The text, for the one who checks it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}
