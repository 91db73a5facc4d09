//! Slots for the requests that wait for another program: checks of passwords, and mails. There are fewer
//! than workers, so that some are always free for the pages, whatever is being waited for.
//!
//! All clients that have failed share one slot, and no client has all of the others: a check may take
//! seconds, and whoever guesses must not keep out who does not. A browser that is known need not queue for the
//! shared slot where its client has failed; such browsers have a slot for each client and account, and together
//! no more than one client without failures. IPv6 clients are counted in steps, as in [`super::throttle`].

use super::throttle::Failures;
use crate::model::{CLIENT_STEPS, ClientNetworks};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// So many failures of a larger network are not yet its client's: others live there.
const FAILURES_OF_OTHERS: Failures = [0, 4, 16];

/// The slots.
pub struct CheckSlots {
    taken: Mutex<Vec<Taken>>,
    most: usize,
    most_of_one: usize,
}

/// Who wants one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Somebody with a password, whose client has so many failures. An attempt that is being made is one.
    Password(Failures),
    /// The same in a browser that has signed in to this account before.
    KnownBrowser {
        /// Of the client.
        failures: Failures,
        /// The number of the account.
        account: u64,
    },
    /// A mail. All of them together have no more slots than one client: a mail server that hangs keeps out
    /// nobody with a password.
    Mail,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Taken {
    client: ClientNetworks,
    request: Request,
    /// The client had failed.
    failed: bool,
}

impl Taken {
    fn is_shared(&self) -> bool {
        self.failed && matches!(self.request, Request::Password(_))
    }

    fn is_of_account(&self, number: u64) -> bool {
        matches!(self.request, Request::KnownBrowser { account, .. } if account == number)
    }
}

/// One of them, until it is dropped.
pub struct CheckSlot<'a> {
    slots: &'a CheckSlots,
    taken: Taken,
}

impl CheckSlots {
    /// So many slots, of which one client without failures can have some.
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Self { taken: Mutex::new(Vec::with_capacity(most)), most, most_of_one }
    }

    /// Return a slot for a client, if one is free for it.
    pub fn enter(&self, client: Option<IpAddr>, request: Request) -> Option<CheckSlot<'_>> {
        let client = ClientNetworks::of(client);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = match request {
            Request::Password(failures) | Request::KnownBrowser { failures, .. } => {
                has_failed(&taken, &client, &failures)
            }
            Request::Mail => false,
        };
        let new = Taken { client, request, failed };
        let is_free = self.has_room(&taken, &new);
        is_free.then(|| {
            taken.push(new);
            CheckSlot { slots: self, taken: new }
        })
    }

    fn has_room(&self, taken: &[Taken], new: &Taken) -> bool {
        let count = |of: &dyn Fn(&Taken) -> bool| taken.iter().filter(|other| of(other)).count();
        if new.is_shared() {
            return count(&Taken::is_shared) == 0;
        }
        let most = if new.failed { 1 } else { self.most_of_one };
        let of_kind = match new.request {
            Request::Password(_) => true,
            Request::Mail => count(&|other| other.request == Request::Mail) < self.most_of_one,
            Request::KnownBrowser { account, .. } => {
                let failed = count(&|other| other.failed && !other.is_shared());
                count(&|other| other.is_of_account(account)) < most && !(new.failed && failed >= self.most_of_one)
            }
        };
        let unshared: Vec<_> = taken.iter().filter(|other| !other.is_shared()).map(|other| other.client).collect();
        of_kind && new.client.has_room(&unshared, most, self.most - 1) && unshared.len() + 1 < self.most
    }

    /// How many are taken at this moment.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Return whether the failures of a client are more than its attempts that are being made.
fn has_failed(taken: &[Taken], client: &ClientNetworks, failures: &Failures) -> bool {
    (0..CLIENT_STEPS).any(|step| {
        let attempts = taken.iter().filter(|other| other.request != Request::Mail && other.client.shares(client, step));
        failures[step] > attempts.count() as u64 + FAILURES_OF_OTHERS[step]
    })
}

impl Drop for CheckSlot<'_> {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = taken.iter().position(|taken| *taken == self.taken) {
            taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Request::Mail;

    #[expect(non_snake_case, reason = "it stands for the variant")]
    fn Password(failures: u64) -> Request {
        Request::Password([failures, 0, 0])
    }

    fn known(failures: u64, account: u64) -> Request {
        Request::KnownBrowser { failures: [failures, 0, 0], account }
    }

    fn client(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, n]))
    }

    #[test]
    fn slots_are_few_and_no_client_takes_them_all() {
        let slots = CheckSlots::new(4, 2);
        let first = slots.enter(client(1), Password(0)).unwrap();
        // Its own attempt is no failure yet.
        let _second = slots.enter(client(1), Password(1)).unwrap();
        assert!(slots.enter(client(1), Mail).is_none());
        let _third = slots.enter(client(2), Mail).unwrap();
        assert!(slots.enter(client(2), Password(0)).is_none() && slots.enter(None, Password(0)).is_none());
        drop(first);
        assert!(slots.enter(None, Password(0)).is_some());
    }

    #[test]
    fn clients_that_have_failed_share_one_slot() {
        let slots = CheckSlots::new(8, 3);
        let shared = slots.enter(client(1), Password(1)).unwrap();
        for n in 1..100 {
            assert!(slots.enter(client(n), Password(2)).is_none());
        }
        let _clean: Vec<_> = (2..9).map(|n| slots.enter(client(n), Password(0)).unwrap()).collect();
        assert!(slots.enter(client(99), Password(0)).is_none());
        drop(shared);
        // It stays theirs.
        assert!(slots.enter(client(99), Password(0)).is_none());
        assert!(slots.enter(client(99), Password(1)).is_some());
    }

    #[test]
    fn mails_that_hang_keep_no_password_waiting() {
        let slots = CheckSlots::new(8, 3);
        let _mails: Vec<_> = (1..4).map(|n| slots.enter(client(n), Mail).unwrap()).collect();
        assert!(slots.enter(client(9), Mail).is_none());
        let passwords: Vec<_> = (1..9).filter_map(|n| slots.enter(client(n), Password(0))).collect();
        assert_eq!(passwords.len(), 4);
    }

    #[test]
    fn a_known_browser_does_not_queue_behind_the_failures_of_its_neighbours() {
        let slots = CheckSlots::new(8, 3);
        let _shared = slots.enter(client(1), Password(9)).unwrap();
        let _known = slots.enter(client(1), known(10, 1)).unwrap();
        // Nor are many of them a way around.
        assert!(slots.enter(client(1), known(10, 2)).is_none());
        assert!(slots.enter(client(2), known(0, 1)).is_some());
    }

    #[test]
    fn a_large_ipv6_network_leaves_slots_for_others() {
        let slots = CheckSlots::new(8, 3);
        let of = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, n, 0, 0, 0, 1]);
        let taken: Vec<_> = (0..u16::MAX).filter_map(|n| slots.enter(Some(of(n)), Password(0))).collect();
        assert_eq!(taken.len(), 5);
        let _others: Vec<_> = (1..3).map(|n| slots.enter(client(n), Password(0)).unwrap()).collect();
        drop(taken);
        // A few failures of neighbours are not a client's own, and many are.
        let _neighbour = slots.enter(Some(of(1)), Request::Password([0, 4, 16])).unwrap();
        let _shared = slots.enter(Some(of(2)), Request::Password([0, 0, 18])).unwrap();
        assert!(slots.enter(Some(of(3)), Request::Password([0, 0, 19])).is_none());
    }

    #[test]
    fn one_account_with_many_known_browsers_and_addresses_leaves_slots_for_others() {
        let slots = CheckSlots::new(8, 3);
        let clean: Vec<_> = (0..9).filter_map(|n| slots.enter(client(n / 3), known(u64::from(n % 3), 1))).collect();
        assert_eq!(clean.len(), 3);
        drop(clean);
        let failed: Vec<_> = (0..9).filter_map(|n| slots.enter(client(n), known(9, 1))).collect();
        assert_eq!(failed.len(), 1);
        // Nor do many accounts together.
        let more: Vec<_> = (10..19).filter_map(|n| slots.enter(client(n), known(9, u64::from(n)))).collect();
        assert_eq!(more.len(), 2);
        let _others: Vec<_> = (20..24).map(|n| slots.enter(client(n), Password(0)).unwrap()).collect();
        assert!(slots.enter(client(24), Password(1)).is_some());
    }
}
