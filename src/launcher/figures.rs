//! The service in figures: for everybody, for administrators with what each session uses, and for
//! machines as sums without names.

use super::caller::Person;
use super::core::Core;
use super::table::{Entry, taken};
use super::{kvm, runtime, viewers};
use crate::bus::{Figures, Status, Usage};
use crate::model::{Problem, SessionId, State, Word};
use crate::{host, policy, unit, vm};
use std::sync::Arc;

/// Return the service's figures; only administrators get the warnings.
pub(super) fn status(core: &Arc<Core>, admin: bool) -> Result<Status, Problem> {
    let loaded = core.loaded()?;
    let config_problem = core.config.current().1;
    let settings = &loaded.settings;
    let figures = host::figures();
    let (accel, why_not_kvm) = kvm::choose(core, settings, vm::host())?;
    let (network, why_not) = runtime::usual(&settings.network);
    let sessions = taken(&core.table());
    let mut warnings = Vec::new();
    warnings.extend(why_not_kvm.map(|why| format!("Sessions run under TCG, in software and slowly: {why}.")));
    warnings.extend(why_not.map(|why| format!("Sessions have no network: {why}.")));
    warnings.extend(core.newer.messages());
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sessions: sessions.len() as u32,
        sessions_max: settings.limits.service_max_session_nb,
        host_cpus: figures.cpus,
        cpus_max: policy::cpus_in_all(&settings.limits, figures.cpus),
        cpus_given: sessions.iter().map(|t| t.cpus).sum(),
        load: figures.load,
        memory_total: figures.memory_total.0,
        memory_available: figures.memory_available.0,
        memory_given: sessions.iter().map(|t| t.memory.0).sum(),
        accel: accel.kind(),
        network: network.to_owned(),
        config_problem: config_problem.filter(|_| admin).map(|e| e.to_string()).unwrap_or_default(),
        warnings: if admin { warnings } else { Vec::new() },
    })
}

/// The same, and what each session uses, the oldest first.
pub(super) fn monitor(core: &Arc<Core>, person: &Person) -> Result<(Status, Vec<Usage>), Problem> {
    if !person.admin {
        return Err(Problem::new(Word::NotAllowed, "Only an administrator may see what everybody's sessions use."));
    }
    viewers::await_report(core);
    let mut usages: Vec<Usage> = entries(core).iter().map(|(id, entry)| usage(core, id, entry)).collect();
    // Of two of the same second the order stays, too: a table whose lines change places is hard to read.
    usages.sort_by(|a, b| (a.session.created_at, &a.session.id).cmp(&(b.session.created_at, &b.session.id)));
    Ok((status(core, true)?, usages))
}

/// The files of control groups are read without the table, so that nobody waits for them.
fn entries(core: &Core) -> Vec<(SessionId, Entry)> {
    core.table().iter().map(|(id, entry)| (id.clone(), entry.clone())).collect()
}

fn usage(core: &Core, id: &SessionId, entry: &Entry) -> Usage {
    let used = core.groups.read(&unit::session_group(id));
    Usage {
        session: entry.session(),
        read_at_microseconds: host::now_microseconds(),
        cpu_microseconds: used.cpu_microseconds,
        memory_used: used.memory_bytes,
        memory_limit: used.memory_limit,
        tasks: used.tasks,
        viewers: core.viewers.of(id).len() as u32,
    }
}

/// Sums for machines.
pub(super) fn figures(core: &Arc<Core>) -> Result<Figures, Problem> {
    viewers::await_report(core);
    let entries = entries(core);
    let count = |state| entries.iter().filter(|(_, entry)| entry.state().reported() == state).count() as u32;
    Ok(Figures {
        status: status(core, true)?,
        starting: count(State::Starting),
        running: count(State::Running),
        stopping: count(State::Stopping),
        // Of the slice, which remembers those that are over: a sum of the others would go down.
        cpu_microseconds: core.groups.read(unit::SESSIONS_GROUP).cpu_microseconds,
        memory_used: entries.iter().map(|(id, _)| core.groups.read(&unit::session_group(id)).memory_bytes).sum(),
        viewers: entries.iter().map(|(id, _)| core.viewers.of(id).len() as u32).sum(),
    })
}
