//! From an admitted request to its virtual machine.

use super::ready::Ready;
use super::runtime::{Card, Runtime};
use crate::config::Settings;
use crate::model::{Bytes, Problem, Word};
use crate::session::Record;
use crate::vm::{HostSide, Identity, Nvram, Shape, Vm, file_limit};
use std::path::{Path, PathBuf};

/// Return the virtual machine of a session; `disk_file` is where its disk is, if not in the unit's private directory.
pub(super) fn virtual_machine(
    settings: &Settings,
    record: &Record,
    ready: &Ready,
    runtime: &Runtime,
    disk_file: Option<PathBuf>,
) -> Result<Vm, Problem> {
    let shape = Shape {
        machine_type: runtime.machine_type.clone(),
        hardware: ready.hardware.clone(),
        accel: runtime.accel,
        cpus: record.spec.cpus,
        memory: record.spec.memory,
        backing: ready.backing.clone(),
        disk_size: ready.disk_size,
        nvram: Nvram { variables_size: variables_size(ready)?, ..ready.nvram.clone() },
        network: runtime.card.kind(),
    };
    let (closed, resolv_conf) = match &runtime.card {
        Card::User { closed, resolv_conf } => (Some(closed.clone()), resolv_conf.clone()),
        Card::None | Card::Bridge { .. } => (None, None),
    };
    let host = HostSide {
        disk_file,
        file_max: None,
        overhead: settings.qemu.overhead,
        cpu_quota: settings.qemu.cpu_quota,
        stop_grace: settings.session.stop_grace,
        closed,
        resolv_conf,
    };
    let mut vm = Vm { machine: record.spec.machine.clone(), shape, identity: Identity::of(&record.id), host };
    vm.host.file_max = record.disk_max().map(|most| file_limit(most, &vm.argv()));
    Ok(vm)
}

/// Return the size of the variables that the firmware begins with.
fn variables_size(ready: &Ready) -> Result<Option<Bytes>, Problem> {
    let Some(files) = ready.hardware.firmware().files() else { return Ok(None) };
    let file = ready.nvram.variables.as_deref().unwrap_or(Path::new(files.variables));
    let found = std::fs::metadata(file).map(|meta| Some(Bytes(meta.len())));
    found.map_err(|e| {
        let text = format!("The firmware of '{}' ({}) cannot be used: {e}.", ready.entry.name, file.display());
        Problem::new(Word::MachineUnusable, text)
    })
}
