//! The screens that are open: who has each, and its bell.
//!
//! A right may be taken back between a ticket's redemption and its screen's entry here. So whoever
//! redeems first announces it ([`Screens::expect`]); what is revoked meanwhile is kept until all
//! announced have entered, and rings the bells of those it concerns on entry. Whoever passes the list
//! on waits for its changes here ([`Screens::await_news`]). A bell also rings when a viewer's page is to know something
//! else: who has the same session on the screen, and that the session is being stopped ([`Place::notice`]).

use crate::bus::{GUESTS_OF_SESSION, VIEWERS_OF_LINK, Viewer};
use crate::model::{Pause, SessionId};
use rustix::event::{EventfdFlags, eventfd};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Viewers by all links of all sessions: what is left of the display's threads is for owners and administrators.
const GUESTS: usize = 768;
/// Screens of one session that one person has open by their own right.
const PER_PERSON: usize = 16;
/// Screens of all sessions that one person has open by their own right.
const ALL_OF_PERSON: usize = 64;

/// Lines of the list that a viewer's page gets; the others are counted.
const LISTED: usize = 20;

/// A session and a share of it; no share (an empty text) is the owner's own right.
pub type Right = (SessionId, String);

/// All open screens.
#[derive(Debug, Default)]
pub struct Screens {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: BTreeMap<u64, Open>,
    /// Sessions on a screen here that are being stopped.
    ending: BTreeSet<SessionId>,
    /// Sessions on a screen here whose guest is paused.
    paused: BTreeMap<SessionId, Pause>,
    /// What is known of the clipboard agent in the guests of sessions on a screen here.
    agents: BTreeMap<SessionId, bool>,
    /// The list is another one than was last taken.
    news: bool,
    /// The redemptions in progress, by the number of each.
    expected: BTreeSet<u64>,
    /// With an empty share: the whole session. Each with the number of the latest redemption that it concerns.
    revoked: Vec<(u64, Right)>,
}

/// An open screen.
#[derive(Debug)]
struct Open {
    viewer: Viewer,
    standing: Standing,
    bell: Arc<Bell>,
}

/// By which right somebody has a screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is their session.
    #[default]
    Owner,
    /// They may see everybody's.
    Administrator,
    /// They came by a link.
    Guest,
}

impl Standing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Administrator => "administrator",
            Self::Guest => "guest",
        }
    }
}

/// Wakes whoever carries a screen.
#[derive(Debug)]
struct Bell {
    event: OwnedFd,
    revoked: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        // An eventfd takes this unless it has been rung 2^64 times.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// The right to see the screen has ended.
    fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
        self.ring();
    }
}

/// Somebody is about to redeem a ticket.
#[derive(Debug)]
pub struct Expected<'a> {
    screens: &'a Screens,
    number: u64,
}

/// An open screen's place; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    screens: &'a Screens,
    number: u64,
    bell: Arc<Bell>,
}

/// Why a screen cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub enum Full {
    /// The share link, or all links together, have as many viewers as they may have.
    Guests,
    /// One person has as many screens open as they may have.
    Own,
    /// The kernel has no more descriptors for us.
    Descriptors,
}

impl Screens {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before a ticket is redeemed.
    pub fn expect(&self) -> Expected<'_> {
        let mut state = self.state();
        state.next += 1;
        let number = state.next;
        state.expected.insert(number);
        Expected { screens: self, number }
    }

    /// Rings the bells of this right's screens; with an empty share, of the whole session's.
    pub fn revoke(&self, session: &SessionId, share: &str) {
        let mut state = self.state();
        let concerned = |viewer: &Viewer| concerns((session, share), viewer);
        state.open.values().filter(|open| concerned(&open.viewer)).for_each(|open| open.bell.revoke());
        if let Some(latest) = state.expected.last().copied() {
            state.revoked.push((latest, (session.clone(), share.to_owned())));
        }
    }

    /// Closes the screens of exactly this right: the owner's own does not stand for the session here.
    pub fn close(&self, (session, share): &Right) {
        let of_it = |viewer: &Viewer| viewer.session == *session && viewer.share == *share;
        self.state().open.values().filter(|open| of_it(&open.viewer)).for_each(|open| open.bell.revoke());
    }

    /// Tell the pages that have this session on the screen that it is being stopped. The launcher repeats this to
    /// whoever reports a viewer of it.
    pub fn set_ending(&self, session: &SessionId) {
        let mut state = self.state();
        if state.viewers_of(session).next().is_some() && state.ending.insert(session.clone()) {
            state.ring_all_of(session);
        }
    }

    /// Tell the pages that have this session on the screen why its guest is paused, or that it continues. The launcher
    /// repeats it whenever a viewer of the session is reported.
    pub fn set_paused(&self, session: &SessionId, paused: Option<Pause>) {
        let mut state = self.state();
        let is_open = state.viewers_of(session).next().is_some();
        let before = match paused {
            Some(pause) if is_open => state.paused.insert(session.clone(), pause),
            _ => state.paused.remove(session),
        };
        if is_open && before != paused {
            state.ring_all_of(session);
        }
    }

    /// Tell the pages that have this session on the screen whether its guest has a clipboard agent.
    pub fn set_agent(&self, session: &SessionId, runs: bool) {
        let mut state = self.state();
        let is_open = state.viewers_of(session).next().is_some();
        if is_open && state.agents.insert(session.clone(), runs) != Some(runs) {
            state.ring_all_of(session);
        }
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
        state.open.values().map(|open| open.viewer.clone()).collect()
    }
}

impl State {
    /// Decide whether there is a place for this viewer. Guests never take one of an owner's or administrator's.
    fn admit(&self, new: &Viewer) -> Result<(), Full> {
        let count = |of: &dyn Fn(&Viewer) -> bool| self.open.values().filter(|open| of(&open.viewer)).count();
        if new.share.is_empty() {
            let is_own = |v: &Viewer| v.share.is_empty() && v.name_id == new.name_id;
            let is_full =
                count(&|v| is_own(v) && v.session == new.session) >= PER_PERSON || count(&is_own) >= ALL_OF_PERSON;
            return if is_full { Err(Full::Own) } else { Ok(()) };
        }
        let is_guest = |v: &Viewer| !v.share.is_empty();
        let is_full = count(&|v| v.session == new.session && v.share == new.share) >= VIEWERS_OF_LINK
            || count(&|v| v.session == new.session && is_guest(v)) >= GUESTS_OF_SESSION
            || count(&is_guest) >= GUESTS;
        if is_full { Err(Full::Guests) } else { Ok(()) }
    }
}

impl State {
    fn viewers_of<'s>(&'s self, session: &'s SessionId) -> impl Iterator<Item = (&'s u64, &'s Open)> {
        self.open.iter().filter(move |(_, open)| open.viewer.session == *session)
    }

    fn ring_all_of(&self, session: &SessionId) {
        self.viewers_of(session).for_each(|(_, open)| open.bell.ring());
    }

    /// Return what the page of this screen is to know. Neither addresses nor owners are among it: guests read it.
    fn notice(&self, number: u64) -> String {
        let Some(own) = self.open.get(&number) else { return "{}".to_owned() };
        let session = &own.viewer.session;
        let mut listed: Vec<(serde_json::Value, usize)> = Vec::new();
        let mut more = 0;
        for (other, open) in self.viewers_of(session) {
            let is_own = *other == number;
            let line = json!({
                "name": open.viewer.shown(), "role": open.viewer.role, "standing": open.standing.as_str(), "you": is_own,
            });
            match listed.iter().position(|(known, _)| *known == line) {
                Some(at) => listed[at].1 += 1,
                None if is_own || listed.len() < LISTED => listed.push((line, 1)),
                None => more += 1,
            }
        }
        let viewers: Vec<_> = listed
            .into_iter()
            .map(|(mut line, count)| {
                line["count"] = json!(count);
                line
            })
            .collect();
        let agent = self.agents.get(session);
        let paused = self.paused.get(session).map(|pause| pause.explain());
        let ending = self.ending.contains(session);
        json!({"viewers": viewers, "more": more, "ending": ending, "paused": paused, "agent": agent}).to_string()
    }
}

fn concerns((session, share): (&SessionId, &str), viewer: &Viewer) -> bool {
    *session == viewer.session && (share.is_empty() || share == viewer.share)
}

impl<'a> Expected<'a> {
    /// The ticket was good: here is its screen.
    pub fn enter(self, viewer: Viewer, standing: Standing) -> Result<Place<'a>, Full> {
        let screens = self.screens;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|_| Full::Descriptors)?;
        let bell = Arc::new(Bell { event, revoked: AtomicBool::new(false) });
        let mut state = screens.state();
        state.admit(&viewer)?;
        if state
            .revoked
            .iter()
            .any(|(latest, (session, share))| *latest >= self.number && concerns((session, share), &viewer))
        {
            bell.revoke();
        }
        state.next += 1;
        let number = state.next;
        state.ring_all_of(&viewer.session);
        state.open.insert(number, Open { viewer, standing, bell: Arc::clone(&bell) });
        drop(state);
        screens.renew();
        Ok(Place { screens, number, bell })
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let mut state = self.screens.state();
        state.expected.remove(&self.number);
        // Of those that go on, the oldest still has to know what was revoked since it began.
        let oldest = state.expected.first().copied().unwrap_or(u64::MAX);
        state.revoked.retain(|(latest, _)| *latest >= oldest);
    }
}

impl Place<'_> {
    /// Return true once the right to see the screen has ended.
    pub fn is_revoked(&self) -> bool {
        self.bell.revoked.load(Ordering::Acquire)
    }

    /// Return what the page is to know now, as JSON.
    pub fn notice(&self) -> String {
        self.screens.state().notice(self.number)
    }

    /// Wait for the next ring of the bell from now on.
    pub fn answer_bell(&self) {
        // There is nothing to read where it has not rung.
        let _ = rustix::io::read(self, &mut [0; 8]);
    }
}

/// The bell: readable once there is news.
impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.event.as_fd()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.screens.state();
        if let Some(Open { viewer, .. }) = state.open.remove(&self.number) {
            if state.viewers_of(&viewer.session).next().is_none() {
                state.ending.remove(&viewer.session);
                state.paused.remove(&viewer.session);
                state.agents.remove(&viewer.session);
            }
            state.ring_all_of(&viewer.session);
        }
        drop(state);
        self.screens.renew();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::tests::a_viewer;
    use crate::display::testing::session;
    use crate::model::Role;

    fn viewer(name: &str, share: &str) -> Viewer {
        Viewer { share: share.to_owned(), ..a_viewer(session(name).as_str()) }
    }

    fn is_revoked(place: &Place<'_>) -> bool {
        place.is_revoked()
    }

    #[test]
    fn a_share_is_closed_alone_and_a_session_whole() {
        let screens = Screens::default();
        let enter = |session, share| screens.expect().enter(viewer(session, share), Standing::default()).unwrap();
        let (owner, share, other) = (enter("s", ""), enter("s", "1"), enter("t", "1"));
        screens.revoke(&session("s"), "1");
        assert!(is_revoked(&share) && !is_revoked(&owner) && !is_revoked(&other));
        screens.revoke(&session("s"), "");
        assert!(is_revoked(&share) && is_revoked(&owner) && !is_revoked(&other));
        let (owner, share) = (enter("s", ""), enter("s", "1"));
        screens.close(&(session("s"), String::new()));
        assert!(is_revoked(&owner) && !is_revoked(&share));
    }

    #[test]
    fn what_is_revoked_during_a_redemption_counts() {
        let screens = Screens::default();
        let expected = screens.expect();
        let another = screens.expect();
        screens.revoke(&session("s"), "1");
        assert!(is_revoked(&expected.enter(viewer("s", "1"), Standing::default()).unwrap()));
        assert!(!is_revoked(&another.enter(viewer("s", "2"), Standing::default()).unwrap()));
        // The next redemption is judged by the launcher alone.
        assert!(!is_revoked(&screens.expect().enter(viewer("s", "1"), Standing::default()).unwrap()));
        screens.revoke(&session("s"), "1");
        assert!(!is_revoked(&screens.expect().enter(viewer("s", "1"), Standing::default()).unwrap()));
    }

    #[test]
    fn what_is_revoked_counts_though_another_redemption_comes_to_nothing() {
        let screens = Screens::default();
        let (expected, another) = (screens.expect(), screens.expect());
        screens.revoke(&session("s"), "1");
        drop(another);
        assert!(is_revoked(&expected.enter(viewer("s", "1"), Standing::default()).unwrap()));
    }

    fn enter<'a>(screens: &'a Screens, session: &str, share: &str, count: usize) -> Vec<Result<Place<'a>, Full>> {
        (0..count).map(|_| screens.expect().enter(viewer(session, share), Standing::default())).collect()
    }

    fn refused(places: &[Result<Place<'_>, Full>]) -> usize {
        places.iter().filter(|place| place.is_err()).count()
    }

    #[test]
    fn guests_are_bounded_by_link_and_session_and_take_no_place_of_the_owner() {
        let screens = Screens::default();
        let mut first = enter(&screens, "s", "1", VIEWERS_OF_LINK);
        assert_eq!(refused(&first), 0);
        assert_eq!(screens.expect().enter(viewer("s", "1"), Standing::default()).unwrap_err(), Full::Guests);
        let second = enter(&screens, "s", "2", VIEWERS_OF_LINK);
        assert_eq!((refused(&second), refused(&enter(&screens, "s", "3", 5))), (0, 5));
        assert_eq!(refused(&enter(&screens, "t", "1", VIEWERS_OF_LINK)), 0, "another session has places of its own");
        let own = enter(&screens, "s", "", PER_PERSON);
        assert_eq!(
            (refused(&own), screens.expect().enter(viewer("s", ""), Standing::default()).unwrap_err()),
            (0, Full::Own)
        );
        let administrator = Viewer { name_id: "pam:boss".parse().ok(), ..viewer("s", "") };
        assert!(screens.expect().enter(administrator, Standing::default()).is_ok());
        first.pop();
        assert!(screens.expect().enter(viewer("s", "3"), Standing::default()).is_ok(), "a place is free again");
    }

    #[test]
    fn guests_and_persons_of_many_sessions_are_bounded_together() {
        let screens = Screens::default();
        let links = (0..100).map(|n| (format!("s{}", n / 2), format!("{n}")));
        let guests: Vec<_> = links.flat_map(|(s, share)| enter(&screens, &s, &share, VIEWERS_OF_LINK)).collect();
        assert_eq!(guests.len() - refused(&guests), GUESTS);
        let own: Vec<_> = (0..10).flat_map(|n| enter(&screens, &format!("s{n}"), "", PER_PERSON)).collect();
        assert_eq!(own.len() - refused(&own), ALL_OF_PERSON);
    }

    #[test]
    fn what_is_revoked_is_not_kept_for_redemptions_that_came_after_it() {
        let screens = Screens::default();
        let mut in_progress = screens.expect();
        for n in 0..1000 {
            // There is a redemption in progress at every moment.
            let next = screens.expect();
            screens.revoke(&session("s"), &n.to_string());
            in_progress = next;
        }
        assert!(screens.state().revoked.len() <= 2);
        drop(in_progress);
        assert!(screens.state().revoked.is_empty());
    }

    #[test]
    fn every_change_of_the_list_is_news_once() {
        let screens = Screens::default();
        let place = screens.expect().enter(viewer("s", "1"), Standing::default()).unwrap();
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

    fn named(name: &str, role: &str, share: &str) -> Viewer {
        Viewer {
            name: name.into(),
            name_id: format!("pam:{name}").parse().ok(),
            role: role.parse().unwrap(),
            address: "192.0.2.7".parse().ok(),
            ..viewer("s", share)
        }
    }

    #[test]
    fn everybody_on_a_screen_is_named_to_each_of_them() {
        let screens = Screens::default();
        let enter = |viewer, standing| screens.expect().enter(viewer, standing).unwrap();
        let own = enter(named("ada", "control", ""), Standing::Owner);
        let _boss = enter(named("boss", "view", ""), Standing::Administrator);
        let _elsewhere = enter(viewer("t", "2"), Standing::Guest);
        let guests: Vec<_> =
            (0..3).map(|_| enter(Viewer { role: Role::View, ..viewer("s", "1") }, Standing::Guest)).collect();
        let line = |name: &str, role: &str, standing: &str, you: bool, count: u32| json!({"name": name, "role": role, "standing": standing, "you": you, "count": count});
        let notice: serde_json::Value = serde_json::from_str(&own.notice()).unwrap();
        let there = [
            line("ada", "control", "owner", true, 1),
            line("boss", "view", "administrator", false, 1),
            line("", "view", "guest", false, 3),
        ];
        assert_eq!(notice, json!({"viewers": there, "more": 0, "ending": false, "paused": null, "agent": null}));
        assert!(!guests[0].notice().contains("192.0.2.7") && !guests[0].notice().contains("pam:"));
    }

    #[test]
    fn a_page_is_told_of_twenty_and_how_many_more() {
        let screens = Screens::default();
        let places: Vec<_> = (0..30)
            .map(|n| screens.expect().enter(named(&format!("b{n}"), "view", &n.to_string()), Standing::Guest).unwrap())
            .collect();
        let notice: serde_json::Value = serde_json::from_str(&places[29].notice()).unwrap();
        let viewers = notice["viewers"].as_array().unwrap();
        assert_eq!((viewers.len(), notice["more"].as_u64()), (LISTED + 1, Some(9)));
        assert_eq!(viewers[LISTED]["name"], "b29");
    }

    fn has_rung(place: &Place<'_>) -> bool {
        rustix::io::read(place, &mut [0; 8]).is_ok()
    }

    #[test]
    fn a_bell_rings_when_somebody_comes_or_leaves_and_when_the_session_is_stopped() {
        let screens = Screens::default();
        let enter = |session| screens.expect().enter(viewer(session, ""), Standing::Owner).unwrap();
        let (here, elsewhere) = (enter("s"), enter("t"));
        assert!(!has_rung(&here));
        let another = enter("s");
        assert!(has_rung(&here) && !has_rung(&here));
        drop(another);
        assert!(has_rung(&here));
        screens.set_ending(&session("s"));
        assert!(has_rung(&here) && here.notice().contains("\"ending\":true"));
        screens.set_ending(&session("s"));
        assert!(!has_rung(&here) && !here.is_revoked());
        assert!(!has_rung(&elsewhere) && elsewhere.notice().contains("\"ending\":false"));
        screens.set_agent(&session("s"), false);
        assert!(has_rung(&here) && here.notice().contains("\"agent\":false"));
        screens.set_agent(&session("s"), false);
        assert!(!has_rung(&here));
        screens.set_paused(&session("s"), Some(Pause::DiskLimit));
        assert!(has_rung(&here) && here.notice().contains("\"paused\":\"Disk limit reached."));
        screens.set_paused(&session("s"), Some(Pause::DiskLimit));
        assert!(!has_rung(&here));
        screens.set_paused(&session("s"), None);
        assert!(has_rung(&here) && here.notice().contains("\"paused\":null"));
        screens.set_paused(&session("s"), Some(Pause::DiskLimit));
        // Nothing is kept of sessions that nobody looks at.
        screens.set_ending(&session("nowhere"));
        screens.set_paused(&session("nowhere"), Some(Pause::DiskLimit));
        drop(here);
        screens.set_agent(&session("s"), true);
        screens.set_paused(&session("s"), Some(Pause::DiskLimit));
        let state = screens.state();
        assert!(state.ending.is_empty() && state.agents.is_empty() && state.paused.is_empty());
    }
}
