//! Turns with something that serves one caller at a time, for so many callers of each kind and so long.
//!
//! Each kind of caller has waiting places of its own, and the higher kind goes first: guests, whom anybody can be
//! with a link, keep neither the owner nor the launcher waiting for more than the turn in progress.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Who wants a turn; the later ones go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anybody who came by a link.
    Guest,
    /// The owner, or an administrator.
    Person,
    /// The launcher, for its own sake.
    Launcher,
}

/// Guests that wait at a time, each of which takes a thread.
const GUESTS: usize = 4;
/// Callers of each other kind.
const OTHERS: usize = 16;

#[derive(Default)]
struct State {
    is_taken: bool,
    waiting: [usize; 3],
}

impl State {
    /// Return true if this kind of caller has to wait.
    fn is_blocked(&self, kind: Kind) -> bool {
        self.is_taken || self.waiting[kind as usize + 1..].iter().any(|count| *count > 0)
    }
}

/// The order of the turns.
pub(super) struct Turns {
    guests: usize,
    state: Mutex<State>,
    freed: Condvar,
}

/// A turn, until it is dropped.
pub(super) struct Turn<'a>(&'a Turns);

/// Why there is no turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// As many wait already as may.
    TooMany,
    /// The others took too long.
    TooLate,
}

impl Default for Turns {
    fn default() -> Self {
        Self::with_guests(GUESTS)
    }
}

impl Turns {
    /// Return an order in which so many guests may wait.
    pub(super) fn with_guests(guests: usize) -> Self {
        Self { guests, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Return how many callers of this kind may wait.
    fn most(&self, kind: Kind) -> usize {
        if kind == Kind::Guest { self.guests } else { OTHERS }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait for a turn until then.
    pub(super) fn take(&self, kind: Kind, until: Instant) -> Result<Turn<'_>, NoTurn> {
        let mut state = self.state();
        if state.is_blocked(kind) && state.waiting[kind as usize] >= self.most(kind) {
            return Err(NoTurn::TooMany);
        }
        state.waiting[kind as usize] += 1;
        let left = until.saturating_duration_since(Instant::now());
        let wait = self.freed.wait_timeout_while(state, left, |state| state.is_blocked(kind));
        let mut state = wait.unwrap_or_else(PoisonError::into_inner).0;
        state.waiting[kind as usize] -= 1;
        if state.is_blocked(kind) {
            return Err(NoTurn::TooLate);
        }
        state.is_taken = true;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().is_taken = false;
        // All, since the one whose turn it is must be among them.
        self.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn await_waiting(turns: &Turns, kind: Kind, count: usize) {
        while turns.state().waiting[kind as usize] < count {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_turn_is_waited_for_by_so_many_of_each_kind_and_so_long() {
        let turns = Turns::default();
        let first = turns.take(Kind::Guest, soon()).unwrap();
        assert_eq!(turns.take(Kind::Guest, soon()).err(), Some(NoTurn::TooLate));
        std::thread::scope(|scope| {
            let mut waiting = Vec::new();
            // Guests are many and first, and still leave all of their places to the others.
            for kind in [Kind::Guest, Kind::Person, Kind::Launcher] {
                let turns = &turns;
                let most = turns.most(kind);
                waiting.extend((0..most).map(|_| scope.spawn(move || turns.take(kind, later()).is_ok())));
                await_waiting(turns, kind, most);
                assert_eq!(turns.take(kind, later()).err(), Some(NoTurn::TooMany));
            }
            drop(first);
            assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
        });
        assert!(turns.take(Kind::Guest, soon()).is_ok());
    }

    #[test]
    fn the_owner_goes_before_guests_and_the_launcher_before_both() {
        let turns = Turns::default();
        let order = Mutex::new(Vec::new());
        let first = turns.take(Kind::Guest, soon()).unwrap();
        std::thread::scope(|scope| {
            for kind in [Kind::Guest, Kind::Person, Kind::Launcher] {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    let _turn = turns.take(kind, later()).unwrap();
                    order.lock().unwrap().push(kind);
                });
                await_waiting(turns, kind, 1);
            }
            drop(first);
        });
        assert_eq!(order.into_inner().unwrap(), [Kind::Launcher, Kind::Person, Kind::Guest]);
    }
}
