//! Counts what is going on, so that an idle launcher can leave.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Idle for so long, the launcher leaves; the bus starts a new one within milliseconds.
const LONG_ENOUGH: Duration = Duration::from_secs(300);
/// Calls that were on their way when the name was released are in by then.
const STRAGGLERS: Duration = Duration::from_millis(200);

struct State {
    busy: usize,
    last: Instant,
}

/// The count of calls and followed starts.
pub(super) struct Idle {
    state: Mutex<State>,
    changed: Condvar,
}

/// Something is going on as long as this lives.
pub(super) struct Busy<'a> {
    idle: &'a Idle,
    /// The launcher is in use: the time until it leaves begins anew.
    is_use: bool,
}

impl Idle {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { busy: 0, last: Instant::now() }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self) -> Busy<'_> {
        self.lock().busy += 1;
        Busy { idle: self, is_use: true }
    }

    /// The same for what comes by itself, again and again: the launcher leaves all the same once nobody uses it.
    pub(super) fn begin_in_passing(&self) -> Busy<'_> {
        self.lock().busy += 1;
        Busy { idle: self, is_use: false }
    }

    /// Comes back once nothing has been going on for long enough.
    pub(super) fn wait_until_idle(&self) {
        let mut state = self.lock();
        loop {
            let since = state.last.elapsed();
            if state.busy == 0 && since >= LONG_ENOUGH {
                return;
            }
            let wait = LONG_ENOUGH.saturating_sub(since).max(Duration::from_secs(1));
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Comes back once the last calls that got here are answered.
    pub(super) fn wait_for_callers(&self) {
        let mut state = self.lock();
        while state.busy > 0 || state.last.elapsed() < STRAGGLERS {
            state = self.changed.wait_timeout(state, STRAGGLERS).unwrap_or_else(PoisonError::into_inner).0;
            if state.busy == 0 {
                return;
            }
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.idle.lock();
        state.busy -= 1;
        if self.is_use {
            state.last = Instant::now();
        }
        // Only the drain before the end waits for this; idleness is a matter of time.
        self.idle.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_by_itself_does_not_keep_the_launcher() {
        let idle = Idle::new();
        let seen = || {
            let state = idle.lock();
            (state.busy, state.last)
        };
        let (_, begun) = seen();
        let sweep = idle.begin_in_passing();
        assert_eq!(seen(), (1, begun));
        drop(sweep);
        assert_eq!(seen(), (0, begun));
        drop(idle.begin());
        assert!(seen().1 > begun);
    }
}
