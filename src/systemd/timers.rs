//! The timers that hold a session's end. Each has the end in its name: one that is armed twice is one timer.

use super::Systemd;
use crate::model::{Problem, SessionId};
use crate::unit;
use std::collections::HashSet;

impl Systemd {
    /// Start the timer that ends a session at `end`, in seconds since 1970. One that is armed already is fine.
    pub fn arm_expiry(&self, id: &SessionId, end: u64, now: u64) -> Result<(), Problem> {
        let name = unit::expiry_timer(id, end);
        // Not waited for: with a session that is being stopped, that would take as long as its guest.
        match self.order_start_alone(&name, &unit::expiry(id, end, now)) {
            Ok(()) => Ok(()),
            // systemd refuses a second unit of that name.
            Err(_) if self.active(&[&name]).is_ok_and(|timers| timers.contains(&name)) => Ok(()),
            Err(problem) => Err(problem),
        }
    }

    /// Return the timers of a session that will still fire, or are firing.
    pub fn expiry_timers(&self, id: &SessionId) -> Result<HashSet<String>, Problem> {
        self.active(&[&unit::expiry_timers(id)])
    }

    /// Stop one timer of a session.
    pub fn disarm_expiry(&self, id: &SessionId, end: u64) -> Result<(), Problem> {
        self.stop(&unit::expiry_timer(id, end))
    }

    /// Stop all timers of a session but the one that ends it at `end`.
    pub fn disarm_others(&self, id: &SessionId, end: u64) -> Result<(), Problem> {
        let right = unit::expiry_timer(id, end);
        let timers = self.expiry_timers(id)?;
        timers.iter().filter(|name| **name != right).try_for_each(|name| self.stop(name))
    }
}
