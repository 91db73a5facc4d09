//! Changes of a session's record: written down first and then in memory, one change of a session at a time.
//!
//! Who changes a record waits for the session's turn, and holds the table's lock only to read and to replace the entry.

use super::core::Core;
use super::table::no_such;
use super::turns::{Kind, NoTurn, Turn, Turns};
use crate::model::{Problem, SessionId, Word};
use crate::session::Record;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Orders the changes of one session.
pub(super) type Changes = Arc<Turns>;

/// How long a change waits for those before it, one of which may wait for systemd.
const PATIENCE: Duration = Duration::from_secs(30);

/// Guests that wait for a change: half of the portal's workers.
const GUESTS: usize = 8;

/// Return the order of a new session's changes.
pub(super) fn new_order() -> Changes {
    Arc::new(Turns::with_guests(GUESTS))
}

/// Wait until no other change of the session is in progress, for a while. The caller does not hold the table's lock.
pub(super) fn take_turn(changes: &Changes, kind: Kind) -> Result<Turn<'_>, Problem> {
    take_turn_until(changes, kind, Instant::now() + PATIENCE)
}

fn take_turn_until(changes: &Changes, kind: Kind, until: Instant) -> Result<Turn<'_>, Problem> {
    changes.take(kind, until).map_err(|why| {
        let text = match why {
            NoTurn::TooMany => "Too many calls change this session at the moment. Try again in a few seconds.",
            NoTurn::TooLate => "Another change of this session takes too long. Try again in a minute.",
        };
        Problem::new(Word::Unavailable, text)
    })
}

impl Core {
    /// Change a session's record for its owner or an administrator.
    pub(super) fn change_record<T>(
        &self,
        id: &SessionId,
        edit: impl FnOnce(&mut Record) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.change_record_as(Kind::Person, id, edit)
    }

    /// Change a session's record when it is this caller's turn.
    pub(super) fn change_record_as<T>(
        &self,
        kind: Kind,
        id: &SessionId,
        edit: impl FnOnce(&mut Record) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let changes = self.table().get(id).map(|e| Arc::clone(&e.changes)).ok_or_else(no_such)?;
        self.change_in_turn(&take_turn(&changes, kind)?, id, edit)
    }

    /// Change a session's record in the session's turn. If `edit` or the writing fails, nothing has changed.
    pub(super) fn change_in_turn<T>(
        &self,
        _: &Turn<'_>,
        id: &SessionId,
        edit: impl FnOnce(&mut Record) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let before = self.table().get(id).map(|e| e.record.clone()).ok_or_else(no_such)?;
        let mut record = before.clone();
        let done = edit(&mut record)?;
        if record != before {
            self.save(id, &record)?;
            if let Some(entry) = self.table().get_mut(id) {
                entry.record = record;
            }
            self.notify();
        }
        Ok(done)
    }

    /// Have systemd refuse any further start of the session's unit.
    pub(super) fn spend_permit(&self, id: &SessionId) {
        if let Err(e) = self.store.spend_permit(id) {
            log::warn!(QWD_SESSION = id.as_str(); "The permit to start session {id} cannot be removed: {e}.");
        }
    }

    /// Put a change of a session on record, unless it has ended.
    fn save(&self, id: &SessionId, record: &Record) -> Result<(), Problem> {
        match self.store.update(id, record) {
            Ok(true) => Ok(()),
            Ok(false) => Err(no_such()),
            Err(e) => Err(Problem::failed(format!("The session's record cannot be written: {e}."))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shares;
    use super::super::testing::{Bench, alice, id};
    use super::*;
    use crate::model::{Lifetime, Role};

    #[test]
    fn a_change_that_hangs_holds_up_few_and_not_for_ever() {
        let bench = Bench::new("hangs", |_| {});
        let core = &bench.core;
        let changes = Arc::clone(&core.table()[&id()].changes);
        let hanging = take_turn(&changes, Kind::Person).unwrap();
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(take_turn_until(&changes, Kind::Person, soon).err().unwrap().word, Word::Unavailable);
        std::thread::scope(|scope| {
            let as_guest = || core.change_record_as(Kind::Guest, &id(), |_| Ok(())).map_err(|problem| problem.word);
            let end = Instant::now() + PATIENCE / 2;
            let guests: Vec<_> = (0..32).map(|_| scope.spawn(as_guest)).collect();
            while guests.iter().filter(|guest| guest.is_finished()).count() < 32 - GUESTS {
                assert!(Instant::now() < end, "too many guests wait");
                std::thread::yield_now();
            }
            let owner = scope.spawn(|| {
                let view = shares::ShareRequest { role: Role::View, lifetime: Lifetime(0), once: false };
                shares::share(core, &alice(), &id(), &view)
            });
            drop(hanging);
            assert!(owner.join().unwrap().is_ok());
            let refused = guests.into_iter().filter_map(|guest| guest.join().unwrap().err());
            assert_eq!(refused.collect::<Vec<_>>(), [Word::Unavailable; 32 - GUESTS]);
        });
    }

    #[test]
    fn a_systemd_that_does_not_answer_is_not_waited_for_for_ever() {
        let bench = Bench::new("mute", |_| {});
        assert_eq!(bench.core.connection.method_timeout(), Some(super::super::ANSWER));
    }
}
