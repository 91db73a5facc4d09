//! Share links: longer-lived rights to obtain tickets, kept in the session's record.

use super::caller::Person;
use super::core::Core;
use super::table::find;
use crate::bus::{self, NewShare, Share};
use crate::host;
use crate::model::{Problem, Role, Secret, SessionId, Word};
use crate::random;
use crate::records::{Record, ShareRecord};
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
        role: share.role.to_string(),
        created_at: share.created_at,
        expires_at: share.expires_at,
        once: share.once,
        used: share.used_at != 0,
        used_at: share.used_at,
        used_by: share.used_by.clone(),
    }
}

/// Makes a share; its secret is known to nobody but the one who asked.
pub(super) fn share(
    core: &Core,
    person: &Person,
    id: &SessionId,
    wanted: &NewShare,
) -> Result<(Share, Secret), Problem> {
    let now = host::now();
    let role: Role = wanted.role.parse()?;
    let secret = random::secret();
    let new = ShareRecord {
        id: random::label(),
        role,
        secret_sha256: random::digest(&secret),
        created_at: now,
        expires_at: if wanted.seconds == 0 { 0 } else { now.saturating_add(wanted.seconds) },
        once: wanted.once,
        spent_sha256: None,
        used_at: 0,
        used_by: String::new(),
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
    log::info!(QWD_SESSION = id.as_str(); "{} made a link for {role} of session {id}", person.name);
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
    log::info!(QWD_SESSION = id.as_str(); "{} took a link of session {id} back", person.name);
    tell_display(core, id, share);
    Ok(())
}

/// To the display alone: a broadcast could be read by everybody. If it is not there, it shows no
/// screens, and asks when it comes back.
fn tell_display(core: &Core, id: &SessionId, share: &str) {
    for display in core.viewers.displays() {
        let told = core.connection.emit_signal(
            Some(display.as_str()),
            bus::PATH,
            bus::INTERFACE,
            "Revoked",
            &(id.as_str(), share),
        );
        if let Err(e) = told {
            log::error!("The display could not be told of a revoked link: {e}.");
        }
    }
}

fn change(
    core: &Core,
    person: &Person,
    id: &SessionId,
    edit: impl FnOnce(&mut Record) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut table = core.table();
    let entry = find(&mut table, person, id)?;
    let mut record = entry.record.clone();
    edit(&mut record)?;
    // On record before it counts. The lock is held, so that no other change gets between.
    core.save(id, &record)?;
    entry.record = record;
    Ok(())
}
