//! Tickets, and what they are good for: one end of a stream that speaks RFB.
//!
//! A ticket is good once and for 15 seconds. It lives in memory alone: whoever asks after a restart
//! of the launcher gets a fresh one at once.

use super::caller::Person;
use super::core::Core;
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

/// What a ticket is good for.
#[derive(Debug)]
pub(super) struct Pass {
    pub session: SessionId,
    pub role: Role,
    /// The share it comes from; empty: the owner's own right.
    pub share: String,
    /// Who it is given to, as signed in; empty: somebody who is not.
    pub name: String,
    /// When that right ends, in seconds since 1970; zero: with the session.
    pub until: u64,
}

struct Ticket {
    pass: Pass,
    good: Instant,
}

/// The tickets that are out, by the digest of their secret.
#[derive(Default)]
pub(super) struct Tickets(HashMap<String, Ticket>);

impl Tickets {
    fn issue(&mut self, pass: Pass) -> Result<Secret, Problem> {
        let now = Instant::now();
        self.0.retain(|_, t| t.good > now);
        if self.0.len() >= TICKETS_MAX {
            return Err(Problem::new(
                Word::Unavailable,
                "Too many screens are being opened at once. Try again in some seconds.",
            ));
        }
        let secret = random::secret();
        self.0.insert(random::digest(&secret), Ticket { pass, good: now + TICKET });
        Ok(secret)
    }

    fn take(&mut self, secret: &Secret) -> Result<Pass, Problem> {
        let ticket = self.0.remove(&random::digest(secret)).filter(|t| t.good > Instant::now());
        let bad = || Problem::new(Word::BadTicket, "This ticket is used up, expired or was never given.");
        ticket.map(|t| t.pass).ok_or_else(bad)
    }

    /// Takes back what a share has brought; an empty share stands for all of the session.
    pub(super) fn revoke(&mut self, session: &SessionId, share: &str) {
        self.0.retain(|_, t| t.pass.session != *session || (!share.is_empty() && t.pass.share != share));
    }
}

/// A ticket for a session of one's own.
pub(super) fn ticket(core: &Core, person: &Person, id: &SessionId, role: Role) -> Result<Secret, Problem> {
    let state = find(&mut core.table(), person, id)?.state;
    if state == State::Stopping {
        return Err(Problem::new(Word::WrongState, "This session is ending."));
    }
    let name = person.name.to_string();
    issue(core, Pass { session: id.clone(), role, share: String::new(), name, until: 0 })
}

/// A ticket for a right that has been found good.
pub(super) fn issue(core: &Core, pass: Pass) -> Result<Secret, Problem> {
    core.tickets.lock().unwrap_or_else(PoisonError::into_inner).issue(pass)
}

/// Turns a ticket into a screen.
pub(super) fn redeem(core: &Core, secret: &Secret) -> Result<(OwnedFd, Grant), Problem> {
    let pass = core.tickets.lock().unwrap_or_else(PoisonError::into_inner).take(secret)?;
    let screen = core.open_screen(&pass.session, STARTING)?;
    let table = core.table();
    let session = table.get(&pass.session).map(|e| &e.record.session).ok_or_else(no_such)?;
    let grant = Grant {
        session: session.id.clone(),
        owner: session.owner.clone(),
        machine: session.machine.clone(),
        role: pass.role.to_string(),
        share: pass.share,
        name: pass.name,
        until: pass.until,
    };
    Ok((screen.into(), grant))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(share: &str) -> Pass {
        let session = "abcdefghij".parse().unwrap();
        Pass { session, role: Role::View, share: share.into(), name: "alice".into(), until: 0 }
    }

    #[test]
    fn a_ticket_is_good_once() {
        let mut tickets = Tickets::default();
        let secret = tickets.issue(pass("")).unwrap();
        assert_eq!(tickets.take(&secret).unwrap().role, Role::View);
        assert_eq!(tickets.take(&secret).unwrap_err().word, Word::BadTicket);
    }

    #[test]
    fn an_expired_or_invented_ticket_is_good_for_nothing() {
        let mut tickets = Tickets::default();
        let secret = tickets.issue(pass("")).unwrap();
        for ticket in tickets.0.values_mut() {
            ticket.good = Instant::now();
        }
        assert!(tickets.take(&secret).is_err());
        assert!(tickets.take(&random::secret()).is_err());
    }

    #[test]
    fn a_revoked_share_takes_its_tickets_along_and_no_others() {
        let mut tickets = Tickets::default();
        let own = tickets.issue(pass("")).unwrap();
        let shared = tickets.issue(pass("s1")).unwrap();
        tickets.revoke(&"abcdefghij".parse().unwrap(), "s1");
        assert!(tickets.take(&shared).is_err());
        assert!(tickets.take(&own).is_ok());
    }

    #[test]
    fn tickets_do_not_fill_the_memory() {
        let mut tickets = Tickets::default();
        assert_eq!((0..TICKETS_MAX + 10).filter(|_| tickets.issue(pass("")).is_err()).count(), 10);
    }
}
