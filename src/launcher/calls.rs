//! How many calls of each user of the bus are worked on at once. Each takes a thread, of which there are few.

use crate::bus::{DISPLAY_USER, PORTAL_USER};
use crate::model::{Problem, Word};
use nix::unistd::User;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Calls of root and of the portal, which has fewer workers.
const PER_USER: usize = 64;
/// Calls of one account, which runs no more programs in earnest.
const PER_ACCOUNT: usize = 8;
/// Calls of the display, each of which may wait for a session that starts.
const OF_DISPLAY: usize = 160;
/// Calls of all accounts together. With those above, less than the threads there are (500).
const OF_ACCOUNTS: usize = 128;
/// While the accounts have so many, only those without any get one: a few accounts never keep all others off.
const NEARLY_FULL: usize = 64;

/// The calls that are being worked on, by user id.
pub(super) struct Calls {
    counts: Mutex<HashMap<u32, usize>>,
    portal: Option<u32>,
    display: Option<u32>,
}

/// One of them, until it is dropped.
pub(super) struct Call {
    calls: Arc<Calls>,
    user: u32,
}

impl Calls {
    pub(super) fn new() -> Arc<Self> {
        let id_of = |name| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
        Self::with(id_of(PORTAL_USER), id_of(DISPLAY_USER))
    }

    fn with(portal: Option<u32>, display: Option<u32>) -> Arc<Self> {
        Arc::new(Self { counts: Mutex::default(), portal, display })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_account(&self, user: u32) -> bool {
        user != 0 && Some(user) != self.portal && Some(user) != self.display
    }

    /// Return how many calls this user may have beside those of others.
    fn most(&self, user: u32, counts: &HashMap<u32, usize>) -> usize {
        if Some(user) == self.display {
            return OF_DISPLAY;
        }
        if !self.is_account(user) {
            return PER_USER;
        }
        let of_accounts = counts.iter().filter(|(user, _)| self.is_account(**user)).map(|(_, count)| count).sum();
        match of_accounts {
            0..NEARLY_FULL => PER_ACCOUNT,
            NEARLY_FULL..OF_ACCOUNTS => 1,
            _ => 0,
        }
    }

    /// Admit one more call.
    pub(super) fn enter(self: &Arc<Self>, user: u32) -> Result<Call, Problem> {
        let mut counts = self.counts();
        let own = counts.get(&user).copied().unwrap_or_default();
        if own >= self.most(user, &counts) {
            let text = "Too many calls at once. Try again when some have been answered.";
            return Err(Problem::new(Word::LimitReached, text));
        }
        *counts.entry(user).or_default() += 1;
        Ok(Call { calls: Arc::clone(self), user })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut counts = self.calls.counts();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_takes_the_calls_of_others() {
        let calls = Calls::with(Some(90), Some(91));
        let taken = |user: u32| (0..600).filter_map(|_| calls.enter(user).ok()).collect::<Vec<Call>>();
        let all: Vec<Vec<Call>> = [1000, 1001, 1002, 0, 90, 91].into_iter().map(taken).collect();
        let counts: Vec<usize> = all.iter().map(Vec::len).collect();
        assert_eq!(counts, [PER_ACCOUNT, PER_ACCOUNT, PER_ACCOUNT, PER_USER, PER_USER, OF_DISPLAY]);
        drop(all);
        assert!(calls.counts().is_empty() && calls.enter(1002).is_ok());
    }

    #[test]
    fn many_accounts_leave_a_call_to_each_other_one() {
        let calls = Calls::with(Some(90), Some(91));
        let taken = |user: u32| (0..600).filter_map(|_| calls.enter(user).ok()).collect::<Vec<Call>>();
        let greedy: Vec<Call> = (1000..1040).flat_map(taken).collect();
        assert!((NEARLY_FULL..OF_ACCOUNTS).contains(&greedy.len()), "{}", greedy.len());
        assert_eq!(taken(2000).len(), 1);
        let all: Vec<Call> = (3000..4000).flat_map(taken).collect();
        assert_eq!(greedy.len() + all.len(), OF_ACCOUNTS);
        const { assert!(OF_ACCOUNTS + 2 * PER_USER + OF_DISPLAY < 500) };
    }
}
