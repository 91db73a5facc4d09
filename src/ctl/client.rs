//! The launcher, as qwdctl talks to it.

use crate::bus::{Asker, LauncherProxyBlocking, Session, problem_of};
use crate::model::{Problem, SessionId, Word};
use zbus::blocking::Connection;

/// A wait on the launcher is renewed after this many seconds.
const WAIT_SECONDS: u32 = 30;
/// The launcher may be restarted while we wait; this often it is asked again.
const PATIENCE: u32 = 5;

/// A connection to the launcher, and who we are.
pub(super) struct Client {
    /// The launcher's methods.
    pub(super) launcher: LauncherProxyBlocking<'static>,
    /// On whose behalf we ask.
    pub(super) asker: Asker,
}

impl Client {
    /// Connects as who we are: root may say for whom it acts, of anybody else the launcher finds out itself.
    pub(super) fn connect() -> Result<Self, Problem> {
        let name = if is_root() { "root" } else { "" };
        let asker = Asker { name: name.to_owned(), ..Asker::default() };
        let launcher = Connection::system().and_then(|bus| LauncherProxyBlocking::new(&bus));
        Ok(Self { launcher: launcher?, asker })
    }

    /// One session; an id that cannot be one is answered here.
    pub(super) fn get(&self, id: &str) -> Result<Session, Problem> {
        Ok(self.launcher.get(self.asker.clone(), checked(id)?)?)
    }

    /// Waits until the session is in another state than it is in now.
    pub(super) fn wait(&self, session: &Session) -> Result<Session, Problem> {
        let mut failures = 0;
        loop {
            match self.launcher.wait(self.asker.clone(), &session.id, &session.state, WAIT_SECONDS) {
                Ok(now) if now.state != session.state => return Ok(now),
                Ok(_) => failures = 0,
                Err(error) => {
                    let problem = problem_of(&error);
                    failures += 1;
                    if problem.word != Word::Unavailable || failures >= PATIENCE {
                        return Err(problem);
                    }
                }
            }
        }
    }
}

/// The id, if it has an id's form.
pub(super) fn checked(id: &str) -> Result<&str, Problem> {
    id.parse::<SessionId>().map(|_| id).map_err(|mut problem| {
        problem.message = format!("There is no session '{}'; 'qwdctl list' shows those there are.", id.escape_debug());
        problem
    })
}

/// Whether this is root's qwdctl.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
