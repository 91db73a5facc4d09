//! Share links: longer-lived rights to obtain tickets, kept in the session's record.

use super::caller::Person;
use super::core::Core;
use super::table::find;
use super::tickets::parse_owner;
use super::viewers;
use crate::bus::Share;
use crate::host;
use crate::model::{Lifetime, Problem, Role, Secret, SessionId, Word};
use crate::random;
use crate::session::{Record, ShareRecord};
use std::sync::PoisonError;

/// More links than this for one session are a mistake.
const SHARES_MAX: usize = 50;

/// Whether a share may still be used.
pub(super) fn still_good(share: &ShareRecord, now: u64) -> bool {
    share.expires_at == 0 || share.expires_at > now
}

fn public(share: &ShareRecord) -> Share {
    Share {
        id: share.id.clone(),
        role: share.role,
        created_at: share.created_at,
        expires_at: share.expires_at,
        once: share.once,
        used_at: Some(share.used_at).filter(|at| *at != 0),
        used_by: share.used_by.clone(),
        used_by_id: parse_owner(&share.used_by_id, &share.used_by),
    }
}

/// What a new link is to allow.
pub(super) struct ShareRequest {
    pub role: Role,
    /// How long it is good; zero: as long as the session.
    pub lifetime: Lifetime,
    /// Good for one browser.
    pub once: bool,
}

/// Makes a share; its secret is known to nobody but the one who asked.
pub(super) fn share(
    core: &Core,
    person: &Person,
    id: &SessionId,
    request: &ShareRequest,
) -> Result<(Share, Secret), Problem> {
    let now = host::now();
    let (role, lifetime) = (request.role, request.lifetime);
    let secret = random::secret();
    let new = ShareRecord {
        id: random::label(),
        role,
        secret_sha256: random::digest(&secret),
        created_at: now,
        expires_at: if lifetime.0 == 0 { 0 } else { now.saturating_add(lifetime.0) },
        once: request.once,
        spent_sha256: None,
        used_at: 0,
        used_by: String::new(),
        used_by_id: String::new(),
    };
    let shown = public(&new);
    change(core, person, id, |record| {
        record.shares.retain(|s| still_good(s, now));
        if record.shares.len() >= SHARES_MAX {
            let text = format!("A session can have {SHARES_MAX} links. Take one back first.");
            return Err(Problem::new(Word::LimitReached, text));
        }
        record.shares.push(new);
        Ok(())
    })?;
    let line = format!("{person} made a link for {role} of session {id}");
    if core.lines.changes.admit(&person.owner.to_string(), "share", &line) {
        log::info!(QWD_SESSION = id.as_str(); "{line}");
    }
    Ok((shown, secret))
}

/// The shares of a session that can still be used.
pub(super) fn shares(core: &Core, person: &Person, id: &SessionId) -> Result<Vec<Share>, Problem> {
    let mut table = core.table();
    let now = host::now();
    let entry = find(&mut table, person, id)?;
    Ok(entry.record.shares.iter().filter(|s| still_good(s, now)).map(public).collect())
}

/// Takes a share back, and closes the screens it has opened.
pub(super) fn unshare(core: &Core, person: &Person, id: &SessionId, share: &str) -> Result<(), Problem> {
    change(core, person, id, |record| {
        let before = record.shares.len();
        record.shares.retain(|s| s.id != share);
        if record.shares.len() == before {
            return Err(Problem::bad_request("This session has no such link (any more)."));
        }
        Ok(())
    })?;
    core.tickets.lock().unwrap_or_else(PoisonError::into_inner).revoke(id, share);
    let line = format!("{person} took a link of session {id} back");
    if core.lines.changes.admit(&person.owner.to_string(), "unshare", &line) {
        log::info!(QWD_SESSION = id.as_str(); "{line}");
    }
    viewers::signal_displays(core, "Revoked", &(id.as_str(), share));
    Ok(())
}

fn change(
    core: &Core,
    person: &Person,
    id: &SessionId,
    edit: impl FnOnce(&mut Record) -> Result<(), Problem>,
) -> Result<(), Problem> {
    find(&mut core.table(), person, id)?;
    core.change_record(id, edit)
}
