//! From an admitted request to its unit and QEMU's arguments.

use super::ready::Ready;
use super::runtime::{Card, Runtime};
use crate::config::Settings;
use crate::model::{Bytes, Problem, Word};
use crate::qemu::{self, Plan};
use crate::session::Record;
use crate::unit::SessionPlan;
use std::path::{Path, PathBuf};

/// The unit of a session; `outside` is where its disk is, if not in the unit's private folder.
pub(super) fn plan(
    settings: &Settings,
    record: &Record,
    ready: &Ready,
    runtime: &Runtime,
    outside: Option<PathBuf>,
) -> Result<SessionPlan, Problem> {
    let spec = &record.spec;
    let argv = qemu::argv(&Plan {
        id: record.id.clone(),
        machine: spec.machine.clone(),
        hardware: ready.hardware.clone(),
        accel: runtime.accel,
        cpus: spec.cpus,
        memory: spec.memory,
        disk: ready.disk.clone(),
        nvram: ready.nvram.clone(),
        overlay: qemu::DISK_PATH.into(),
        network: runtime.card.kind(),
    });
    // A disk that is kept is as large as its image, and has no bound.
    let disk_max = settings.disks.session_max.filter(|_| ready.kept.is_none());
    let file_max = disk_max.map(|most| qemu::file_limit(most, &argv));
    let (closed, resolv_conf) = match &runtime.card {
        Card::User { closed, resolv_conf } => (Some(closed.clone()), resolv_conf.clone()),
        Card::None | Card::Bridge { .. } => (None, None),
    };
    Ok(SessionPlan {
        id: record.id.clone(),
        machine: spec.machine.clone(),
        argv,
        cpus: spec.cpus,
        memory: spec.memory,
        overhead: settings.qemu.overhead,
        cpu_quota: settings.qemu.cpu_quota,
        accel: runtime.accel,
        hardware: ready.hardware.clone(),
        variables: variables(ready)?,
        nvram: ready.nvram.clone(),
        disk: ready.disk.clone(),
        disk_size: ready.disk_size,
        file_max,
        outside,
        stop_grace: settings.session.stop_grace,
        closed,
        resolv_conf,
        card: matches!(runtime.card, Card::Bridge { .. }),
    })
}

/// The size of the variables that the firmware begins with.
fn variables(ready: &Ready) -> Result<Option<Bytes>, Problem> {
    let Some(files) = ready.hardware.firmware_files() else { return Ok(None) };
    let file = ready.nvram.variables.as_deref().unwrap_or(Path::new(files.variables));
    let found = std::fs::metadata(file).map(|meta| Some(Bytes(meta.len())));
    found.map_err(|e| {
        let text = format!("The firmware of '{}' ({}) cannot be used: {e}.", ready.entry.name, file.display());
        Problem::new(Word::MachineUnusable, text)
    })
}
