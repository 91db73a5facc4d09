//! The way to the launcher over the system bus, mended whenever the launcher or the bus restarts.
//!
//! Calls share one connection. Two threads listen on it: one for revocations, one for the launcher
//! coming back. After either begins, every right on show is asked about again, since what was
//! revoked while nobody listened is not repeated.

use super::screens::{Right, Screens};
use crate::bus::{Grant, LauncherProxyBlocking};
use crate::model::{Problem, Secret, Word};
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
}

/// Beyond the launcher's own patience with a session that starts.
const CALL_MAX: Duration = Duration::from_secs(60);
/// Between two attempts to reach a bus that is not there.
const RETRY: Duration = Duration::from_secs(2);

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

type Listening = fn(&Link, &Connection, &Screens) -> zbus::Result<()>;

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
    fn call<T>(&self, call: impl Fn(&LauncherProxyBlocking<'_>) -> zbus::Result<T>) -> Result<T, Problem> {
        let (generation, connection) = self.connection()?;
        match proxy(&connection).and_then(|launcher| call(&launcher)) {
            Err(error) if is_broken(&error) => self.forget(generation),
            answer => return Ok(answer?),
        }
        let (_, connection) = self.connection()?;
        Ok(proxy(&connection).and_then(|launcher| call(&launcher))?)
    }

    /// Listens from now on.
    pub fn listen(self: &Arc<Self>, screens: &Arc<Screens>) -> std::io::Result<()> {
        for task in [revocations as Listening, returns] {
            let (link, screens) = (Arc::clone(self), Arc::clone(screens));
            std::thread::Builder::new().name("bus".to_owned()).spawn(move || link.keep_listening(task, &screens))?;
        }
        Ok(())
    }

    fn keep_listening(&self, task: Listening, screens: &Screens) {
        loop {
            let begun = Instant::now();
            if let Ok((generation, connection)) = self.connection() {
                if let Err(error) = task(self, &connection, screens) {
                    log::warn!("The launcher's signals cannot be listened to: {error}.");
                }
                self.forget(generation);
            }
            if begun.elapsed() < RETRY {
                std::thread::park_timeout(RETRY);
            }
        }
    }

    fn recheck(&self, screens: &Screens) {
        let shown = screens.shown();
        if shown.is_empty() {
            return;
        }
        match self.call(|launcher| launcher.recheck(shown.clone())) {
            Ok(over) => over.iter().for_each(|right: &Right| screens.close(right)),
            Err(problem) => log::warn!("The rights to open screens could not be checked again: {problem}"),
        }
    }
}

impl Launcher for Link {
    fn redeem(&self, ticket: &Secret) -> Result<(OwnedFd, Grant), Problem> {
        let (stream, grant) = self.call(|launcher| launcher.redeem(ticket.expose()))?;
        if grant.session.is_empty() {
            return Err(Problem::new(Word::Failed, "The launcher did not say whose screen this is."));
        }
        Ok((stream.into(), grant))
    }
}

fn proxy(connection: &Connection) -> zbus::Result<LauncherProxyBlocking<'static>> {
    LauncherProxyBlocking::builder(connection).cache_properties(CacheProperties::No).build()
}

fn is_broken(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::InputOutput(error) if error.kind() != std::io::ErrorKind::TimedOut)
}

/// Passes revocations on until the connection ends.
fn revocations(link: &Link, connection: &Connection, screens: &Screens) -> zbus::Result<()> {
    let signals = proxy(connection)?.receive_revoked()?;
    link.recheck(screens);
    for signal in signals {
        let right = signal.args()?;
        screens.revoke(right.session, right.share);
    }
    Ok(())
}

/// Asks again each time the launcher comes back, until the connection ends.
fn returns(link: &Link, connection: &Connection, screens: &Screens) -> zbus::Result<()> {
    for owner in proxy(connection)?.inner().receive_owner_changed()? {
        if owner.is_some() {
            link.recheck(screens);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
