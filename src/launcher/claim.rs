//! A session that moves to another browser, while no sign-in method is configured.
//!
//! The portal has checked the link of the session's page. A session of an account never moves, nor does
//! one become an account's: both owners are browsers.

use super::caller::Person;
use super::core::Core;
use super::table::{is_of, no_such};
use super::viewers;
use crate::bus::Session;
use crate::model::{Problem, Proof, SessionId, State, Word};
use crate::session::Record;
use std::sync::PoisonError;

/// Give the session to this browser, and close the screens that the one before has open.
pub(super) fn claim(core: &Core, person: &Person, id: &SessionId) -> Result<Session, Problem> {
    let has_moved = core.change_record(id, |record| {
        let is_ending = core.table().get(id).is_some_and(|entry| entry.state() == State::Stopping);
        give(record, person, is_ending)
    })?;
    if has_moved {
        core.tickets.lock().unwrap_or_else(PoisonError::into_inner).revoke(id, "");
        viewers::signal_displays(core, "Revoked", &(id.as_str(), ""));
        let line = format!("Session {id} moved to another browser, of {person}");
        // By session: each browser is another owner.
        if core.lines.changes.admit(id.as_str(), "claim", &line) {
            log::info!(QWD_SESSION = id.as_str(); "{line}");
        }
    }
    core.get(person, id)
}

/// Change the owner; false where it is this browser's already.
fn give(record: &mut Record, person: &Person, is_ending: bool) -> Result<bool, Problem> {
    if is_of(record, person) {
        return Ok(false);
    }
    if person.owner.proof() != Proof::Open || record.owner.proof() != Proof::Open {
        return Err(no_such());
    }
    if is_ending {
        return Err(Problem::new(Word::WrongState, "This session is ending."));
    }
    record.owner = person.owner.clone();
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::caller::tests::{browser, signed_in_by_pam};
    use super::*;
    use crate::model::Owner;
    use crate::session::testing::record;

    #[test]
    fn a_session_moves_from_browser_to_browser_and_from_nobody_else() {
        let of = |owner: &str| {
            let mut record = record("abcdefghij", "ada");
            record.owner = Owner::recorded(owner, "ada");
            record
        };
        let (one, other) = (browser("0a"), browser("0b"));
        let text = one.owner.to_string();
        let mut moved = of(&text);
        assert!(give(&mut moved, &other, false).unwrap());
        assert_eq!((moved.owner.clone(), moved.owner_name.as_str()), (other.owner.clone(), "ada"));
        assert!(!give(&mut moved, &other, false).unwrap());
        let refused = |owner: &str, person: &Person, is_ending| {
            let mut record = of(owner);
            let word = give(&mut record, person, is_ending).unwrap_err().word;
            assert_eq!(record, of(owner));
            word
        };
        for owner in ["pam:ada", "local:root", "unknown:ada", ""] {
            assert_eq!(refused(owner, &other, false), Word::NoSuchSession, "{owner}");
        }
        assert_eq!(refused(&text, &signed_in_by_pam("ada"), false), Word::NoSuchSession);
        assert_eq!(refused(&text, &other, true), Word::WrongState);
    }
}
