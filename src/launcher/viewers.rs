//! Who has which session on the screen, as the display says.
//!
//! It reports all of its viewers whenever that changes, and whenever it finds a launcher that it has
//! not told yet, and is answered whose screens must be closed. So what is kept here, in memory alone,
//! mends itself whichever of the two was restarted. It is forgotten when the display leaves the bus.

use super::caller::Person;
use super::core::Core;
use super::shares::still_good;
use super::table::{Entry, find};
use crate::bus::{self, GUESTS_OF_SESSION, Request, VIEWERS_OF_LINK, Viewer};
use crate::host;
use crate::model::{Pause, Problem, SessionId, State, Word};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zbus::blocking::Connection;
use zbus::blocking::fdo::DBusProxy;
use zbus::zvariant::DynamicType;

const DISPLAY_UNIT: &str = "qwd-display.service";
/// So long for a display that runs to say whom it shows: it does so when it sees us come.
const REPORT: Duration = Duration::from_secs(2);
/// Displays at once: one, and the one before while it ends.
const DISPLAYS: usize = 4;
/// Viewers in one report: the display takes in no more.
const VIEWERS: usize = 1024;
/// Viewers of one session in one report that are kept.
const OF_SESSION: usize = 128;
/// Bytes of each text of a viewer.
const TEXT: usize = 512;
/// Reports in a second: a display gathers changes for a tenth of one.
const IN_A_SECOND: u32 = 40;

/// The reports, each under its display's name on the bus.
#[derive(Default)]
pub(super) struct Viewers {
    reports: Mutex<HashMap<String, Vec<Viewer>>>,
    arrived: Condvar,
    second: Mutex<Option<(Instant, u32)>>,
    /// Held from the look into the table until `Paused` is sent, or an older reason could arrive last.
    pause_order: Mutex<()>,
}

impl Viewers {
    fn reports(&self) -> MutexGuard<'_, HashMap<String, Vec<Viewer>>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a report in the place of the one before; true for a display's first.
    fn put(&self, display: &str, viewers: Vec<Viewer>) -> Result<bool, Problem> {
        let mut reports = self.reports();
        if reports.len() >= DISPLAYS && !reports.contains_key(display) {
            return Err(Problem::new(Word::LimitReached, "Too many displays report their viewers."));
        }
        let first = reports.insert(display.to_owned(), viewers).is_none();
        self.arrived.notify_all();
        Ok(first)
    }

    /// Admit a report, of which there are so many a second.
    fn admit(&self, now: Instant) -> Result<(), Problem> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let current = second.filter(|(begun, _)| now.duration_since(*begun) < Duration::from_secs(1));
        let (begun, count) = current.unwrap_or((now, 0));
        if count >= IN_A_SECOND {
            return Err(Problem::new(Word::LimitReached, "Too many reports of viewers within a second."));
        }
        *second = Some((begun, count + 1));
        Ok(())
    }

    /// Refuse a guest for whom the display would have no place.
    pub(super) fn admit_guest(&self, session: &SessionId, share: &str) -> Result<(), Problem> {
        let reports = self.reports();
        let guests = || reports.values().flatten().filter(|v| v.session == *session && !v.share.is_empty());
        if guests().count() >= GUESTS_OF_SESSION || guests().filter(|v| v.share == share).count() >= VIEWERS_OF_LINK {
            let text = "Viewer limit of this share link reached. Try again when another viewer has left.";
            return Err(Problem::new(Word::LimitReached, text));
        }
        Ok(())
    }

    fn forget(&self, display: &str) {
        self.reports().remove(display);
    }

    /// The bus names of the displays.
    pub(super) fn displays(&self) -> Vec<String> {
        self.reports().keys().cloned().collect()
    }

    /// The viewers of a session, who came first in front.
    pub(super) fn of(&self, session: &SessionId) -> Vec<Viewer> {
        let mut viewers: Vec<Viewer> =
            self.reports().values().flatten().filter(|v| v.session == *session).cloned().collect();
        viewers.sort_by_key(|v| v.since);
        viewers
    }

    /// Waits for a first report, if there is somebody to make one.
    fn await_first(&self, display_runs: impl FnOnce() -> bool) {
        if self.reports().is_empty() && display_runs() {
            // Where none comes the list is empty until it does.
            let _ = self.arrived.wait_timeout_while(self.reports(), REPORT, |reports| reports.is_empty());
        }
    }
}

/// Read a report; one with too many viewers is not looked at.
pub(super) fn read_report(report: &[Request<Viewer>]) -> Result<Vec<Viewer>, Problem> {
    if report.len() > VIEWERS {
        return Err(bad_report());
    }
    report.iter().map(Request::read).collect()
}

/// Takes a display's report; answers with the rights, as session and share, whose screens must be closed. Of a
/// display that is not what it should be, no more is kept than of a good one.
pub(super) fn report(
    core: &Arc<Core>,
    display: &str,
    mut viewers: Vec<Viewer>,
) -> Result<Vec<(SessionId, String)>, Problem> {
    core.viewers.admit(Instant::now())?;
    check(&viewers)?;
    let mut rights: Vec<_> = viewers.iter().map(|v| (v.session.clone(), v.share.clone())).collect();
    rights.sort();
    rights.dedup();
    keep_known(core, &mut viewers);
    let sessions = viewers.iter().map(|v| v.session.clone()).collect();
    // Known before its rights are looked at: what is taken back from now on is told to it.
    if core.viewers.put(display, viewers)? {
        watch_for_end(core, display)?;
    }
    repeat_states(core, display, &sessions);
    rights.retain(|(session, share)| !is_good(core, session, share));
    Ok(rights)
}

/// Send a signal to the displays alone: a broadcast could be read by everybody. One that is not there shows no screens,
/// and reports when it comes back.
pub(super) fn signal_displays<B: Serialize + DynamicType>(core: &Core, member: &str, body: &B) {
    for display in core.viewers.displays() {
        signal(core, &display, member, body);
    }
}

fn signal<B: Serialize + DynamicType>(core: &Core, display: &str, member: &str, body: &B) {
    if let Err(e) = core.connection.emit_signal(Some(display), bus::PATH, bus::INTERFACE, member, body) {
        log::error!("The display could not be sent the signal {member}: {e}.");
    }
}

/// Tell the displays that this session is being stopped.
pub(super) fn signal_ending(core: &Core, id: &SessionId) {
    signal_displays(core, "Ending", &id.as_str());
}

/// Tell the displays why the guest of this session is paused, or that it continues.
pub(super) fn signal_paused(core: &Core, id: &SessionId) {
    send_paused(core, &core.viewers.displays(), id);
}

/// Send what the table says now, in the order in which it changes.
fn send_paused(core: &Core, displays: &[String], id: &SessionId) {
    let _order = core.viewers.pause_order.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(paused) = core.table().get(id).map(Entry::paused) else { return };
    let body = (id.as_str(), paused.map_or("", Pause::as_str));
    displays.iter().for_each(|display| signal(core, display, "Paused", &body));
}

/// Repeat to this display which of these sessions are being stopped, which are paused, and which are not: it may have
/// missed the signal.
fn repeat_states(core: &Core, display: &str, sessions: &BTreeSet<SessionId>) {
    for id in sessions {
        let state = core.table().get(id).map(Entry::state);
        match state {
            Some(State::Stopping) => signal(core, display, "Ending", &id.as_str()),
            Some(state) if state.is_up() => send_paused(core, &[display.to_owned()], id),
            _ => {}
        }
    }
}

/// Forget what this display has reported once it has left the bus, or else at once: it reports again.
fn watch_for_end(core: &Arc<Core>, display: &str) -> Result<(), Problem> {
    let (watched, name) = (Arc::clone(core), display.to_owned());
    let watch = move || {
        if let Err(e) = until_gone(&watched.connection, &name) {
            log::warn!("The display cannot be watched for its end: {e}.");
        }
        watched.viewers.forget(&name);
    };
    if let Err(e) = std::thread::Builder::new().name("display".to_owned()).spawn(watch) {
        core.viewers.forget(display);
        return Err(Problem::new(Word::Unavailable, format!("The display cannot be watched for its end: {e}.")));
    }
    Ok(())
}

/// Refuse a report that no display of this version makes.
fn check(viewers: &[Viewer]) -> Result<(), Problem> {
    let is_short = |v: &Viewer| v.share.len() <= TEXT && v.name.len() <= TEXT;
    if viewers.len() <= VIEWERS && viewers.iter().all(is_short) { Ok(()) } else { Err(bad_report()) }
}

fn bad_report() -> Problem {
    Problem::bad_request(format!("A report has at most {VIEWERS} viewers, each with texts of at most {TEXT} bytes."))
}

/// Drop the viewers of sessions that do not exist, and those of one session that are too many.
fn keep_known(core: &Core, viewers: &mut Vec<Viewer>) {
    let table = core.table();
    let mut counts: HashMap<SessionId, usize> = HashMap::new();
    viewers.retain(|viewer| {
        let is_known = table.contains_key(&viewer.session);
        let count = counts.entry(viewer.session.clone()).or_default();
        *count += 1;
        is_known && *count <= OF_SESSION
    });
}

/// Comes back when nobody has this unique name any more.
fn until_gone(connection: &Connection, name: &str) -> zbus::Result<()> {
    let bus = DBusProxy::new(connection)?;
    let mut left = bus.receive_name_owner_changed_with_args(&[(0, name), (2, "")])?;
    if bus.name_has_owner(name.try_into()?)? {
        left.next();
    }
    Ok(())
}

fn is_good(core: &Core, session: &SessionId, share: &str) -> bool {
    let now = host::now();
    let good = |shares: &[crate::session::ShareRecord]| shares.iter().any(|s| s.id == share && still_good(s, now));
    core.table().get(session).is_some_and(|e| share.is_empty() || good(&e.record.shares))
}

/// Who has this session on the screen.
pub(super) fn viewers(core: &Core, person: &Person, id: &SessionId) -> Result<Vec<Viewer>, Problem> {
    find(&mut core.table(), person, id)?;
    await_report(core);
    Ok(core.viewers.of(id))
}

/// Comes back when a display that runs has said whom it shows, or does not say it.
pub(super) fn await_report(core: &Core) {
    core.viewers.await_first(|| core.systemd.active(&[DISPLAY_UNIT]).is_ok_and(|units| !units.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::super::screens;
    use super::super::testing::{Bench, ID};
    use super::super::tickets::{Holder, Pass};
    use super::*;
    use crate::bus::tests::a_viewer;
    use crate::model::Role;
    use zbus::Message;
    use zbus::blocking::MessageIterator;
    use zbus::blocking::connection::Builder;

    fn viewer(session: &str, since: u64) -> Viewer {
        Viewer { since, ..a_viewer(session) }
    }

    #[test]
    fn a_report_replaces_the_one_before_of_the_same_display() {
        let viewers = Viewers::default();
        let id: SessionId = "abcdefghij".parse().unwrap();
        assert!(
            viewers
                .put(":1.5", vec![viewer("abcdefghij", 9), viewer("abcdefghij", 3), viewer("bbbbbbbbbb", 1)])
                .unwrap()
        );
        assert_eq!(viewers.of(&id), [viewer("abcdefghij", 3), viewer("abcdefghij", 9)]);
        assert!(!viewers.put(":1.5", vec![viewer("abcdefghij", 9)]).unwrap());
        assert!(viewers.put(":1.8", Vec::new()).unwrap());
        assert_eq!(viewers.of(&id).len(), 1);
        viewers.forget(":1.5");
        assert_eq!((viewers.of(&id).len(), viewers.displays()), (0, vec![":1.8".to_owned()]));
    }

    #[test]
    fn a_first_report_is_waited_for_where_somebody_can_make_one() {
        let viewers = Arc::new(Viewers::default());
        viewers.await_first(|| false);
        let reporter = Arc::clone(&viewers);
        viewers.await_first(|| {
            std::thread::spawn(move || reporter.put(":1.5", Vec::new()));
            true
        });
        assert_eq!(viewers.displays().len(), 1);
        viewers.await_first(|| unreachable!("there is a report"));
    }

    #[test]
    fn guests_are_admitted_while_the_display_has_a_place_for_them() {
        let viewers = Viewers::default();
        let id: SessionId = "abcdefghij".parse().unwrap();
        let by = |share: &str, count| vec![Viewer { share: share.into(), ..viewer("abcdefghij", 1) }; count];
        let report = |all: [Vec<Viewer>; 3]| assert!(viewers.put(":1.5", all.concat()).is_ok());
        let admits = |share| viewers.admit_guest(&id, share).is_ok();
        assert!(admits("s1"), "no display has reported yet");
        report([by("s1", VIEWERS_OF_LINK - 1), by("", 64), by("s2", 3)]);
        assert!(admits("s1") && admits("s2"));
        report([by("s1", VIEWERS_OF_LINK), by("", 64), by("s2", 3)]);
        assert!(!admits("s1") && admits("s2"));
        report([by("s2", VIEWERS_OF_LINK), by("s3", GUESTS_OF_SESSION - VIEWERS_OF_LINK), Vec::new()]);
        assert!(!admits("s1"));
        assert!(viewers.admit_guest(&"bbbbbbbbbb".parse().unwrap(), "s1").is_ok());
    }

    #[test]
    fn a_full_link_costs_the_sessions_qemu_nothing() {
        let bench = Bench::new("full-link", |_| {});
        let guest = Viewer { share: "s1".into(), ..viewer(ID, 1) };
        assert!(bench.core.viewers.put(":1.5", vec![guest; VIEWERS_OF_LINK]).unwrap());
        let word = |share: &str| {
            let (session, share, holder) = (ID.parse().unwrap(), share.to_owned(), Holder::default());
            let pass = Pass { session, role: Role::View, share, holder, client: None, until: 0 };
            let ticket = screens::issue(&bench.core, pass);
            screens::redeem(&bench.core, &ticket).map(drop).unwrap_err().word
        };
        assert_eq!(word("s1"), Word::LimitReached);
        // Others get as far as the session's QEMU, of which there is none here.
        assert_ne!(word("s2"), Word::LimitReached);
        assert_ne!(word(""), Word::LimitReached);
    }

    /// As good a viewer as a display reports.
    fn good(session: &str) -> Viewer {
        Viewer { address: "192.0.2.7".parse().ok(), ..viewer(session, 1) }
    }

    #[test]
    fn a_report_is_bounded_in_size_and_form() {
        let of = |edit: fn(&mut Viewer)| {
            let mut viewer = good("abcdefghij");
            edit(&mut viewer);
            check(&[viewer])
        };
        assert!(of(|_| ()).is_ok() && of(|v| v.address = None).is_ok() && of(|v| v.name = "x".repeat(TEXT)).is_ok());
        for edit in [|v: &mut Viewer| v.name = "x".repeat(TEXT + 1), |v: &mut Viewer| v.share = "x".repeat(TEXT + 1)] {
            assert_eq!(of(edit).unwrap_err().word, Word::BadRequest);
        }
        assert!(check(&vec![good("abcdefghij"); VIEWERS]).is_ok());
        assert_eq!(check(&vec![good("abcdefghij"); VIEWERS + 1]).unwrap_err().word, Word::BadRequest);
    }

    #[test]
    fn of_a_report_what_is_known_is_kept_and_no_more_than_a_session_can_have() {
        let bench = Bench::new("report", |_| {});
        let unknown = (0..500).map(|_| good(crate::random::session_id().as_str()));
        let viewers = unknown.chain((0..200).map(|_| good(ID))).collect();
        // Somebody who is on the bus, or the report is forgotten.
        let display = bench.core.connection.unique_name().unwrap().to_string();
        let closed = report(&bench.core, &display, viewers).unwrap();
        assert_eq!((closed.len(), bench.core.viewers.reports()[&display].len()), (500, OF_SESSION));
    }

    #[test]
    fn reports_and_displays_are_bounded() {
        let viewers = Viewers::default();
        let now = Instant::now();
        assert_eq!((0..600).filter(|_| viewers.admit(now).is_ok()).count(), IN_A_SECOND as usize);
        assert!(viewers.admit(now + Duration::from_secs(1)).is_ok());
        assert_eq!((0..600).filter(|n| viewers.put(&format!(":1.{n}"), Vec::new()).is_ok()).count(), DISPLAYS);
    }

    /// Return a display's connection and its name on the bus.
    fn connect_display(bench: &Bench) -> (Connection, String) {
        let display = Builder::address(bench.address().as_str()).and_then(Builder::build).unwrap();
        let name = display.unique_name().unwrap().to_string();
        (display, name)
    }

    fn next_signal(messages: &mut MessageIterator, member: &str) -> Message {
        let is_it = |m: &Message| m.header().member().is_some_and(|name| name == member);
        messages.by_ref().map(Result::unwrap).find(is_it).unwrap()
    }

    #[test]
    fn displays_hear_why_a_session_is_paused_and_that_it_continues_also_when_they_come_later() {
        let bench = Bench::new("paused", |_| {});
        let id: SessionId = ID.parse().unwrap();
        let (display, name) = connect_display(&bench);
        let mut messages = MessageIterator::from(&display);
        let mut hear = || -> (String, String) { next_signal(&mut messages, "Paused").body().deserialize().unwrap() };
        let said = |reason: &str| (ID.to_owned(), reason.to_owned());
        let mark = |paused| bench.core.table().get_mut(&id).unwrap().mark_paused(paused);
        let report = || report(&bench.core, &name, vec![good(ID); 3]).unwrap();
        mark(Some(Pause::DiskLimit));
        assert_eq!(bench.core.table()[&id].state(), State::Paused);
        report();
        assert_eq!(hear(), said("disk_limit"));
        // The signal that it continues was lost.
        mark(None);
        report();
        assert_eq!(hear(), said(""));
        // The signal says what the table does, whenever it is sent.
        mark(Some(Pause::DiskError));
        signal_paused(&bench.core, &id);
        assert_eq!(hear(), said("disk_error"));
        mark(None);
        signal_paused(&bench.core, &id);
        assert_eq!(hear(), said(""));
    }

    #[test]
    fn displays_are_told_that_a_session_is_being_stopped_also_when_they_come_later() {
        let bench = Bench::new("ending", |_| {});
        let id: SessionId = ID.parse().unwrap();
        bench.run_units([crate::unit::session_unit(&id).as_str()]);
        let (display, name) = connect_display(&bench);
        let mut messages = MessageIterator::from(&display);
        let mut hear_ending = || -> String { next_signal(&mut messages, "Ending").body().deserialize().unwrap() };
        report(&bench.core, &name, vec![good(ID)]).unwrap();
        super::super::control::stop(&bench.core, &super::super::testing::alice(), &id).unwrap();
        assert_eq!(hear_ending(), ID);
        bench.core.mark_stopping(&id);
        // To one that reports a viewer after that, once for each report.
        report(&bench.core, &name, vec![good(ID); 3]).unwrap();
        assert_eq!(hear_ending(), ID);
        report(&bench.core, &name, Vec::new()).unwrap();
        display.close().unwrap();
        assert_eq!(
            messages
                .map(Result::ok)
                .filter(|m| m.as_ref().is_some_and(|m| m.header().member().is_some_and(|m| m == "Ending")))
                .count(),
            0
        );
    }
}
