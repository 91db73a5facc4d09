//! The second line: ends what is overdue, and removes what nobody else has removed.
//!
//! A session's end is cleared up by units of its own. This finds what escaped them: records whose
//! unit is gone, disks without a record, images half made, sessions past their time, notices that
//! nobody needs any more. It goes on after a failure, and reports each thing it did or could not do.

use super::core::Core;
use crate::model::{Problem, SessionId};
use crate::policy::{Asked, Outcome};
use crate::{clearing, host, images, unit};
use std::collections::{HashMap, HashSet};

/// Notices are kept for a day, and no more of one owner than so many: a script can start thousands.
const NOTICE_SECONDS: u64 = 86_400;
const NOTICES_OF_ONE: usize = 50;

/// Sweeps once; a sentence for each thing found.
pub(super) fn sweep(core: &Core) -> Result<Vec<String>, Problem> {
    let mut told = Vec::new();
    // In this order: who is on record, and is not being launched any more, has had a unit.
    let ids = core.store.ids();
    let launching: HashSet<SessionId> =
        core.table().iter().filter(|(_, e)| e.launching).map(|(id, _)| id.clone()).collect();
    let active = core.systemd.active(&["qwd-session-*.service", "qwd-ended@*.service", "qwd-failed@*.service"])?;
    for id in ids.into_iter().filter(|id| !launching.contains(id)) {
        if active.contains(&unit::session_unit(&id)) {
            told.extend(overdue(core, &id));
        } else if unit::ending_units(&id).iter().all(|unit| !active.contains(unit)) && core.store.exists(&id) {
            told.push(orphan(core, &id));
        }
    }
    told.extend(clearing::stray_disks(&core.store, core.loaded().settings.disks_dir.as_deref()));
    let machines: Vec<_> = core.catalogue().machines.into_iter().map(|entry| entry.name).collect();
    told.extend(images::stray_works(&core.root, &core.loaded().settings.machines_dir, &machines));
    told.extend(old_notices(core));
    for sentence in &told {
        log::warn!("{sentence}");
    }
    Ok(told)
}

fn orphan(core: &Core, id: &SessionId) -> String {
    let outcome = Outcome { result: "resources".into(), ..Outcome::default() };
    match clearing::finish(&core.store, id, &outcome) {
        Ok(()) => format!("Session {id} had no unit any more; its record was removed."),
        Err(problem) => format!("Session {id} has no unit any more, but not all of it could be removed: {problem}"),
    }
}

fn overdue(core: &Core, id: &SessionId) -> Option<String> {
    let record = core.store.read(id)?;
    let end = record.session.expires_at;
    // Its timer has some seconds to do it first.
    if end == 0 || host::now() < end + 10 || core.store.asked(id) != Asked::Nobody {
        return None;
    }
    let asked = core.store.ask(id, &Asked::Expiry);
    if let Err(e) = asked {
        return Some(format!("Session {id} is overdue, but that cannot be written down: {e}."));
    }
    Some(match core.systemd.stop(&unit::session_unit(id)) {
        Ok(()) => format!("Session {id} was overdue and is being stopped."),
        Err(problem) => format!("Session {id} is overdue and cannot be stopped: {problem}"),
    })
}

fn old_notices(core: &Core) -> Vec<String> {
    let notices = core.store.notices().into_iter().map(|(id, n)| (id, n.session.owner, n.ended_at)).collect();
    let failed = |id: SessionId| {
        core.store.remove_notice(&id).err().map(|e| format!("The notice of {id} cannot be removed: {e}."))
    };
    spent(host::now(), notices).into_iter().filter_map(failed).collect()
}

/// Which of the notices (session, owner, end in seconds since 1970) nobody needs any more.
fn spent(now: u64, mut notices: Vec<(SessionId, String, u64)>) -> Vec<SessionId> {
    let mut kept: HashMap<String, usize> = HashMap::new();
    notices.sort_by_key(|(_, _, ended_at)| std::cmp::Reverse(*ended_at));
    let is_spent = |(id, owner, ended_at): (SessionId, String, u64)| {
        let count = kept.entry(owner).or_default();
        *count += 1;
        (*count > NOTICES_OF_ONE || now.saturating_sub(ended_at) > NOTICE_SECONDS).then_some(id)
    };
    notices.into_iter().filter_map(is_spent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_kept_for_a_day_and_the_latest_of_each_owner() {
        let letter = |n: u64| char::from(b"abcdefgh"[n as usize % 8]);
        let id = |n: u64| -> SessionId {
            format!("aaaaaaa{}{}{}", letter(n / 64), letter(n / 8), letter(n)).parse().unwrap()
        };
        let notice = |n: u64, owner: &str, ended_at| (id(n), owner.to_owned(), ended_at);
        let now = 1_000_000;
        let many: Vec<_> = (100..100 + NOTICES_OF_ONE as u64 + 2).map(|n| notice(n, "alice", now - 10 * n)).collect();
        let oldest: HashSet<SessionId> = many[NOTICES_OF_ONE..].iter().map(|(id, ..)| id.clone()).collect();
        let others = [notice(2, "bob", now - NOTICE_SECONDS), notice(3, "bob", now - NOTICE_SECONDS - 1)];
        let gone: HashSet<SessionId> = spent(now, [&many[..], &others].concat()).into_iter().collect();
        assert_eq!(gone, oldest.union(&HashSet::from([others[1].0.clone()])).cloned().collect());
    }
}
