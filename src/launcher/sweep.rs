//! The second line: ends what is overdue, and removes what nobody else has removed.
//!
//! A session's end is cleared up by units of its own. This finds what escaped them: records whose
//! unit is gone, disks without a record, images half made, sessions past their time, notices a day old. It goes on
//! after a failure, and reports each thing it did or could not do.

use super::core::Core;
use crate::model::{Problem, SessionId};
use crate::policy::{Asked, Outcome};
use crate::{clearing, host, images, unit};
use std::collections::HashSet;

/// Notices are kept for a day.
const NOTICE_SECONDS: u64 = 86_400;

/// Sweeps once; a sentence for each thing found.
pub(super) fn sweep(core: &Core) -> Result<Vec<String>, Problem> {
    let launching: HashSet<SessionId> =
        core.table().iter().filter(|(_, e)| e.launching).map(|(id, _)| id.clone()).collect();
    let active = core.systemd.active("qwd-session-*.service")?;
    let mut told = Vec::new();
    for id in core.store.ids().into_iter().filter(|id| !launching.contains(id)) {
        if !active.contains(&unit::session_unit(&id)) {
            told.push(orphan(core, &id));
        } else {
            told.extend(overdue(core, &id));
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
    let old = |ended_at: u64| host::now().saturating_sub(ended_at) > NOTICE_SECONDS;
    let all = core.store.notices().into_iter().filter(|(_, n)| old(n.ended_at));
    all.filter_map(|(id, _)| {
        core.store.remove_notice(&id).err().map(|e| format!("The notice of {id} cannot be removed: {e}."))
    })
    .collect()
}
