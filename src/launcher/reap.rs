//! Compares the records with the units that systemd has: ends what is overdue or has no record, stops again what systemd
//! was not told to stop, arms the timers that are missing, and forgets sessions that do not run.

use super::core::Core;
use crate::model::{Problem, SessionId, State};
use crate::session::{Asked, OnRecord, Outcome};
use crate::systemd::UnitStatus;
use crate::{host, session, unit};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// A session's unit, those that clear up after it, and its timers.
const PATTERNS: [&str; 4] =
    ["qwd-session-*.service", "qwd-ended@*.service", "qwd-failed@*.service", "qwd-expire@*.timer"];
/// A session's timer has this many seconds to end it first.
const TIMER_GRACE: u64 = 10;
/// Beyond the limit of its unit, systemd has so long to end a session that stops.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// The units of sessions at one moment.
struct UnitsNow {
    active: HashMap<String, UnitStatus>,
    /// The ends for which each session has timers.
    timers: HashMap<SessionId, HashSet<u64>>,
}

/// Compare once; a sentence for each thing found.
pub(super) fn reap_sessions(core: &Core) -> Result<Vec<String>, Problem> {
    // Records before units: a recorded session that is not being started had a unit.
    let ids = core.store.ids().map_err(|e| Problem::failed(format!("The sessions' records cannot be read: {e}.")))?;
    let launching: HashSet<SessionId> =
        core.table().iter().filter(|(_, e)| e.launching).map(|(id, _)| id.clone()).collect();
    let units = UnitsNow::read(core)?;
    core.newer.find(&core.store, &ids);
    let mut told = Vec::new();
    for id in ids.into_iter().filter(|id| !launching.contains(id)) {
        if let Some(status) = units.active.get(&unit::session_unit(&id)) {
            told.extend(tend(core, &id, status, &units));
        } else if lacks_unit(core, &id, &units) {
            told.push(forget(core, &id));
        }
    }
    // Units before records: a session is on record from before its unit starts until after it has ended.
    told.extend(units.sessions().filter(|id| !core.store.exists(id)).filter_map(|id| {
        let status = &units.active[&unit::session_unit(&id)];
        stop_unless_ending(core, &id, status, "has no record")
    }));
    told.extend(units.strays().filter_map(|timer| {
        let problem = core.systemd.stop(&timer).err()?;
        Some(format!("{timer} belongs to no session and cannot be stopped: {problem}"))
    }));
    Ok(told)
}

/// Write what was found, or could not be looked for, to the journal.
pub(super) fn report(found: &Result<Vec<String>, Problem>) {
    match found {
        Ok(told) => told.iter().for_each(|sentence| log::warn!("{sentence}")),
        Err(problem) => log::error!("The sessions cannot be compared with systemd's units: {problem}"),
    }
}

impl UnitsNow {
    fn read(core: &Core) -> Result<Self, Problem> {
        let mut active = core.systemd.units(&PATTERNS)?;
        active.retain(|_, status| status.is_active());
        let mut timers: HashMap<SessionId, HashSet<u64>> = HashMap::new();
        for (id, end) in active.keys().filter_map(|name| unit::parse_timer_unit(name)) {
            timers.entry(id).or_default().insert(end);
        }
        Ok(Self { active, timers })
    }

    /// The ends for which a session has timers.
    fn ends(&self, id: &SessionId) -> HashSet<u64> {
        self.timers.get(id).cloned().unwrap_or_default()
    }

    fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.active.keys().filter_map(|name| unit::parse_session_unit(name))
    }

    /// The timers of sessions that do not run.
    fn strays(&self) -> impl Iterator<Item = String> + '_ {
        let alone = self.timers.iter().filter(|(id, _)| !self.active.contains_key(&unit::session_unit(id)));
        alone.flat_map(|(id, ends)| ends.iter().map(|end| unit::expiry_timer(id, *end)))
    }
}

/// Return whether a recorded session should have a unit, and has neither that nor one that clears up after it.
fn lacks_unit(core: &Core, id: &SessionId, units: &UnitsNow) -> bool {
    if unit::ending_units(id).iter().any(|unit| units.active.contains_key(unit)) {
        return false;
    }
    match core.store.look_up(id) {
        Ok(OnRecord::Readable(record)) => !record.state().needs_no_unit(),
        Ok(OnRecord::Missing | OnRecord::Newer) => false,
        Ok(OnRecord::Damaged) | Err(_) => true,
    }
}

/// Look after a session whose unit is active; a sentence if something was to be done.
fn tend(core: &Core, id: &SessionId, status: &UnitStatus, units: &UnitsNow) -> Option<String> {
    let known = core.table().get(id).map(|entry| (entry.record.expires_at, entry.state()));
    let end = match (core.store.look_up(id), known) {
        (Ok(OnRecord::Readable(record)), _) => record.expires_at,
        (Ok(OnRecord::Damaged), Some((end, _))) => end,
        (Ok(OnRecord::Damaged), None) => return tend_damaged(core, id, status, units),
        // Without a record it is ended; with one that a newer version wrote, or that cannot be read just now, it is left
        // alone.
        (Ok(OnRecord::Missing | OnRecord::Newer) | Err(_), _) => return None,
    };
    let asked = core.store.asked(id) != Asked::Nobody || known.is_some_and(|(_, state)| state == State::Stopping);
    if asked {
        return stop_unless_ending(core, id, status, "was to be stopped");
    }
    let now = host::now();
    if end != 0 && now >= end {
        // Its timer has fired, or is about to.
        return (now >= end.saturating_add(TIMER_GRACE)).then(|| stop_overdue(core, id, status)).flatten();
    }
    let right: HashSet<u64> = (end != 0).then_some(end).into_iter().collect();
    if known.is_none() || units.ends(id) == right {
        return None;
    }
    Some(match core.tidy_timers(id) {
        Ok(()) => format!("Session {id} had not the one timer that it is to have, and has it now."),
        Err(problem) => format!("Session {id} has not the one timer that it is to have: {problem}"),
    })
}

/// Only systemd knows of it: the session ends by its last timer.
fn tend_damaged(core: &Core, id: &SessionId, status: &UnitStatus, units: &UnitsNow) -> Option<String> {
    let overdue = units.ends(id).into_iter().max().is_none_or(|end| host::now() >= end.saturating_add(TIMER_GRACE));
    overdue.then(|| stop_unless_ending(core, id, status, "has a damaged record and no timer")).flatten()
}

fn stop_overdue(core: &Core, id: &SessionId, status: &UnitStatus) -> Option<String> {
    if let Err(e) = core.store.ask(id, &Asked::Expiry) {
        // Ending takes no room on a disk.
        log::error!(QWD_SESSION = id.as_str(); "The expiry of session {id} cannot be written down: {e}.");
    }
    stop_unless_ending(core, id, status, "was overdue")
}

/// Have systemd stop a session, unless it is doing that already.
fn stop_unless_ending(core: &Core, id: &SessionId, status: &UnitStatus, why: &str) -> Option<String> {
    if status.is_ending() {
        return kill_if_late(core, id);
    }
    Some(match core.systemd.stop(&unit::session_unit(id)) {
        Ok(()) => format!("Session {id} {why} and is being stopped."),
        Err(problem) => format!("Session {id} {why} and cannot be stopped: {problem}"),
    })
}

/// Kill a session that stops for longer than its unit allows: a QEMU that was taken over can put that limit off.
fn kill_if_late(core: &Core, id: &SessionId) -> Option<String> {
    let unit = unit::session_unit(id);
    match core.systemd.stopping_since(&unit) {
        Ok(Some((since, limit))) if host::uptime() > since + limit + KILL_GRACE => {
            Some(match core.systemd.kill(&unit) {
                Ok(()) => format!("Session {id} did not stop in time and was killed."),
                Err(problem) => format!("Session {id} did not stop in time and cannot be killed: {problem}"),
            })
        }
        Ok(_) => None,
        Err(problem) => Some(format!("How long session {id} has been stopping is not known: {problem}")),
    }
}

/// Clear up after a session that has no unit any more.
fn forget(core: &Core, id: &SessionId) -> String {
    let was_up = core.store.read(id).is_none_or(|record| record.was_up());
    match session::finish(&core.store, id, &Outcome::unreported(was_up)) {
        Ok(()) => format!("Session {id} had no unit any more; its record was removed."),
        Err(problem) => format!("Session {id} has no unit any more, but not all of it could be removed: {problem}"),
    }
}
