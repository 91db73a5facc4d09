//! Who is signed in: one small file for each sign-in, named by the digest of the cookie's value.
//!
//! The files outlive a restart of the portal, so that it signs nobody out, and they hold nothing
//! with which anybody could sign in. Their number is bounded, per person and in all. Where there are
//! too many, those who have the most lose one: nobody signs others out by signing in often.

use super::store::Store;
use crate::model::{METHODS, Method, Owner, Problem, Secret, UserName};
use crate::random;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
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
    /// The network that it came from.
    #[serde(default)]
    client: Option<u64>,
    created: u64,
    used: u64,
}

impl SignIn {
    /// A sign-in of this moment.
    pub fn new(name: UserName, method: Method, now: u64) -> Self {
        let (groups, method, client) = (Vec::new(), method.as_str().to_owned(), None);
        Self { name, groups, method, client, created: now, used: now }
    }

    /// Return who has signed in; none where the method is unknown to this version.
    pub fn owner(&self) -> Option<Owner> {
        let (_, method) = METHODS.iter().find(|(word, _)| *word == self.method)?;
        Some(Owner::signed_in(*method, self.name.clone()))
    }

    /// The same, with groups.
    #[must_use]
    pub fn of(self, groups: Vec<String>) -> Self {
        Self { groups, ..self }
    }

    /// The same, from this network.
    #[must_use]
    pub fn from(self, client: Option<u64>) -> Self {
        Self { client, ..self }
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
        self.make_room(sign_in, now);
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

    /// Remove what is over or damaged, and make room for this one.
    fn make_room(&self, new: &SignIn, now: u64) {
        let mut all: Vec<(SignIn, PathBuf)> = self.store.keep(|sign_in: &SignIn| !sign_in.over(now));
        while let Some(at) = too_many(&all, new) {
            let _ = fs::remove_file(all.swap_remove(at).1);
        }
    }
}

/// Return which sign-in goes before another one comes, if one must: one of the same person where they have
/// had their share; else, where the table is full, one of the client with the most, and of its person with
/// the most. Of those it is the one that was used least recently.
fn too_many(all: &[(SignIn, PathBuf)], new: &SignIn) -> Option<usize> {
    let person = |sign_in: &SignIn| (sign_in.method.clone(), sign_in.name.clone());
    let oldest = |wanted: &dyn Fn(&SignIn) -> bool| {
        let theirs = all.iter().enumerate().filter(|(_, (sign_in, _))| wanted(sign_in));
        theirs.min_by_key(|(_, (sign_in, _))| sign_in.used).map(|(at, _)| at)
    };
    let own = person(new);
    if all.iter().filter(|(sign_in, _)| person(sign_in) == own).count() >= PER_PERSON {
        return oldest(&|sign_in| person(sign_in) == own);
    }
    if all.len() < IN_ALL {
        return None;
    }
    let with_new = || all.iter().map(|(sign_in, _)| sign_in).chain([new]);
    let client = most_common(with_new().map(|sign_in| sign_in.client))?;
    let busiest = most_common(with_new().filter(|s| s.client == client).map(person))?;
    oldest(&|s| s.client == client && person(s) == busiest).or_else(|| oldest(&|s| s.client == client)).or(Some(0))
}

fn most_common<T: std::hash::Hash + Eq + Ord + Clone>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: HashMap<T, usize> = HashMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts.into_iter().max_by(|(a, n), (b, m)| n.cmp(m).then_with(|| b.cmp(a))).map(|(one, _)| one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;
    use crate::random;

    fn alice(now: u64) -> SignIn {
        SignIn::new("alice".parse().unwrap(), Method::Pam, now)
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
        let bob = store.add(&SignIn::new("bob".parse().unwrap(), Method::Pam, 1), 1).unwrap();
        let later: Vec<Secret> = (2..=40).map(|now| store.add(&alice(now), now).unwrap()).collect();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), PER_PERSON + 1);
        assert_eq!(store.get(&first, 41), None);
        assert!(store.get(&bob, 41).is_some());
        assert!(store.get(later.last().unwrap(), 41).is_some());
    }

    #[test]
    fn one_person_of_one_method_pushes_out_only_their_own() {
        let folder = Scratch::new();
        let store = SignIns::open(folder.path()).unwrap();
        let other = store.add(&SignIn::new("alice".parse().unwrap(), Method::Ldap, 1), 1).unwrap();
        for now in 2..40 {
            store.add(&alice(now), now).unwrap();
        }
        assert!(store.get(&other, 41).is_some(), "the same name by another method is another person");
    }

    #[test]
    fn one_client_with_many_accounts_pushes_out_only_its_own() {
        let at = |name: &str, client: u64, used| {
            let sign_in = SignIn::new(name.parse().unwrap(), Method::Email, used).from(Some(client));
            (sign_in, PathBuf::new())
        };
        let mut all: Vec<_> = (0..100).map(|n| at(&format!("p{n}"), n, 1)).collect();
        all.extend((100..IN_ALL as u64).map(|n| at(&format!("m{n}"), 777, n)));
        let gone = |new: &SignIn| all[too_many(&all, new).unwrap()].0.clone();
        let more = at("m9999", 777, 9999).0;
        assert_eq!((gone(&more).client, gone(&more).used), (Some(777), 100));
        assert_eq!(gone(&at("new", 200, 9999).0).client, Some(777));
        assert_eq!(too_many(&all[1..], &more), None);
    }
}
