//! The second line: ends what is overdue, and removes what nobody else has removed.
//!
//! A session's end is cleared up by units of its own. This finds what escaped them: records and units that do not
//! belong together (`reap.rs`), disks without a record, images half made, notices that nobody needs any more. It goes
//! on after a failure, and reports each thing it did or could not do.

use super::core::Core;
use super::reap;
use crate::model::{Owner, Problem, SessionId};
use crate::{host, images, session};
use std::collections::HashMap;

/// Notices are kept for a day, and no more of one owner than so many: a script can start thousands.
const NOTICE_SECONDS: u64 = 86_400;
const NOTICES_OF_ONE: usize = 50;

/// Sweeps once; a sentence for each thing found.
pub(super) fn sweep(core: &Core) -> Result<Vec<String>, Problem> {
    let (mut told, reaped) = match reap::reap_sessions(core) {
        Ok(told) => (told, Ok(())),
        Err(problem) => (Vec::new(), Err(problem)),
    };
    // Without settings it is not known where disks and images are kept.
    let loaded = core.loaded().ok();
    if let Some(loaded) = &loaded {
        told.extend(session::stray_disks(&core.store, loaded.settings.disks_dir.as_deref()));
    }
    told.extend(session::stray_log_fields(&core.store));
    told.extend(core.store.remove_strays());
    if let Some(loaded) = &loaded {
        let machines: Vec<_> = core.catalogue().machines.into_iter().map(|entry| entry.name).collect();
        told.extend(images::stray_works(&core.root, &loaded.settings.machines_dir, &machines));
    }
    told.extend(old_notices(core));
    for sentence in &told {
        log::warn!("{sentence}");
    }
    reaped.map(|()| told)
}

fn old_notices(core: &Core) -> Vec<String> {
    let notices = core.store.notices().into_iter().map(|(id, n)| (id, n.record.owner, n.ended_at)).collect();
    let failed = |id: SessionId| {
        core.store.remove_notice(&id).err().map(|e| format!("The notice of {id} cannot be removed: {e}."))
    };
    spent(host::now(), notices).into_iter().filter_map(failed).collect()
}

/// Which of the notices (session, owner, end in seconds since 1970) nobody needs any more.
fn spent(now: u64, mut notices: Vec<(SessionId, Owner, u64)>) -> Vec<SessionId> {
    let mut kept: HashMap<Owner, usize> = HashMap::new();
    notices.sort_by_key(|(_, _, ended_at)| std::cmp::Reverse(*ended_at));
    let is_spent = |(id, owner, ended_at): (SessionId, Owner, u64)| {
        let count = kept.entry(owner).or_default();
        *count += 1;
        (*count > NOTICES_OF_ONE || now.saturating_sub(ended_at) > NOTICE_SECONDS).then_some(id)
    };
    notices.into_iter().filter_map(is_spent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn notices_are_kept_for_a_day_and_the_latest_of_each_owner() {
        let letter = |n: u64| char::from(b"abcdefgh"[n as usize % 8]);
        let id = |n: u64| -> SessionId {
            format!("aaaaaaa{}{}{}", letter(n / 64), letter(n / 8), letter(n)).parse().unwrap()
        };
        let notice =
            |n: u64, owner: &str, ended_at| (id(n), format!("pam:{owner}").parse::<Owner>().unwrap(), ended_at);
        let now = 1_000_000;
        let many: Vec<_> = (100..100 + NOTICES_OF_ONE as u64 + 2).map(|n| notice(n, "alice", now - 10 * n)).collect();
        let oldest: HashSet<SessionId> = many[NOTICES_OF_ONE..].iter().map(|(id, ..)| id.clone()).collect();
        let others = [notice(2, "bob", now - NOTICE_SECONDS), notice(3, "bob", now - NOTICE_SECONDS - 1)];
        let gone: HashSet<SessionId> = spent(now, [&many[..], &others].concat()).into_iter().collect();
        assert_eq!(gone, oldest.union(&HashSet::from([others[1].0.clone()])).cloned().collect());
    }
}
