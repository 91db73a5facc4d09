//! The launcher, as qwdctl talks to it.

use crate::bus::{Asker, LauncherProxyBlocking, Session, asked_again};
use crate::model::{Problem, SessionId, Word};
use zbus::blocking::Connection;

/// A wait on the launcher is renewed after this many seconds.
const WAIT_SECONDS: u32 = 30;
/// The launcher may be restarted while we wait; this often it is asked again.
const PATIENCE: u32 = 5;

/// A connection to the launcher, and who we are.
pub(super) struct Client {
    launcher: LauncherProxyBlocking<'static>,
    /// On whose behalf we ask.
    pub(super) asker: Asker,
}

impl Client {
    /// Connects as who we are: root may say for whom it acts, of anybody else the launcher finds out itself.
    pub(super) fn connect() -> Result<Self, Problem> {
        let launcher = Connection::system().and_then(|bus| LauncherProxyBlocking::new(&bus));
        Ok(Self { launcher: launcher?, asker: Asker::default() })
    }

    /// A call that changes nothing: made again if the launcher went away under it.
    pub(super) fn ask<T>(
        &self,
        call: impl Fn(&LauncherProxyBlocking<'static>, Asker) -> zbus::Result<T>,
    ) -> Result<T, Problem> {
        Ok(asked_again(|| call(&self.launcher, self.asker.clone()))?)
    }

    /// A call that changes something: never made twice, as the first may have arrived.
    pub(super) fn change<T>(
        &self,
        call: impl FnOnce(&LauncherProxyBlocking<'static>, Asker) -> zbus::Result<T>,
    ) -> Result<T, Problem> {
        Ok(call(&self.launcher, self.asker.clone())?)
    }

    /// Return one session.
    pub(super) fn get(&self, id: &SessionId) -> Result<Session, Problem> {
        self.ask(|launcher, asker| launcher.get(asker, id.as_str()))
    }

    /// Waits until the session is in another state than it is in now.
    pub(super) fn wait(&self, session: &Session) -> Result<Session, Problem> {
        let mut failures = 0;
        let (id, state) = (session.id.as_str(), session.state.as_str());
        loop {
            match self.ask(|launcher, asker| launcher.wait(asker, id, state, WAIT_SECONDS)) {
                Ok(now) if now.state != session.state => return Ok(now),
                Ok(_) => failures = 0,
                Err(problem) => {
                    failures += 1;
                    if problem.word != Word::Unavailable || failures >= PATIENCE {
                        return Err(problem);
                    }
                }
            }
        }
    }
}

/// Return the id that somebody has typed; one that cannot be an id is answered here.
pub(super) fn parse_id(text: &str) -> Result<SessionId, Problem> {
    text.parse().map_err(|mut problem: Problem| {
        problem.message =
            format!("There is no session '{}'; 'qwdctl list' shows those there are.", text.escape_debug());
        problem
    })
}

/// Whether this is root's qwdctl.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
