//! The way to the launcher over the system bus, mended whenever the launcher or the bus restarts.
//!
//! Calls share one connection. Two threads listen on it: one for the launcher's signals, one for the launcher
//! coming back. A third tells the launcher who has which screen open: when that changes, and after
//! either of the others begins, since a launcher forgets, and what it has revoked while nobody
//! listened is not repeated but answered to that.

use super::screens::{Right, Screens};
use crate::bus::{Grant, LauncherProxyBlocking};
use crate::model::{Problem, Secret, SessionId};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::proxy::CacheProperties;

/// What the display asks of the launcher.
pub trait Launcher: Send + Sync {
    /// Turns a ticket into a stream that speaks RFB; waits while the session starts.
    fn redeem(&self, ticket: &Secret) -> Result<(OwnedFd, Grant), Problem>;

    /// Return whether a clipboard agent runs in this session's guest.
    fn has_agent(&self, session: &SessionId) -> Result<bool, Problem>;
}

/// Beyond the launcher's own patience with a session that starts.
const CALL_MAX: Duration = Duration::from_secs(60);
/// Between two attempts to reach a bus that is not there.
const RETRY: Duration = Duration::from_secs(2);
/// Between two attempts to tell the launcher who is there.
const RETELL: Duration = Duration::from_secs(10);
/// Changes within such a time are told together.
const GATHERED: Duration = Duration::from_millis(100);

/// How the bus is reached.
type Bus = Box<dyn Fn() -> zbus::Result<Builder<'static>> + Send + Sync>;

/// The link over the bus.
pub struct Link {
    bus: Bus,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    generation: u64,
    connection: Option<Connection>,
}

type Listening = fn(&Connection, &Screens) -> zbus::Result<()>;

impl Link {
    /// A link that connects when it is first needed.
    pub fn new(bus: impl Fn() -> zbus::Result<Builder<'static>> + Send + Sync + 'static) -> Self {
        Self { bus: Box::new(bus), current: Mutex::default() }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, a new one if need be, and its number.
    fn connection(&self) -> zbus::Result<(u64, Connection)> {
        let mut current = self.current();
        if let Some(connection) = &current.connection {
            return Ok((current.generation, connection.clone()));
        }
        let connection = (self.bus)()?.method_timeout(CALL_MAX).build()?;
        current.generation += 1;
        current.connection = Some(connection.clone());
        Ok((current.generation, connection))
    }

    /// Forgets a connection that has broken, unless somebody has replaced it already.
    fn forget(&self, generation: u64) {
        let mut current = self.current();
        if current.generation == generation {
            current.connection = None;
        }
    }

    /// Calls the launcher; once more if the bus had gone away since the last call.
    fn call<T>(&self, call: impl Fn(&LauncherProxyBlocking<'_>) -> zbus::Result<T>) -> zbus::Result<T> {
        let (generation, connection) = self.connection()?;
        match proxy(&connection).and_then(|launcher| call(&launcher)) {
            Err(error) if is_broken(&error) => self.forget(generation),
            answer => return answer,
        }
        let (_, connection) = self.connection()?;
        proxy(&connection).and_then(|launcher| call(&launcher))
    }

    /// Listens and tells from now on.
    pub fn listen(self: &Arc<Self>, screens: &Arc<Screens>) -> std::io::Result<()> {
        let thread = || std::thread::Builder::new().name("bus".to_owned());
        for task in [signals as Listening, returns] {
            let (link, screens) = (Arc::clone(self), Arc::clone(screens));
            thread().spawn(move || link.keep_listening(task, &screens))?;
        }
        let (link, screens) = (Arc::clone(self), Arc::clone(screens));
        thread().spawn(move || link.keep_telling(&screens)).map(drop)
    }

    fn keep_listening(&self, task: Listening, screens: &Screens) {
        loop {
            let begun = Instant::now();
            if let Ok((generation, connection)) = self.connection() {
                if let Err(error) = task(&connection, screens) {
                    log::warn!("The launcher's signals cannot be listened to: {error}.");
                }
                self.forget(generation);
            }
            if begun.elapsed() < RETRY {
                std::thread::park_timeout(RETRY);
            }
        }
    }

    /// One thread tells, so that no older list comes after a newer one.
    fn keep_telling(&self, screens: &Screens) -> ! {
        let mut patience = None;
        loop {
            screens.await_news(patience);
            std::thread::park_timeout(GATHERED);
            patience = match self.tell(screens) {
                Ok(()) => None,
                Err(problem) => {
                    log::warn!("The launcher could not be told who has a screen open: {problem}");
                    Some(RETELL)
                }
            };
        }
    }

    fn tell(&self, screens: &Screens) -> Result<(), Problem> {
        let viewers = screens.take();
        match self.call(|launcher| launcher.report(viewers.clone())) {
            Ok(closed) => closed.into_iter().filter_map(parse_right).for_each(|right| screens.close(&right)),
            // It is told when it comes back.
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Launcher for Link {
    fn redeem(&self, ticket: &Secret) -> Result<(OwnedFd, Grant), Problem> {
        let (stream, grant) = self.call(|launcher| launcher.redeem(ticket.expose()))?;
        Ok((stream.into(), grant))
    }

    fn has_agent(&self, session: &SessionId) -> Result<bool, Problem> {
        Ok(self.call(|launcher| launcher.agent(session.as_str()))?)
    }
}

fn proxy(connection: &Connection) -> zbus::Result<LauncherProxyBlocking<'static>> {
    LauncherProxyBlocking::builder(connection).cache_properties(CacheProperties::No).build()
}

/// Nobody has the launcher's name, or who had it has just left.
fn is_absent(error: &zbus::Error) -> bool {
    const NAMES: [&str; 3] = ["ServiceUnknown", "NameHasNoOwner", "NoReply"];
    let zbus::Error::MethodError(name, ..) = error else { return false };
    name.strip_prefix("org.freedesktop.DBus.Error.").is_some_and(|name| NAMES.contains(&name))
}

fn is_broken(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::InputOutput(error) if error.kind() != std::io::ErrorKind::TimedOut)
}

/// Return the right that the launcher names; of a session that cannot exist, nothing is on a screen.
fn parse_right((session, share): (String, String)) -> Option<Right> {
    session.parse().ok().map(|session| (session, share))
}

/// Pass the launcher's signals on until the connection ends.
fn signals(connection: &Connection, screens: &Screens) -> zbus::Result<()> {
    let signals = proxy(connection)?.inner().receive_all_signals()?;
    screens.renew();
    for signal in signals {
        let header = signal.header();
        match header.member().map(|member| member.as_str()) {
            Some("Revoked") => {
                if let Some((session, share)) = parse_right(signal.body().deserialize()?) {
                    screens.revoke(&session, &share);
                }
            }
            Some("Ending") => {
                if let Ok(session) = signal.body().deserialize::<String>()?.parse() {
                    screens.set_ending(&session);
                }
            }
            Some("Paused") => {
                let (session, reason): (String, String) = signal.body().deserialize()?;
                if let Ok(session) = session.parse() {
                    screens.set_paused(&session, reason.parse().ok());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Has everything told again each time the launcher comes back, until the connection ends.
fn returns(connection: &Connection, screens: &Screens) -> zbus::Result<()> {
    for owner in proxy(connection)?.inner().receive_owner_changed()? {
        if owner.is_some() {
            screens.renew();
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
