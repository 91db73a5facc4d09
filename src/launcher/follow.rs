//! From a started unit to a screen that answers, and the session's timer.

use super::core::Core;
use super::create::story;
use super::table::no_such;
use crate::host;
use crate::journal::id as message_id;
use crate::model::{Problem, SessionId, State};
use crate::monitor::Monitor;
use crate::qemu::LAUNCHER_SOCKET;
use crate::systemd::Job;
use crate::unit::{self, SESSIONS_DIR};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, PoisonError};
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
        let _ = core.systemd.stop(&unit::session_unit(id));
        return;
    }
    let mut table = core.table();
    let Some(entry) = table.get_mut(id) else { return };
    if entry.state == State::Starting {
        entry.state = State::Running;
    }
    entry.record.session.state = State::Running.to_string();
    let record = entry.record.clone();
    drop(table);
    // An end that came first is told by others.
    if core.save(id, &record).is_ok() {
        core.notify();
        let elapsed = started.elapsed().as_millis();
        let text = format!("The screen of session {id} answers, {elapsed} ms after the request");
        story(&record.session).tell(log::Level::Info, message_id::STARTED, text);
    }
}

/// The screen answers when it has greeted a first viewer: us.
fn greet(core: &Core, id: &SessionId) -> Result<(), Problem> {
    let mut screen = core.open_screen(id, GREETING)?;
    let mut greeting = [0; 12];
    screen
        .set_read_timeout(Some(GREETING))
        .and_then(|()| screen.read_exact(&mut greeting))
        .map_err(|e| Problem::failed(format!("it did not greet: {e}")))?;
    if greeting.starts_with(b"RFB ") { Ok(()) } else { Err(Problem::failed("it does not speak RFB")) }
}

impl Core {
    /// A new viewer's end of the session's screen.
    pub(super) fn open_screen(&self, id: &SessionId, patience: Duration) -> Result<UnixStream, Problem> {
        let (ours, theirs) =
            UnixStream::pair().map_err(|e| Problem::failed(format!("No socket pair can be made: {e}.")))?;
        self.talk(id, patience, |monitor| monitor.add_viewer(theirs.into()))?;
        Ok(ours)
    }

    /// Talks to the session's QEMU when it is our turn.
    pub(super) fn talk<T>(
        &self,
        id: &SessionId,
        patience: Duration,
        talk: impl FnOnce(&mut Monitor) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let monitor = self.table().get(id).map(|e| Arc::clone(&e.monitor)).ok_or_else(no_such)?;
        let _turn = monitor.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = Path::new(SESSIONS_DIR).join(id.as_str()).join(LAUNCHER_SOCKET);
        talk(&mut Monitor::connect(&socket, patience)?)
    }

    /// Starts the timer that ends the session; one that has no end needs none.
    pub(super) fn arm_timer(&self, id: &SessionId) -> Result<(), Problem> {
        let record = self.table().get(id).map(|e| e.record.clone()).ok_or_else(no_such)?;
        if record.session.expires_at == 0 {
            return Ok(());
        }
        let left = record.session.expires_at.saturating_sub(host::now()).max(1);
        let name = unit::expiry_timer(id, record.timer);
        match self.systemd.start_transient(&name, &unit::expiry(id, left), Vec::new())? {
            Job::Done => Ok(()),
            Job::Not(result) => Err(Problem::failed(format!("systemd did not start {name} ({result})."))),
        }
    }
}
