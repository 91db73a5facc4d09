//! From a started unit to a screen that answers, and what a launcher that begins anew does for sessions that there are.

use super::agents;
use super::changes::take_turn;
use super::core::Core;
use super::reap;
use super::table::no_such;
use super::threads::run_beside;
use super::turns::{Kind, NoTurn};
use crate::host;
use crate::journal::id as message_id;
use crate::model::{Event, Problem, SessionId, State, Word};
use crate::monitor::{Monitor, sockets};
use crate::session::Asked;
use crate::unit;
use crate::vm::LAUNCHER_SOCKET;
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long QEMU may take from its start to its first greeting: a busy host is slow, not broken.
const GREETING: Duration = Duration::from_secs(60);

/// Sees a started session through to its screen.
pub(super) fn follow(core: &Arc<Core>, id: &SessionId, started: Instant) {
    let _busy = core.idle.begin();
    if let Err(problem) = core.arm_timer(id) {
        log::error!(QWD_SESSION = id.as_str(); "The end of session {id} has no timer, and is left to the reaper: {problem}");
    }
    if let Err(problem) = greet(core, id) {
        // Its unit fails by itself and says why; what hangs is ended.
        log::warn!(QWD_SESSION = id.as_str(); "The screen of session {id} does not answer: {problem}");
        // With that on record, the sweep stops it again if systemd does not hear us.
        if let Err(e) = core.store.ask(id, &Asked::FailedStart) {
            log::error!(QWD_SESSION = id.as_str(); "That session {id} could not be started cannot be written down: {e}.");
        }
        if let Err(problem) = core.systemd.stop(&unit::session_unit(id)) {
            log::error!(QWD_SESSION = id.as_str(); "The sweep ends session {id}, which could not be started: {problem}");
        }
        return;
    }
    let written = core.change_record_as(Kind::Launcher, id, |record| Ok(record.apply(Event::Answer)?));
    let record = {
        let mut table = core.table();
        let Some(entry) = table.get_mut(id) else { return };
        entry.mark_answering();
        entry.record.clone()
    };
    core.notify();
    agents::ask(core, id);
    if let Err(problem) = written {
        log::error!(QWD_SESSION = id.as_str(); "Session {id} runs, but that is not on record: {problem}");
    }
    let elapsed = started.elapsed().as_millis();
    let text = format!("The screen of session {id} answers, {elapsed} ms after the request");
    record.story(&record.owner_shown()).tell(log::Level::Info, message_id::STARTED, text);
}

/// Take over from a launcher that has ended: see through what is starting, and do what was left undone.
pub(super) fn take_over(core: &Arc<Core>) {
    for id in ids_in(core, |state| state == State::Starting) {
        let core = Arc::clone(core);
        run_beside(move || resume(&core, &id));
    }
    let core = Arc::clone(core);
    run_beside(move || {
        let _busy = core.idle.begin();
        reap::report(&reap::reap_sessions(&core));
        ids_in(&core, State::is_up).iter().for_each(|id| agents::ask(&core, id));
    });
}

fn ids_in(core: &Core, matches: fn(State) -> bool) -> Vec<SessionId> {
    core.table().iter().filter(|(_, entry)| matches(entry.state())).map(|(id, _)| id.clone()).collect()
}

/// See a session through whose start another launcher has ordered, or was about to.
fn resume(core: &Arc<Core>, id: &SessionId) {
    let _busy = core.idle.begin();
    if let Err(problem) = core.systemd.wait_for_job(&unit::session_unit(id)) {
        log::warn!(QWD_SESSION = id.as_str(); "The start of session {id} cannot be waited for: {problem}");
    }
    follow(core, id, Instant::now());
    // Without a unit there is nothing that clears up after it but this.
    if core.table().get(id).is_some_and(|entry| !entry.state().is_up()) {
        reap::report(&reap::reap_sessions(core));
    }
}

/// The screen answers when it has greeted a first viewer: us.
fn greet(core: &Core, id: &SessionId) -> Result<(), Problem> {
    let until = Instant::now() + GREETING;
    let mut screen = core.open_screen(id, Kind::Launcher, GREETING)?;
    let mut greeting = [0; 12];
    read_within(&mut screen, &mut greeting, until).map_err(|e| Problem::failed(format!("it did not greet: {e}")))?;
    if greeting.starts_with(b"RFB ") { Ok(()) } else { Err(Problem::failed("it does not speak RFB")) }
}

fn no_turn(why: &NoTurn) -> Problem {
    let text = match why {
        NoTurn::TooMany => "Too many viewers are opening this screen at the moment. Try again in a few seconds.",
        NoTurn::TooLate => "The session's QEMU did not answer in time.",
    };
    Problem::new(Word::Unavailable, text)
}

/// Fill the buffer until then, however slowly the bytes come.
fn read_within(stream: &mut UnixStream, mut buffer: &mut [u8], until: Instant) -> std::io::Result<()> {
    while !buffer.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        // An error where nothing is left.
        stream.set_read_timeout(Some(left))?;
        match stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer = &mut buffer[count..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

impl Core {
    /// A new viewer's end of the session's screen.
    pub(super) fn open_screen(&self, id: &SessionId, kind: Kind, patience: Duration) -> Result<UnixStream, Problem> {
        let (ours, theirs) =
            UnixStream::pair().map_err(|e| Problem::failed(format!("No socket pair can be made: {e}.")))?;
        self.talk_as(kind, id, patience, |monitor| monitor.add_viewer(theirs.into()))?;
        Ok(ours)
    }

    /// Return the number of the session's user.
    pub(super) fn user_of(&self, id: &SessionId) -> Result<u32, Problem> {
        let known = self.table().get(id).map(|e| Arc::clone(&e.user)).ok_or_else(no_such)?;
        if let Some(user) = known.get() {
            return Ok(*user);
        }
        let user = self.systemd.dynamic_user(&unit::session_user(id))?;
        Ok(*known.get_or_init(|| user))
    }

    /// Talk to the session's QEMU for the launcher's own sake.
    pub(super) fn talk<T>(
        &self,
        id: &SessionId,
        patience: Duration,
        talk: impl FnOnce(&mut Monitor) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.talk_as(Kind::Launcher, id, patience, talk)
    }

    /// Talk to the session's QEMU when it is this caller's turn; waiting and talking have `patience` together.
    pub(super) fn talk_as<T>(
        &self,
        kind: Kind,
        id: &SessionId,
        patience: Duration,
        talk: impl FnOnce(&mut Monitor) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let monitor = self.table().get(id).map(|e| Arc::clone(&e.monitor)).ok_or_else(no_such)?;
        let until = Instant::now() + patience;
        let _turn = monitor.take(kind, until).map_err(|why| no_turn(&why))?;
        let user = self.user_of(id)?;
        let left = || until.saturating_duration_since(Instant::now());
        let stream = sockets::connect_to(&self.store.sockets(id), LAUNCHER_SOCKET, user, left())?;
        talk(&mut Monitor::begin(stream, left())?)
    }

    /// Start the timer that ends the session; one that has no end needs none. Twice is fine.
    pub(super) fn arm_timer(&self, id: &SessionId) -> Result<(), Problem> {
        let changes = self.table().get(id).map(|e| Arc::clone(&e.changes)).ok_or_else(no_such)?;
        // In the session's turn: between reading the end and arming, nobody moves it.
        let _turn = take_turn(&changes, Kind::Launcher)?;
        let end = self.table().get(id).map(|e| e.record.expires_at).ok_or_else(no_such)?;
        if end == 0 { Ok(()) } else { self.systemd.arm_expiry(id, end, host::now()) }
    }

    /// Give the session the one timer that it is to have, and no other.
    pub(super) fn tidy_timers(&self, id: &SessionId) -> Result<(), Problem> {
        let changes = self.table().get(id).map(|e| Arc::clone(&e.changes)).ok_or_else(no_such)?;
        let _turn = take_turn(&changes, Kind::Launcher)?;
        let end = self.table().get(id).map(|e| e.record.expires_at).ok_or_else(no_such)?;
        if end != 0 {
            self.systemd.arm_expiry(id, end, host::now())?;
        }
        self.systemd.disarm_others(id, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_greeting_that_comes_byte_by_byte_has_one_deadline() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let slow = std::thread::spawn(move || {
            while theirs.write_all(b"R").is_ok() {
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let start = Instant::now();
        assert!(read_within(&mut ours, &mut [0; 4096], start + Duration::from_millis(200)).is_err());
        assert!(start.elapsed() < Duration::from_secs(20));
        drop(ours);
        slow.join().unwrap();
    }
}
