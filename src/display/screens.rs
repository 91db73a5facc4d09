//! The screens that are open: how many of each session, and the bell of each.
//!
//! A right may be taken back between a ticket's redemption and its screen's entry here. So whoever
//! redeems first announces it ([`Screens::expect`]); what is revoked meanwhile is kept until all
//! announced have entered, and rings the bells of those it concerns on entry.

use rustix::event::{EventfdFlags, eventfd};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// More viewers than this of one session have no use for it.
const PER_SESSION: usize = 32;

/// A session and a share of it; no share (an empty text) is the owner's own right.
pub type Right = (String, String);

/// All open screens.
#[derive(Debug, Default)]
pub struct Screens {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, (Right, Arc<OwnedFd>)>,
    expected: usize,
    /// With an empty share: the whole session.
    revoked: Vec<Right>,
}

/// Somebody is about to redeem a ticket.
#[derive(Debug)]
pub struct Expected<'a>(&'a Screens);

/// An open screen's place; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    screens: &'a Screens,
    number: u64,
    bell: Arc<OwnedFd>,
}

/// Why a screen cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub enum Full {
    /// The session has as many viewers as it may have.
    Viewers,
    /// The kernel has no more descriptors for us.
    Descriptors,
}

impl Screens {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before a ticket is redeemed.
    pub fn expect(&self) -> Expected<'_> {
        self.state().expected += 1;
        Expected(self)
    }

    /// Rings the bells of this right's screens.
    pub fn revoke(&self, session: &str, share: &str) {
        let mut state = self.state();
        let concerned = |right: &Right| concerns((session, share), right);
        state.open.values().filter(|(right, _)| concerned(right)).for_each(|(_, bell)| ring(bell));
        if state.expected > 0 {
            state.revoked.push((session.to_owned(), share.to_owned()));
        }
    }

    /// The rights that screens are open for, each once.
    pub fn shown(&self) -> Vec<Right> {
        let mut rights: Vec<Right> = self.state().open.values().map(|(right, _)| right.clone()).collect();
        rights.sort();
        rights.dedup();
        rights
    }

    /// Closes the screens of exactly this right: the owner's own does not stand for the session here.
    pub fn close(&self, right: &Right) {
        self.state().open.values().filter(|(own, _)| own == right).for_each(|(_, bell)| ring(bell));
    }
}

fn concerns((session, share): (&str, &str), right: &Right) -> bool {
    session == right.0 && (share.is_empty() || share == right.1)
}

fn ring(bell: &OwnedFd) {
    // An eventfd takes this unless it has been rung 2^64 times.
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

impl<'a> Expected<'a> {
    /// The ticket was good: here is its screen.
    pub fn enter(self, right: Right) -> Result<Place<'a>, Full> {
        let screens = self.0;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|_| Full::Descriptors)?;
        let bell = Arc::new(bell);
        let mut state = screens.state();
        if state.open.values().filter(|(other, _)| other.0 == right.0).count() >= PER_SESSION {
            return Err(Full::Viewers);
        }
        if state.revoked.iter().any(|(session, share)| concerns((session, share), &right)) {
            ring(&bell);
        }
        state.next += 1;
        let number = state.next;
        state.open.insert(number, (right, Arc::clone(&bell)));
        drop(state);
        Ok(Place { screens, number, bell })
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.expected -= 1;
        if state.expected == 0 {
            state.revoked.clear();
        }
    }
}

/// The bell: readable once the right has ended.
impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.screens.state().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(session: &str, share: &str) -> Right {
        (session.to_owned(), share.to_owned())
    }

    fn rung(place: &Place<'_>) -> bool {
        rustix::io::read(place, &mut [0; 8]).is_ok()
    }

    #[test]
    fn a_share_is_closed_alone_and_a_session_whole() {
        let screens = Screens::default();
        let enter = |session, share| screens.expect().enter(right(session, share)).unwrap();
        let (owner, share, other) = (enter("s", ""), enter("s", "1"), enter("t", "1"));
        screens.revoke("s", "1");
        assert!(rung(&share) && !rung(&owner) && !rung(&other));
        screens.revoke("s", "");
        assert!(rung(&share) && rung(&owner) && !rung(&other));
        screens.close(&right("s", ""));
        assert!(rung(&owner) && !rung(&share));
    }

    #[test]
    fn what_is_revoked_during_a_redemption_counts() {
        let screens = Screens::default();
        let expected = screens.expect();
        let another = screens.expect();
        screens.revoke("s", "1");
        assert!(rung(&expected.enter(right("s", "1")).unwrap()));
        assert!(!rung(&another.enter(right("s", "2")).unwrap()));
        // All have entered: the next redemption is judged by the launcher alone.
        assert!(!rung(&screens.expect().enter(right("s", "1")).unwrap()));
    }

    #[test]
    fn a_session_has_room_again_when_a_viewer_leaves() {
        let screens = Screens::default();
        let mut places: Vec<_> = (0..PER_SESSION).map(|_| screens.expect().enter(right("s", "")).unwrap()).collect();
        assert_eq!(screens.expect().enter(right("s", "1")).unwrap_err(), Full::Viewers);
        assert!(screens.expect().enter(right("t", "")).is_ok());
        places.pop();
        assert!(screens.expect().enter(right("s", "1")).is_ok());
        assert_eq!(screens.shown(), [right("s", "")]);
    }
}
