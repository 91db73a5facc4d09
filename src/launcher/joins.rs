//! Coming by a link: its secret for a ticket.
//!
//! A link for one browser is used up by the first who comes. They get another secret in its place, so
//! that their page can come back; the link's own is remembered, to tell whoever comes next what has
//! happened. All of it is decided and written down under the table's lock: of two who come at once,
//! one gets in.

use super::core::Core;
use super::screens::{self, Pass};
use super::shares::still_good;
use super::table::{Entry, Table};
use crate::bus::{Joined, Session};
use crate::model::{Problem, Secret, SessionId, State, Word};
use crate::records::ShareRecord;
use crate::{host, random};

/// A ticket for the holder of a link; `name` is empty for somebody who is not signed in.
pub(super) fn join(core: &Core, name: &str, secret: &Secret) -> Result<Joined, Problem> {
    let now = host::now();
    let mut table = core.table();
    let (id, entry, at) = find(&mut table, secret, now)?;
    let mut record = entry.record.clone();
    let share = &mut record.shares[at];
    let next = take(share, name, now);
    let pass = Pass {
        session: id.clone(),
        role: share.role,
        share: share.id.clone(),
        name: name.to_owned(),
        until: share.expires_at,
    };
    let (role, label) = (share.role, share.id.clone());
    // The ticket first: where there is none, the link is not used up.
    let ticket = screens::issue(core, pass)?;
    if record != entry.record {
        core.save(&id, &record)?;
        entry.record = record;
    }
    let session = entry.session();
    drop(table);
    let who = if name.is_empty() { "A guest" } else { name };
    log::info!(QWD_SESSION = id.as_str(); "{who} came to session {id} by link {label}, for {role}");
    let secret = next.as_ref().unwrap_or(secret).expose().to_owned();
    Ok(Joined { session, role: role.to_string(), ticket: ticket.expose().to_owned(), secret })
}

/// The session that the holder of a link may see.
pub(super) fn look(core: &Core, secret: &Secret) -> Result<Session, Problem> {
    let mut table = core.table();
    find(&mut table, secret, host::now()).map(|(_, entry, _)| entry.session())
}

/// Whose link this is, and which of theirs.
fn find<'t>(table: &'t mut Table, secret: &Secret, now: u64) -> Result<(SessionId, &'t mut Entry, usize), Problem> {
    let digest = random::digest(secret);
    let held = |s: &ShareRecord| s.secret_sha256 == digest || s.spent_sha256.as_ref() == Some(&digest);
    for (id, entry) in table.iter_mut().filter(|(_, e)| e.state != State::Stopping) {
        let Some(at) = entry.record.shares.iter().position(|s| held(s) && still_good(s, now)) else { continue };
        if entry.record.shares[at].secret_sha256 != digest {
            return Err(used_up());
        }
        return Ok((id.clone(), entry, at));
    }
    Err(bad_link())
}

/// Marks the link as used; the secret that takes its place, where it is for one browser.
fn take(share: &mut ShareRecord, name: &str, now: u64) -> Option<Secret> {
    if share.used_at == 0 {
        share.used_at = now;
        share.used_by = name.to_owned();
    }
    if !share.once || share.spent_sha256.is_some() {
        return None;
    }
    let next = random::secret();
    share.spent_sha256 = Some(std::mem::replace(&mut share.secret_sha256, random::digest(&next)));
    Some(next)
}

fn bad_link() -> Problem {
    Problem::new(Word::BadTicket, "This link is not valid any more: the session has ended, or the link was taken back.")
}

fn used_up() -> Problem {
    let text = "This link was good for one browser and has been used. Ask the session's owner for another.";
    Problem::new(Word::BadTicket, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;
    use crate::records::tests::record;

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
        }
    }

    fn table(share: ShareRecord) -> Table {
        let mut record = record("abcdefghij", "alice");
        record.shares = vec![share];
        Table::from([("abcdefghij".parse().unwrap(), Entry::new(record, State::Running))])
    }

    /// Comes by this secret at second `now`; the next one, or why not.
    fn come(table: &mut Table, secret: &Secret, now: u64) -> Result<Option<Secret>, String> {
        let (_, entry, at) = find(table, secret, now).map_err(|p| p.message)?;
        Ok(take(&mut entry.record.shares[at], "bob", now))
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
        assert!(come(&mut table, &link, 7).unwrap().is_none());
        assert!(come(&mut table, &link, 8).unwrap().is_none());
        assert_eq!(table.values().next().unwrap().record.shares[0].used_at, 7);
        assert!(come(&mut table, &random::secret(), 8).unwrap_err().contains("not valid"));
    }

    #[test]
    fn an_end_counts_for_the_secret_that_replaced_the_link_too() {
        let link = random::secret();
        let mut table = table(ShareRecord { expires_at: 100, ..share(true, &link) });
        let next = come(&mut table, &link, 7).unwrap().unwrap();
        for secret in [&link, &next] {
            assert!(come(&mut table, secret, 100).unwrap_err().contains("not valid"));
        }
        table.values_mut().for_each(|e| e.state = State::Stopping);
        assert!(come(&mut table, &next, 8).is_err());
    }
}
