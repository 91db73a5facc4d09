//! The unit of a session. A golden test holds its properties.

use super::Vm;
use super::device::monitors::STOP_SOCKET_PATH;
use crate::model::SessionId;
use crate::unit::{LIBEXEC, Properties, RECORDS_DIR, command, ending_units, micros, only_calls, sandbox, start_permit};
use zbus::zvariant::Value;

/// Return the properties of `qwd-session-ID.service`, without the channel.
pub(super) fn properties(vm: &Vm) -> Properties {
    let (id, grace) = (&vm.identity.id, vm.host.stop_grace.0);
    let [ended, failed] = ending_units(id);
    let mut all: Properties = vec![
        ("Description", format!("Desktop session {id} ({})", vm.machine).into()),
        ("Slice", "qwd-sessions.slice".into()),
        // READY=1 comes once the monitors' sockets listen, just before QEMU takes over.
        ("Type", "notify".into()),
        ("NotifyAccess", "main".into()),
        ("CollectMode", "inactive-or-failed".into()),
        // The session's settings come by the channel: the unit's properties reveal nothing of them.
        ("ExecStart", command(vec![format!("{LIBEXEC}/qwd-session")])),
        ("ExecStop", command(vec![format!("{LIBEXEC}/qwd-powerdown"), STOP_SOCKET_PATH.to_owned(), grace.to_string()])),
        ("OnSuccess", Value::from(vec![ended])),
        ("OnFailure", Value::from(vec![failed])),
        ("TimeoutStartUSec", micros(60)),
        ("TimeoutStopUSec", micros(grace + 10)),
        ("SyslogIdentifier", "qwd-session".into()),
        ("LogExtraFields", log_fields(vm)),
    ];
    all.extend(start_once(id));
    all.extend(limits(vm));
    all.extend(sandbox());
    all.push(("SystemCallFilter", only_calls(&["@system-service", "seccomp"])));
    all.extend(vm.shape.accel.properties());
    all.extend(vm.shape.hardware.devices().flat_map(|device| device.properties(vm)));
    all
}

/// Have systemd refuse a second start, as by `systemctl restart`: the session would run without a record. The launcher
/// removes the permit once the unit is up. The limit holds for as long as that takes; systemd 252 forgets it on reload.
fn start_once(id: &SessionId) -> Properties {
    let permit = format!("{RECORDS_DIR}/{}", start_permit(id));
    let (or, not) = (false, false);
    vec![
        ("Asserts", Value::from(vec![("AssertPathExists", or, not, permit)])),
        ("StartLimitIntervalUSec", u64::MAX.into()),
        ("StartLimitBurst", 1_u32.into()),
    ]
}

fn log_fields(vm: &Vm) -> Value<'static> {
    let fields = [format!("QWD_SESSION={}", vm.identity.id), format!("QWD_MACHINE={}", vm.machine)];
    Value::from(fields.map(String::into_bytes).to_vec())
}

fn limits(vm: &Vm) -> Properties {
    let (shape, host) = (&vm.shape, &vm.host);
    let devices: u64 = shape.hardware.devices().map(|device| device.memory(vm).0).sum();
    let memory = shape.memory.0 + devices + shape.accel.memory().0 + host.overhead.0;
    // QEMU ignores the signal, and pauses its guest on the error: see the disks' `werror=`.
    let file_max = host.file_max.map_or(u64::MAX, |most| most.0);
    let quota = u64::from(shape.cpus) * u64::from(host.cpu_quota) * 10_000;
    vec![
        ("MemoryMax", memory.into()),
        ("MemorySwapMax", 0_u64.into()),
        ("CPUQuotaPerSecUSec", quota.into()),
        // A thread for each CPU, the main loop, RCU, and a pool for disk and clipboard work.
        ("TasksMax", (u64::from(shape.cpus) + 80).into()),
        ("LimitNOFILE", 4096_u64.into()),
        ("LimitFSIZE", file_max.into()),
        ("LimitMEMLOCK", 65_536_u64.into()),
        ("OOMPolicy", "kill".into()),
        ("OOMScoreAdjust", 500_i32.into()),
    ]
}
