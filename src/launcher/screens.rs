//! Tickets, and what they are good for: one end of a stream that speaks RFB.
//!
//! A ticket is good once and for 15 seconds. It lives in memory alone: whoever asks after a restart
//! of the launcher gets a fresh one at once.

use super::caller::Person;
use super::core::Core;
use super::shares::still_good;
use super::table::{find, no_such};
use crate::bus::Grant;
use crate::model::{Problem, Role, Secret, SessionId, State, Word};
use crate::random;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long a ticket is good.
const TICKET: Duration = Duration::from_secs(15);
/// A viewer may come while the machine is still starting.
const STARTING: Duration = Duration::from_secs(60);
/// Tickets that can be out at once; more than that is no use, but an attempt to fill the memory.
const TICKETS_MAX: usize = 4096;

struct Ticket {
    session: SessionId,
    role: Role,
    share: String,
    until: Instant,
}

/// The tickets that are out, by the digest of their secret.
#[derive(Default)]
pub(super) struct Tickets(HashMap<String, Ticket>);

impl Tickets {
    fn issue(&mut self, session: SessionId, role: Role, share: String) -> Result<Secret, Problem> {
        let now = Instant::now();
        self.0.retain(|_, t| t.until > now);
        if self.0.len() >= TICKETS_MAX {
            return Err(Problem::new(
                Word::Unavailable,
                "Too many screens are being opened at once. Try again in some seconds.",
            ));
        }
        let secret = random::secret();
        self.0.insert(random::digest(&secret), Ticket { session, role, share, until: now + TICKET });
        Ok(secret)
    }

    fn take(&mut self, secret: &Secret) -> Result<Ticket, Problem> {
        let ticket = self.0.remove(&random::digest(secret)).filter(|t| t.until > Instant::now());
        ticket.ok_or_else(|| Problem::new(Word::BadTicket, "This ticket is used up, expired or was never given."))
    }

    /// Takes back what a share has brought; an empty share stands for all of the session.
    pub(super) fn revoke(&mut self, session: &SessionId, share: &str) {
        self.0.retain(|_, t| t.session != *session || (!share.is_empty() && t.share != share));
    }
}

/// A ticket for a session of one's own.
pub(super) fn ticket(core: &Core, person: &Person, id: &SessionId, role: Role) -> Result<Secret, Problem> {
    let state = find(&mut core.table(), person, id)?.state;
    if state == State::Stopping {
        return Err(Problem::new(Word::WrongState, "This session is ending."));
    }
    issue(core, id, role, "")
}

/// A ticket for whoever holds a share that has been found good.
pub(super) fn issue(core: &Core, id: &SessionId, role: Role, share: &str) -> Result<Secret, Problem> {
    core.tickets.lock().unwrap_or_else(PoisonError::into_inner).issue(id.clone(), role, share.to_owned())
}

/// Turns a ticket into a screen.
pub(super) fn redeem(core: &Core, secret: &Secret) -> Result<(OwnedFd, Grant), Problem> {
    let ticket = core.tickets.lock().unwrap_or_else(PoisonError::into_inner).take(secret)?;
    let screen = core.open_screen(&ticket.session, STARTING)?;
    let table = core.table();
    let session = table.get(&ticket.session).map(|e| &e.record.session).ok_or_else(no_such)?;
    let grant = Grant {
        session: session.id.clone(),
        owner: session.owner.clone(),
        machine: session.machine.clone(),
        role: ticket.role.to_string(),
        share: ticket.share,
    };
    Ok((screen.into(), grant))
}

/// Of the screens shown, given as session and share, those that must be closed.
pub(super) fn recheck(core: &Core, shown: Vec<(String, String)>) -> Vec<(String, String)> {
    let table = core.table();
    let now = crate::host::now();
    let good = |session: &str, share: &str| {
        let entry = session.parse::<SessionId>().ok().and_then(|id| table.get(&id));
        entry.is_some_and(|e| share.is_empty() || e.record.shares.iter().any(|s| s.id == share && still_good(s, now)))
    };
    shown.into_iter().filter(|(session, share)| !good(session, share)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SessionId {
        text.parse().unwrap()
    }

    #[test]
    fn a_ticket_is_good_once() {
        let mut tickets = Tickets::default();
        let secret = tickets.issue(id("abcdefghij"), Role::View, String::new()).unwrap();
        assert_eq!(tickets.take(&secret).unwrap().role, Role::View);
        assert_eq!(tickets.take(&secret).map(drop).unwrap_err().word, Word::BadTicket);
    }

    #[test]
    fn an_expired_or_invented_ticket_is_good_for_nothing() {
        let mut tickets = Tickets::default();
        let secret = tickets.issue(id("abcdefghij"), Role::View, String::new()).unwrap();
        for ticket in tickets.0.values_mut() {
            ticket.until = Instant::now();
        }
        assert!(tickets.take(&secret).is_err());
        assert!(tickets.take(&random::secret()).is_err());
    }

    #[test]
    fn a_revoked_share_takes_its_tickets_along_and_no_others() {
        let mut tickets = Tickets::default();
        let own = tickets.issue(id("abcdefghij"), Role::Control, String::new()).unwrap();
        let shared = tickets.issue(id("abcdefghij"), Role::View, "s1".into()).unwrap();
        tickets.revoke(&id("abcdefghij"), "s1");
        assert!(tickets.take(&shared).is_err());
        assert!(tickets.take(&own).is_ok());
    }

    #[test]
    fn tickets_do_not_fill_the_memory() {
        let mut tickets = Tickets::default();
        let mut issue = || tickets.issue(id("abcdefghij"), Role::View, String::new());
        assert_eq!((0..TICKETS_MAX + 10).filter(|_| issue().is_err()).count(), 10);
    }
}
