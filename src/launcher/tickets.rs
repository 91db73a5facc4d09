//! The tickets that have been issued, by the digest of their secret.
//!
//! The table is bounded for each cause: a link, a person, a client of the web server. A new ticket displaces
//! the oldest of the same cause, so that nobody who issues many keeps anybody else from a screen.

use super::caller::Person;
use crate::model::{Owner, Problem, Role, Secret, SessionId, Word};
use crate::random;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a ticket is good.
const LIFETIME: Duration = Duration::from_secs(15);
/// Tickets of one link, of one named person, and of one client: more than the viewers that a link admits.
const PER_CAUSE: usize = 64;
/// Tickets in all. Only many causes together reach this.
const TOTAL: usize = 4096;

/// What a ticket is good for.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub session: SessionId,
    pub role: Role,
    /// The share it comes from; empty: the owner's own right.
    pub share: String,
    /// Its holder.
    pub holder: Holder,
    /// The holder's network, if the portal knows it.
    pub client: Option<u64>,
    /// When that right ends, in seconds since 1970; zero: with the session.
    pub until: u64,
}

/// Somebody as others see them on the screen; both texts are empty for somebody without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    /// The name as people read it.
    pub name: String,
    /// `PROOF:NAME`.
    pub id: String,
}

impl From<&Person> for Holder {
    fn from(person: &Person) -> Self {
        Self { name: person.name.clone(), id: person.owner.to_string() }
    }
}

/// Return the owner that these texts name; `None`: somebody without a name.
pub(super) fn parse_owner(id: &str, name: &str) -> Option<Owner> {
    (!name.is_empty()).then(|| Owner::recorded(id, name))
}

impl std::fmt::Display for Holder {
    /// The name as others should read it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Owner::recorded(&self.id, &self.name).proof().describe(&self.name))
    }
}

impl Pass {
    fn is_of_share(&self, other: &Self) -> bool {
        !self.share.is_empty() && self.session == other.session && self.share == other.share
    }

    fn is_of_person(&self, other: &Self) -> bool {
        !self.holder.id.is_empty() && self.holder.id == other.holder.id
    }

    fn is_of_client(&self, other: &Self) -> bool {
        self.client.is_some() && self.client == other.client
    }

    /// Return who is to lose a ticket where one right has too many: the client, or else the person.
    fn user(&self) -> String {
        self.client.map_or_else(|| self.holder.id.clone(), |client| client.to_string())
    }

    /// Return the right that the ticket comes from.
    fn right(&self) -> String {
        let right = if self.share.is_empty() { &self.holder.id } else { &self.share };
        format!("{} {right}", self.session)
    }
}

struct Ticket {
    pass: Pass,
    good: Instant,
    /// Counts up: the smallest is the oldest.
    number: u64,
}

/// The table.
pub(super) struct Tickets {
    issued: HashMap<String, Ticket>,
    next: u64,
    total: usize,
}

impl Default for Tickets {
    fn default() -> Self {
        Self { issued: HashMap::new(), next: 0, total: TOTAL }
    }
}

impl Tickets {
    /// Issue a ticket.
    pub(super) fn issue(&mut self, pass: Pass) -> Secret {
        let now = Instant::now();
        self.issued.retain(|_, t| t.good > now);
        self.make_room(&pass);
        let secret = random::secret();
        self.next += 1;
        let ticket = Ticket { pass, good: now + LIFETIME, number: self.next };
        self.issued.insert(random::digest(&secret), ticket);
        secret
    }

    /// Redeem a ticket, which is good once.
    pub(super) fn redeem(&mut self, secret: &Secret) -> Result<Pass, Problem> {
        let ticket = self.issued.remove(&random::digest(secret)).filter(|t| t.good > Instant::now());
        let bad = || Problem::new(Word::BadTicket, "This ticket is used up, expired or was never given.");
        ticket.map(|t| t.pass).ok_or_else(bad)
    }

    /// Revoke the tickets of a share; an empty share stands for all of the session.
    pub(super) fn revoke(&mut self, session: &SessionId, share: &str) {
        self.issued.retain(|_, t| t.pass.session != *session || (!share.is_empty() && t.pass.share != share));
    }

    /// Remove a ticket for each bound that the new one would exceed.
    fn make_room(&mut self, new: &Pass) {
        if self.count(|pass| pass.is_of_client(new)) >= PER_CAUSE {
            // One address may be a whole institute: only the right with the most loses.
            let most = self.most(|pass| pass.is_of_client(new), Pass::right);
            self.displace(|pass| pass.is_of_client(new) && pass.right() == most);
        }
        if self.count(|pass| pass.is_of_person(new)) >= PER_CAUSE {
            let most = self.most(|pass| pass.is_of_person(new), Pass::right);
            self.displace(|pass| pass.is_of_person(new) && pass.right() == most);
        }
        if self.count(|pass| pass.is_of_share(new)) >= PER_CAUSE {
            let most = self.most(|pass| pass.is_of_share(new), Pass::user);
            self.displace(|pass| pass.is_of_share(new) && pass.user() == most);
        }
        if self.issued.len() >= self.total {
            let session = self.most(|_| true, |pass| pass.session.to_string());
            let right = self.most(|pass| pass.session.as_str() == session, Pass::right);
            self.displace(|pass| pass.right() == right);
        }
    }

    fn count(&self, of: impl Fn(&Pass) -> bool) -> usize {
        self.issued.values().filter(|t| of(&t.pass)).count()
    }

    /// Return the group of these tickets that has the most.
    fn most(&self, of: impl Fn(&Pass) -> bool, group: impl Fn(&Pass) -> String) -> String {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for ticket in self.issued.values().filter(|t| of(&t.pass)) {
            *counts.entry(group(&ticket.pass)).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(group, _)| group).unwrap_or_default()
    }

    /// Remove the oldest of these tickets.
    fn displace(&mut self, of: impl Fn(&Pass) -> bool) {
        let oldest = self.issued.iter().filter(|(_, t)| of(&t.pass)).min_by_key(|(_, t)| t.number);
        if let Some(digest) = oldest.map(|(digest, _)| digest.clone()) {
            self.issued.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network_of;

    const ID: &str = "abcdefghij";

    fn pass(share: &str) -> Pass {
        let session = ID.parse().unwrap();
        Pass { session, role: Role::View, share: share.into(), holder: Holder::default(), client: None, until: 0 }
    }

    fn of_person(name: &str) -> Pass {
        Pass { holder: Holder { name: name.into(), id: format!("pam:{name}") }, ..pass("") }
    }

    fn of_client(address: &str, share: &str) -> Pass {
        Pass { client: address.parse().ok().map(network_of), ..pass(share) }
    }

    /// More than any bound of a cause.
    const MANY: usize = 4 * PER_CAUSE;

    fn flood(tickets: &mut Tickets, pass: &Pass) {
        (0..MANY).for_each(|_| drop(tickets.issue(pass.clone())));
    }

    #[test]
    fn a_ticket_is_good_once() {
        let mut tickets = Tickets::default();
        let secret = tickets.issue(pass(""));
        assert_eq!(tickets.redeem(&secret).unwrap().role, Role::View);
        assert_eq!(tickets.redeem(&secret).unwrap_err().word, Word::BadTicket);
    }

    #[test]
    fn an_expired_or_invented_ticket_is_good_for_nothing() {
        let mut tickets = Tickets::default();
        let secret = tickets.issue(pass(""));
        for ticket in tickets.issued.values_mut() {
            ticket.good = Instant::now();
        }
        assert!(tickets.redeem(&secret).is_err());
        assert!(tickets.redeem(&random::secret()).is_err());
    }

    #[test]
    fn a_revoked_share_takes_its_tickets_along_and_no_others() {
        let mut tickets = Tickets::default();
        let (own, shared) = (tickets.issue(pass("")), tickets.issue(pass("s1")));
        tickets.revoke(&ID.parse().unwrap(), "s1");
        assert!(tickets.redeem(&shared).is_err());
        assert!(tickets.redeem(&own).is_ok());
    }

    #[test]
    fn a_link_displaces_its_own_tickets_and_no_others() {
        let mut tickets = Tickets::default();
        let others = [tickets.issue(of_person("alice")), tickets.issue(pass("s2"))];
        let first = tickets.issue(pass("s1"));
        flood(&mut tickets, &pass("s1"));
        assert_eq!(tickets.issued.len(), PER_CAUSE + others.len());
        let last = tickets.issue(pass("s1"));
        assert!(tickets.redeem(&first).is_err() && tickets.redeem(&last).is_ok());
        assert!(others.iter().all(|secret| tickets.redeem(secret).is_ok()));
    }

    #[test]
    fn a_client_displaces_nobody_elses_ticket_of_the_same_link() {
        let mut tickets = Tickets::default();
        let guest = tickets.issue(of_client("192.0.2.7", "s1"));
        for n in 0..MANY {
            drop(tickets.issue(of_client(&format!("198.51.100.{}", n % 3), "s1")));
            // A host has many addresses in its own network.
            drop(tickets.issue(of_client(&format!("2001:db8::{n:x}"), "s1")));
        }
        assert_eq!(tickets.count(|pass| pass.share == "s1"), PER_CAUSE);
        assert!(tickets.redeem(&guest).is_ok());
    }

    #[test]
    fn a_client_displaces_nobody_elses_ticket_of_another_link() {
        let mut tickets = Tickets::default();
        let guest = tickets.issue(of_client("192.0.2.7", "s2"));
        flood(&mut tickets, &of_client("192.0.2.7", "s1"));
        assert_eq!(tickets.issued.len(), PER_CAUSE);
        assert!(tickets.redeem(&guest).is_ok());
    }

    #[test]
    fn a_person_and_a_client_are_bounded_whatever_they_come_by() {
        let mut tickets = Tickets::default();
        for n in 0..MANY {
            drop(tickets.issue(Pass { share: format!("s{n}"), ..of_person("mallory") }));
            drop(tickets.issue(of_client("192.0.2.7", &format!("s{n}"))));
        }
        assert_eq!(tickets.issued.len(), 2 * PER_CAUSE);
    }

    #[test]
    fn where_many_causes_fill_the_table_the_session_with_the_most_loses() {
        let mut tickets = Tickets { total: MANY, ..Tickets::default() };
        let other = Pass { session: "bbbbbbbbbb".parse().unwrap(), ..of_person("bob") };
        let kept = [tickets.issue(other), tickets.issue(of_person("alice"))];
        (0..2 * MANY).for_each(|n| drop(tickets.issue(pass(&format!("s{}", n % 200)))));
        assert_eq!(tickets.issued.len(), MANY);
        assert!(kept.iter().all(|secret| tickets.redeem(secret).is_ok()));
    }
}
