//! Links by which people sign in, sent to their addresses: good once, and for a while.

use super::store::Store;
use crate::model::{MailAddress, Problem, Secret};
use crate::random;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Links that are good at the same time; the one that ends first makes room.
const IN_ALL: usize = 4096;

/// A link, as stored.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub struct Link {
    /// Whose it is.
    pub address: MailAddress,
    /// The path of the page that it was asked for at.
    #[serde(default)]
    pub back: String,
    /// Seconds since 1970.
    until: u64,
}

/// The folder of the links.
pub struct MailLinks {
    store: Store,
    /// Held while files are written, counted and removed.
    changes: Mutex<()>,
}

impl MailLinks {
    /// Uses this folder, and makes it if it is missing.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self { store: Store::open(folder)?, changes: Mutex::new(()) })
    }

    /// Makes a link for an address; its secret is for the mail alone.
    pub fn add(&self, address: &MailAddress, back: &str, until: u64, now: u64) -> Result<Secret, Problem> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.store.keep(|link: &Link| link.until > now);
        all.sort_by_key(|(link, _)| std::cmp::Reverse(link.until));
        for (_, path) in all.iter().skip(IN_ALL - 1) {
            let _ = fs::remove_file(path);
        }
        let secret = random::secret();
        let link = Link { address: address.clone(), back: back.to_owned(), until };
        self.store
            .write(&self.store.path(&secret), &link)
            .map_err(|e| Problem::failed(format!("The link could not be stored ({e}); try again later.")))?;
        Ok(secret)
    }

    /// Uses a link up, and gives it if it was good. Of two at once one gets it.
    pub fn redeem(&self, secret: &Secret, now: u64) -> Option<Link> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.store.path(secret);
        let link: Link = self.store.read(&path)?;
        // What cannot be removed could be used again.
        fs::remove_file(&path).ok()?;
        (link.until > now).then_some(link)
    }

    /// Takes a link back, as its mail was not sent.
    pub fn remove(&self, secret: &Secret) {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = fs::remove_file(self.store.path(secret));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;

    fn address(text: &str) -> MailAddress {
        text.parse().unwrap()
    }

    #[test]
    fn a_link_is_good_once_and_outlives_a_restart() {
        let folder = Scratch::new();
        let alice = address("alice@example.org");
        let secret = MailLinks::open(folder.path()).unwrap().add(&alice, "/monitor", 1800, 0).unwrap();
        let after = MailLinks::open(folder.path()).unwrap();
        assert_eq!(after.redeem(&random::secret(), 1), None);
        assert_eq!(after.redeem(&secret, 1799), Some(Link { address: alice, back: "/monitor".into(), until: 1800 }));
        assert_eq!(after.redeem(&secret, 1799), None);
    }

    #[test]
    fn a_link_ends_with_its_time() {
        let folder = Scratch::new();
        let links = MailLinks::open(folder.path()).unwrap();
        let secret = links.add(&address("alice@example.org"), "", 1800, 0).unwrap();
        assert_eq!(links.redeem(&secret, 1800), None);
        let taken_back = links.add(&address("alice@example.org"), "", 1800, 0).unwrap();
        links.remove(&taken_back);
        assert_eq!(links.redeem(&taken_back, 1), None);
    }

    #[test]
    fn of_many_at_once_one_gets_in() {
        let folder = Scratch::new();
        let links = MailLinks::open(folder.path()).unwrap();
        let secret = links.add(&address("alice@example.org"), "", 1800, 0).unwrap();
        let got = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| links.redeem(&secret, 1).is_some())).collect();
            all.into_iter().map(|t| t.join().unwrap()).filter(|got| *got).count()
        });
        assert_eq!(got, 1);
    }

    #[test]
    fn their_number_is_bounded_and_the_files_hold_no_secret() {
        let folder = Scratch::new();
        let links = MailLinks::open(folder.path()).unwrap();
        for n in 0..IN_ALL {
            let link = Link { address: address("a@example.org"), back: String::new(), until: 10 + n as u64 };
            links.store.write(&folder.path().join(format!("{n}")), &link).unwrap();
        }
        let secret = links.add(&address("alice@example.org"), "", 1_000_000, 1).unwrap();
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), IN_ALL);
        assert!(!files.iter().any(|path| fs::read_to_string(path).unwrap().contains(secret.expose())));
        assert!(!folder.path().join("0").exists() && links.redeem(&secret, 1).is_some());
    }
}
