//! The browsers that own sessions while no sign-in method is configured.
//!
//! A browser is known by a secret in its cookie, and nothing about it is stored: however many there are,
//! none pushes another out. Only those that have signed out of sessions are remembered, as digests, so that a copy of
//! their cookie is worth nothing afterwards.

use super::store::Store;
use crate::model::Secret;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// As many are remembered; the first to have signed out is forgotten first.
const REMEMBERED: usize = 4096;

/// The browsers that have signed out.
pub struct SignedOut {
    store: Store,
    /// Held while files are counted and removed.
    changes: Mutex<()>,
}

impl SignedOut {
    /// Use this directory, and make it if it is missing.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { store: Store::open(directory)?, changes: Mutex::new(()) })
    }

    /// Remember that this browser has signed out.
    pub fn add(&self, browser: &Secret, now: u64) {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.store.keep(|_: &u64| true);
        if all.len() >= REMEMBERED {
            all.sort_by_key(|(at, _)| *at);
            for (_, path) in &all[..=all.len() - REMEMBERED] {
                let _ = fs::remove_file(path);
            }
        }
        if let Err(e) = self.store.write(&self.store.path(browser), &now) {
            log::error!("A sign-out cannot be written down: {e}.");
        }
    }

    /// Return whether this browser has signed out.
    pub fn has(&self, browser: &Secret) -> bool {
        self.store.path(browser).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;
    use crate::random;

    #[test]
    fn a_browser_that_signed_out_stays_so_and_their_number_is_bounded() {
        let directory = Scratch::new();
        let signed_out = SignedOut::open(directory.path()).unwrap();
        let (first, other) = (random::secret(), random::secret());
        signed_out.add(&first, 1);
        assert!(SignedOut::open(directory.path()).unwrap().has(&first) && !signed_out.has(&other));
        for n in 0..REMEMBERED {
            fs::write(directory.path().join(format!("{n:064}")), "2").unwrap();
        }
        signed_out.add(&other, 3);
        assert!(signed_out.has(&other) && !signed_out.has(&first));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), REMEMBERED);
    }
}
