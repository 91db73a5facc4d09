//! The screens that are open: who has each, and its bell.
//!
//! A right may be taken back between a ticket's redemption and its screen's entry here. So whoever
//! redeems first announces it ([`Screens::expect`]); what is revoked meanwhile is kept until all
//! announced have entered, and rings the bells of those it concerns on entry. Whoever passes the list
//! on waits for its changes here ([`Screens::await_news`]).

use crate::bus::Viewer;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// More viewers than this of one session have no use for it.
const PER_SESSION: usize = 32;

/// A session and a share of it; no share (an empty text) is the owner's own right.
pub type Right = (String, String);

/// All open screens.
#[derive(Debug, Default)]
pub struct Screens {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: BTreeMap<u64, (Viewer, Arc<OwnedFd>)>,
    /// The list is another one than was last taken.
    news: bool,
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

    /// Rings the bells of this right's screens; with an empty share, of the whole session's.
    pub fn revoke(&self, session: &str, share: &str) {
        let mut state = self.state();
        let concerned = |viewer: &Viewer| concerns((session, share), viewer);
        state.open.values().filter(|(viewer, _)| concerned(viewer)).for_each(|(_, bell)| ring(bell));
        if state.expected > 0 {
            state.revoked.push((session.to_owned(), share.to_owned()));
        }
    }

    /// Closes the screens of exactly this right: the owner's own does not stand for the session here.
    pub fn close(&self, (session, share): &Right) {
        let of_it = |viewer: &Viewer| viewer.session == *session && viewer.share == *share;
        self.state().open.values().filter(|(viewer, _)| of_it(viewer)).for_each(|(_, bell)| ring(bell));
    }

    /// Has the list passed on once more, although it may be the same.
    pub fn renew(&self) {
        self.state().news = true;
        self.changed.notify_all();
    }

    /// Comes back when the list has changed since it was taken, or after so long.
    pub fn await_news(&self, patience: Option<Duration>) {
        let state = self.state();
        // The list is looked at anyway: that somebody panicked meanwhile does not matter.
        match patience {
            Some(patience) => drop(self.changed.wait_timeout_while(state, patience, |s| !s.news)),
            None => drop(self.changed.wait_while(state, |s| !s.news)),
        }
    }

    /// Everybody who has a screen open, who came first in front.
    pub fn take(&self) -> Vec<Viewer> {
        let mut state = self.state();
        state.news = false;
        state.open.values().map(|(viewer, _)| viewer.clone()).collect()
    }
}

fn concerns((session, share): (&str, &str), viewer: &Viewer) -> bool {
    session == viewer.session && (share.is_empty() || share == viewer.share)
}

fn ring(bell: &OwnedFd) {
    // An eventfd takes this unless it has been rung 2^64 times.
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

impl<'a> Expected<'a> {
    /// The ticket was good: here is its screen.
    pub fn enter(self, viewer: Viewer) -> Result<Place<'a>, Full> {
        let screens = self.0;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|_| Full::Descriptors)?;
        let bell = Arc::new(bell);
        let mut state = screens.state();
        if state.open.values().filter(|(other, _)| other.session == viewer.session).count() >= PER_SESSION {
            return Err(Full::Viewers);
        }
        if state.revoked.iter().any(|(session, share)| concerns((session, share), &viewer)) {
            ring(&bell);
        }
        state.next += 1;
        let number = state.next;
        state.open.insert(number, (viewer, Arc::clone(&bell)));
        drop(state);
        screens.renew();
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
        self.screens.renew();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(session: &str, share: &str) -> Viewer {
        Viewer { session: session.to_owned(), share: share.to_owned(), ..Viewer::default() }
    }

    fn rung(place: &Place<'_>) -> bool {
        rustix::io::read(place, &mut [0; 8]).is_ok()
    }

    #[test]
    fn a_share_is_closed_alone_and_a_session_whole() {
        let screens = Screens::default();
        let enter = |session, share| screens.expect().enter(viewer(session, share)).unwrap();
        let (owner, share, other) = (enter("s", ""), enter("s", "1"), enter("t", "1"));
        screens.revoke("s", "1");
        assert!(rung(&share) && !rung(&owner) && !rung(&other));
        screens.revoke("s", "");
        assert!(rung(&share) && rung(&owner) && !rung(&other));
        screens.close(&("s".to_owned(), String::new()));
        assert!(rung(&owner) && !rung(&share));
    }

    #[test]
    fn what_is_revoked_during_a_redemption_counts() {
        let screens = Screens::default();
        let expected = screens.expect();
        let another = screens.expect();
        screens.revoke("s", "1");
        assert!(rung(&expected.enter(viewer("s", "1")).unwrap()));
        assert!(!rung(&another.enter(viewer("s", "2")).unwrap()));
        // All have entered: the next redemption is judged by the launcher alone.
        assert!(!rung(&screens.expect().enter(viewer("s", "1")).unwrap()));
        screens.revoke("s", "1");
        assert!(!rung(&screens.expect().enter(viewer("s", "1")).unwrap()));
    }

    #[test]
    fn what_is_revoked_counts_though_another_redemption_comes_to_nothing() {
        let screens = Screens::default();
        let (expected, another) = (screens.expect(), screens.expect());
        screens.revoke("s", "1");
        drop(another);
        assert!(rung(&expected.enter(viewer("s", "1")).unwrap()));
    }

    #[test]
    fn a_session_has_room_again_when_a_viewer_leaves() {
        let screens = Screens::default();
        let mut places: Vec<_> = (0..PER_SESSION).map(|_| screens.expect().enter(viewer("s", "")).unwrap()).collect();
        assert_eq!(screens.expect().enter(viewer("s", "1")).unwrap_err(), Full::Viewers);
        assert!(screens.expect().enter(viewer("t", "")).is_ok());
        places.pop();
        assert!(screens.expect().enter(viewer("s", "1")).is_ok());
    }

    #[test]
    fn every_change_of_the_list_is_news_once() {
        let screens = Screens::default();
        let place = screens.expect().enter(viewer("s", "1")).unwrap();
        screens.await_news(None);
        assert_eq!(screens.take(), [viewer("s", "1")]);
        assert!(!screens.state().news);
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| screens.await_news(None));
            drop(place);
            waiting.join()
        });
        assert!(waiting.is_ok() && screens.take().is_empty());
        screens.renew();
        screens.await_news(None);
        // Nothing new: the patience is what ends it.
        screens.take();
        screens.await_news(Some(Duration::from_millis(1)));
    }
}
