//! The launcher, as the portal calls it: a connection that is made when it is first needed and made
//! anew when it broke. D-Bus activation starts the launcher itself.

use crate::bus::{LauncherProxyBlocking, asked_again};
use crate::model::{Problem, Word};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zbus::blocking::Connection;

/// How long a call may take: starting a session waits for the unit's job.
const CALL_LIMIT: Duration = Duration::from_secs(90);

type Connect = Arc<dyn Fn() -> zbus::Result<Connection> + Send + Sync>;

/// The way to the launcher. Calls run side by side.
pub struct Launcher {
    connect: Connect,
    current: Mutex<Option<LauncherProxyBlocking<'static>>>,
}

impl Launcher {
    /// By the system bus.
    pub fn on_system_bus() -> Self {
        Self::by(Arc::new(|| zbus::blocking::connection::Builder::system()?.method_timeout(CALL_LIMIT).build()))
    }

    /// By a connection made in another way.
    pub fn by(connect: Connect) -> Self {
        Self { connect, current: Mutex::new(None) }
    }

    /// The same way, without a connection yet.
    #[cfg(test)]
    pub fn again(&self) -> Self {
        Self::by(Arc::clone(&self.connect))
    }

    /// A call that changes nothing: made again if it may not have been answered for a passing reason.
    pub fn ask<T>(&self, call: impl Fn(&LauncherProxyBlocking<'static>) -> zbus::Result<T>) -> Result<T, Problem> {
        asked_again(|| self.attempt(&call)).map_err(problem)
    }

    /// A call that changes something: not made twice where the first may have arrived.
    pub fn change<T>(&self, call: impl Fn(&LauncherProxyBlocking<'static>) -> zbus::Result<T>) -> Result<T, Problem> {
        let first = self.attempt(&call);
        let result = if first.as_ref().is_err_and(was_not_sent) { self.attempt(&call) } else { first };
        result.map_err(problem)
    }

    fn attempt<T>(&self, call: impl Fn(&LauncherProxyBlocking<'static>) -> zbus::Result<T>) -> zbus::Result<T> {
        let result = call(&self.proxy()?);
        if result.as_ref().is_err_and(broken) {
            *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        result
    }

    fn proxy(&self) -> zbus::Result<LauncherProxyBlocking<'static>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(proxy) = &*current {
            return Ok(proxy.clone());
        }
        let proxy = LauncherProxyBlocking::builder(&(self.connect)()?)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()?;
        Ok(current.insert(proxy).clone())
    }
}

/// Return whether the kernel refused the call, as it does for the first one after the bus was restarted.
fn was_not_sent(error: &zbus::Error) -> bool {
    let pipe = rustix::io::Errno::PIPE.raw_os_error();
    matches!(error, zbus::Error::InputOutput(e) if e.raw_os_error() == Some(pipe))
}

/// What people are told. A bus that keeps the portal out is a fault of the installation, not theirs.
fn problem(error: zbus::Error) -> Problem {
    match &error {
        zbus::Error::MethodError(name, ..) if name.as_str() == "org.freedesktop.DBus.Error.AccessDenied" => {
            Problem::new(
                Word::Unavailable,
                "The system bus keeps the portal from the launcher; the administrator loads its policy with \
                 'systemctl reload dbus'.",
            )
        }
        _ => error.into(),
    }
}

/// True unless the other side answered, be it in words that nobody here knows.
fn broken(error: &zbus::Error) -> bool {
    !matches!(error, zbus::Error::MethodError(..) | zbus::Error::Variant(_))
}
