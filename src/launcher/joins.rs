//! Coming by a link: its secret for a ticket.
//!
//! A link for one browser is used up by the first who comes. They get another secret in its place, so
//! that their page can come back; the link's own is remembered, to tell whoever comes next what has
//! happened. All of it is decided and written down in the session's turn: of two who come at
//! once, one gets in. A guest of whom nothing is written down waits for no turn.

use super::core::Core;
use super::screens;
use super::shares::still_good;
use super::table::{Entry, Table};
use super::tickets::{Holder, Pass};
use super::turns::Kind;
use crate::bus::{Joined, Session};
use crate::model::{Problem, Secret, SessionId, State, Word, network_of};
use crate::session::{Record, ShareRecord};
use crate::{host, random};
use std::net::IpAddr;

/// A ticket for the holder of a link, who comes from this address, if it is known.
pub(super) fn join(core: &Core, holder: &Holder, secret: &Secret, from: Option<IpAddr>) -> Result<Joined, Problem> {
    let now = host::now();
    let issue = |id: &SessionId, share: &ShareRecord| {
        let (session, role, label, holder) = (id.clone(), share.role, share.id.clone(), holder.clone());
        let client = from.map(network_of);
        let pass = Pass { session, role, share: label.clone(), holder, client, until: share.expires_at };
        (screens::issue(core, pass), role, label)
    };
    let (id, session, issued) = {
        let mut table = core.table();
        let (id, entry, at) = find(&mut table, secret, now)?;
        let share = &entry.record.shares[at];
        // With the table's lock held: if the link is taken back from now on, this ticket is revoked with it.
        let issued = (!is_news(share)).then(|| issue(&id, share));
        (id, entry.session(), issued)
    };
    let (next, (ticket, role, label)) = match issued {
        Some(issued) => (None, issued),
        None => core.change_record_as(Kind::Guest, &id, |record| {
            let at = position(record, &random::digest(secret), now)?.ok_or_else(bad_link)?;
            let share = &mut record.shares[at];
            let next = take(share, holder, now);
            Ok((next, issue(&id, share)))
        })?,
    };
    let who = if holder.name.is_empty() { "A guest".to_owned() } else { holder.to_string() };
    let from = from.map_or_else(String::new, |address| format!(" from {address}"));
    let line = format!("{who} joined session {id} by link {label} ({role}){from}");
    if core.lines.joins.admit(&format!("{id} {label}"), "join", &line) {
        log::info!(QWD_SESSION = id.as_str(); "{line}");
    }
    let secret = next.as_ref().unwrap_or(secret).expose().to_owned();
    Ok(Joined { session, role, ticket: ticket.expose().to_owned(), secret })
}

/// The session that the holder of a link may see.
pub(super) fn look(core: &Core, secret: &Secret) -> Result<Session, Problem> {
    let mut table = core.table();
    find(&mut table, secret, host::now()).map(|(_, entry, _)| entry.session())
}

/// Whose link this is, and which of theirs.
fn find<'t>(table: &'t mut Table, secret: &Secret, now: u64) -> Result<(SessionId, &'t mut Entry, usize), Problem> {
    let digest = random::digest(secret);
    for (id, entry) in table.iter_mut().filter(|(_, e)| e.state() != State::Stopping) {
        if let Some(at) = position(&entry.record, &digest, now)? {
            return Ok((id.clone(), entry, at));
        }
    }
    Err(bad_link())
}

/// Return which of the session's links has a secret with this digest, if any; an error if it has been used up.
fn position(record: &Record, digest: &str, now: u64) -> Result<Option<usize>, Problem> {
    let held = |s: &ShareRecord| s.secret_sha256 == digest || s.spent_sha256.as_deref() == Some(digest);
    let Some(at) = record.shares.iter().position(held) else { return Ok(None) };
    if !still_good(&record.shares[at], now) {
        return Err(expired());
    }
    if record.shares[at].secret_sha256 == digest { Ok(Some(at)) } else { Err(used_up()) }
}

/// Return true if the next who comes by the link is to be written down.
fn is_news(share: &ShareRecord) -> bool {
    share.used_at == 0 || share.once && share.spent_sha256.is_none()
}

/// Marks the link as used; the secret that takes its place, where it is for one browser.
fn take(share: &mut ShareRecord, holder: &Holder, now: u64) -> Option<Secret> {
    if share.used_at == 0 {
        share.used_at = now;
        share.used_by.clone_from(&holder.name);
        share.used_by_id.clone_from(&holder.id);
    }
    if !share.once || share.spent_sha256.is_some() {
        return None;
    }
    let next = random::secret();
    share.spent_sha256 = Some(std::mem::replace(&mut share.secret_sha256, random::digest(&next)));
    Some(next)
}

fn bad_link() -> Problem {
    let text = "This link is not valid any more: it was taken back, or the session has ended.";
    Problem::new(Word::BadTicket, text)
}

fn expired() -> Problem {
    Problem::new(Word::BadTicket, "This link has expired. Ask the session's owner for a new one.")
}

fn used_up() -> Problem {
    let text = "This link was good for one browser and has been used. Ask the session's owner for another.";
    Problem::new(Word::BadTicket, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Event, Role};
    use crate::session::testing::record;

    fn share(once: bool, secret: &Secret) -> ShareRecord {
        ShareRecord {
            id: "s1".into(),
            role: Role::View,
            secret_sha256: random::digest(secret),
            created_at: 1,
            expires_at: 0,
            once,
            spent_sha256: None,
            used_at: 0,
            used_by: String::new(),
            used_by_id: String::new(),
        }
    }

    fn table(share: ShareRecord) -> Table {
        let mut record = record("abcdefghij", "alice");
        record.shares = vec![share];
        Table::from([("abcdefghij".parse().unwrap(), Entry::new(record))])
    }

    fn bob() -> Holder {
        Holder { name: "bob".into(), id: "pam:bob".into() }
    }

    /// Comes by this secret at second `now`; the next one, or why not.
    fn come(table: &mut Table, secret: &Secret, now: u64) -> Result<Option<Secret>, String> {
        let (_, entry, at) = find(table, secret, now).map_err(|p| p.message)?;
        Ok(take(&mut entry.record.shares[at], &bob(), now))
    }

    #[test]
    fn a_link_for_one_browser_lets_one_in_who_can_come_back() {
        let link = random::secret();
        let mut table = table(share(true, &link));
        let next = come(&mut table, &link, 7).unwrap().unwrap();
        assert!(come(&mut table, &link, 8).unwrap_err().contains("has been used"));
        // However often: the same secret goes on working, so an answer that is lost does no harm.
        assert!(come(&mut table, &next, 9).unwrap().is_none());
        assert!(come(&mut table, &next, 10).unwrap().is_none());
        let kept = &table.values().next().unwrap().record.shares[0];
        assert_eq!((kept.used_at, kept.used_by.as_str()), (7, "bob"));
    }

    #[test]
    fn any_other_link_stays_as_it_is() {
        let link = random::secret();
        let mut table = table(share(false, &link));
        assert!(is_news(&table.values().next().unwrap().record.shares[0]));
        assert!(come(&mut table, &link, 7).unwrap().is_none());
        assert!(come(&mut table, &link, 8).unwrap().is_none());
        assert_eq!(table.values().next().unwrap().record.shares[0].used_at, 7);
        assert!(!is_news(&table.values().next().unwrap().record.shares[0]));
        assert!(come(&mut table, &random::secret(), 8).unwrap_err().contains("not valid"));
    }

    #[test]
    fn an_end_counts_for_the_secret_that_replaced_the_link_too() {
        let link = random::secret();
        let mut table = table(ShareRecord { expires_at: 100, ..share(true, &link) });
        let next = come(&mut table, &link, 7).unwrap().unwrap();
        for secret in [&link, &next] {
            assert!(come(&mut table, secret, 100).unwrap_err().contains("has expired"));
        }
        table.values_mut().for_each(|e| e.apply(Event::Stop).map(drop).unwrap());
        assert!(come(&mut table, &next, 8).is_err());
    }
}
