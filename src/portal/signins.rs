//! Who is signed in: one small file for each sign-in, named by the digest of the cookie's value.
//!
//! The files outlive a restart of the portal, so that it signs nobody out, and they hold nothing
//! with which anybody could sign in. Their number is bounded, per person and in all: the sign-in
//! that was used least recently goes first.

use super::store::Store;
use crate::model::{Problem, Secret, UserName};
use crate::random;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const IDLE: u64 = 12 * 3600;
const LONGEST: u64 = 7 * 86_400;
const PER_PERSON: usize = 16;
const IN_ALL: usize = 4096;
/// The time of use is written no more often than this.
const TOUCH_AFTER: u64 = 300;

/// A sign-in, as stored.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SignIn {
    /// Who.
    pub name: UserName,
    /// As the sign-in method reported.
    pub groups: Vec<String>,
    /// Which method checked the name.
    pub method: String,
    created: u64,
    used: u64,
}

impl SignIn {
    /// A sign-in of this moment.
    pub fn new(name: UserName, method: &str, now: u64) -> Self {
        Self { name, groups: Vec::new(), method: method.to_owned(), created: now, used: now }
    }

    /// The same, with groups.
    #[must_use]
    pub fn of(self, groups: Vec<String>) -> Self {
        Self { groups, ..self }
    }

    fn over(&self, now: u64) -> bool {
        // A clock that went backwards ends nothing.
        now.saturating_sub(self.used) > IDLE || now.saturating_sub(self.created) > LONGEST
    }
}

/// The folder of the sign-ins.
pub struct SignIns {
    store: Store,
    /// Held while files are counted and removed.
    changes: Mutex<()>,
}

impl SignIns {
    /// Uses this folder, and makes it if it is missing.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self { store: Store::open(folder)?, changes: Mutex::new(()) })
    }

    /// Stores a sign-in and returns the value of its cookie.
    pub fn add(&self, sign_in: &SignIn, now: u64) -> Result<Secret, Problem> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_room(&sign_in.name, now);
        let cookie = random::secret();
        self.store
            .write(&self.store.path(&cookie), sign_in)
            .map_err(|e| Problem::failed(format!("Your sign-in could not be stored ({e}); try again later.")))?;
        Ok(cookie)
    }

    /// The sign-in behind a cookie, if it is not over.
    pub fn get(&self, cookie: &Secret, now: u64) -> Option<SignIn> {
        let path = self.store.path(cookie);
        let mut sign_in: SignIn = self.store.read(&path)?;
        if sign_in.over(now) {
            let _ = fs::remove_file(path);
            return None;
        }
        if now.saturating_sub(sign_in.used) > TOUCH_AFTER {
            sign_in.used = now;
            let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            // A sign-out may have come in between, and holds.
            if path.exists() {
                let _ = self.store.write(&path, &sign_in);
            }
        }
        Some(sign_in)
    }

    /// Signs out.
    pub fn remove(&self, cookie: &Secret) {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = fs::remove_file(self.store.path(cookie));
    }

    /// Removes what is over or damaged, and the least used where there are too many.
    fn make_room(&self, name: &UserName, now: u64) {
        let mut all: Vec<(SignIn, PathBuf)> = self.store.keep(|sign_in: &SignIn| !sign_in.over(now));
        all.sort_by_key(|(sign_in, _)| std::cmp::Reverse(sign_in.used));
        let mut of_person = 0;
        for (place, (sign_in, path)) in all.iter().enumerate() {
            of_person += usize::from(sign_in.name == *name);
            if place + 1 >= IN_ALL || (sign_in.name == *name && of_person >= PER_PERSON) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;
    use crate::random;

    fn alice(now: u64) -> SignIn {
        SignIn::new("alice".parse().unwrap(), "open", now)
    }

    #[test]
    fn a_sign_in_outlives_a_restart_and_ends_with_sign_out() {
        let folder = Scratch::new();
        let cookie = SignIns::open(folder.path()).unwrap().add(&alice(100), 100).unwrap();
        let after = SignIns::open(folder.path()).unwrap();
        assert_eq!(after.get(&cookie, 200).unwrap().name.as_str(), "alice");
        after.remove(&cookie);
        assert_eq!(after.get(&cookie, 200), None);
    }

    #[test]
    fn an_unknown_cookie_is_nobody() {
        let folder = Scratch::new();
        let store = SignIns::open(folder.path()).unwrap();
        assert_eq!(store.get(&random::secret(), 1), None);
    }

    #[test]
    fn idle_sign_ins_end_and_used_ones_last_a_week() {
        let folder = Scratch::new();
        let store = SignIns::open(folder.path()).unwrap();
        let idle = store.add(&alice(0), 0).unwrap();
        assert_eq!(store.get(&idle, IDLE + 1), None);
        let used = store.add(&alice(0), 0).unwrap();
        let mut now = 0;
        while now + IDLE / 2 <= LONGEST {
            now += IDLE / 2;
            assert!(store.get(&used, now).is_some(), "{now}");
        }
        assert_eq!(store.get(&used, LONGEST + 1), None);
    }

    #[test]
    fn the_files_do_not_hold_the_cookie() {
        let folder = Scratch::new();
        let cookie = SignIns::open(folder.path()).unwrap().add(&alice(1), 1).unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            assert!(!path.to_string_lossy().contains(cookie.expose()));
            assert!(!fs::read_to_string(path).unwrap().contains(cookie.expose()));
        }
    }

    #[test]
    fn a_damaged_file_harms_nobody_and_goes() {
        let folder = Scratch::new();
        let store = SignIns::open(folder.path()).unwrap();
        let cookie = store.add(&alice(1), 1).unwrap();
        let damaged = random::secret();
        fs::write(folder.path().join(random::digest(&damaged)), "{\"name\":\"../x\"").unwrap();
        assert_eq!(store.get(&damaged, 2), None);
        store.add(&alice(2), 2).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(store.get(&cookie, 2).is_some());
    }

    #[test]
    fn their_number_is_bounded_and_the_oldest_go_first() {
        let folder = Scratch::new();
        let store = SignIns::open(folder.path()).unwrap();
        let first = store.add(&alice(1), 1).unwrap();
        let bob = store.add(&SignIn::new("bob".parse().unwrap(), "open", 1), 1).unwrap();
        let later: Vec<Secret> = (2..=40).map(|now| store.add(&alice(now), now).unwrap()).collect();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), PER_PERSON + 1);
        assert_eq!(store.get(&first, 41), None);
        assert!(store.get(&bob, 41).is_some());
        assert!(store.get(later.last().unwrap(), 41).is_some());
    }
}
