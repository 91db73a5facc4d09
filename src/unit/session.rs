//! The unit of a session.

use super::sandbox::{only_calls, only_families, sandbox};
use super::{LIBEXEC, Properties, SESSIONS_DIR, command, micros};
use crate::model::{Bytes, Lifetime, MachineName, SessionId, UserName};
use crate::qemu::{Accel, DISK_PATH, Disk, Hardware, IMAGE_PATH, LAUNCHER_SOCKET, STOP_SOCKET, VARIABLES_PATH};
use std::net::IpAddr;
use std::path::PathBuf;
use zbus::zvariant::Value;

/// Memory of a trusted platform module's program.
const TPM: u64 = 32 << 20;

/// Everything a session's unit depends on.
#[derive(Clone, Debug)]
pub struct SessionPlan {
    /// Names the unit.
    pub id: SessionId,
    /// For the journal.
    pub owner: UserName,
    /// For the journal.
    pub machine: MachineName,
    /// QEMU's command line.
    pub argv: Vec<String>,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
    /// QEMU's own memory.
    pub overhead: Bytes,
    /// Percent of one CPU for each virtual CPU.
    pub cpu_quota: u32,
    /// Kernel or software.
    pub accel: Accel,
    /// What the guest finds.
    pub hardware: Hardware,
    /// Size of the firmware's variables, where it has any.
    pub variables: Option<Bytes>,
    /// The machine's file.
    pub disk: Disk,
    /// Size of the overlay.
    pub disk_size: Bytes,
    /// The overlay outside the unit, if it is not in its private `/var/tmp`.
    pub outside: Option<PathBuf>,
    /// The longest the unit may run; zero: no bound.
    pub runtime_max: Lifetime,
    /// Time for the guest to shut down.
    pub stop_grace: Lifetime,
    /// What the guest must not reach; `None`: no network at all.
    pub denied: Option<Vec<IpAddr>>,
    /// The file with the guests' name servers, bound as `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
}

/// The properties of `qwd-session-ID.service`.
pub fn session(plan: &SessionPlan) -> Properties {
    let mut all: Properties = vec![
        ("Description", format!("Desktop session {} ({})", plan.id, plan.machine).into()),
        ("Slice", "qwd-sessions.slice".into()),
        // READY=1 comes once the monitors' sockets listen, just before QEMU takes over.
        ("Type", "notify".into()),
        ("NotifyAccess", "main".into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("ExecStart", command(start_command(plan))),
        (
            "ExecStop",
            command(vec![
                format!("{LIBEXEC}/qwd-powerdown"),
                format!("{SESSIONS_DIR}/{}/{STOP_SOCKET}", plan.id),
                plan.stop_grace.0.to_string(),
            ]),
        ),
        ("OnSuccess", Value::from(vec![format!("qwd-ended@{}.service", plan.id)])),
        ("OnFailure", Value::from(vec![format!("qwd-failed@{}.service", plan.id)])),
        ("TimeoutStartUSec", micros(60)),
        ("TimeoutStopUSec", micros(plan.stop_grace.0 + 10)),
        ("RuntimeDirectory", Value::from(vec![format!("qemu-web-desktop/sessions/{}", plan.id)])),
        ("RuntimeDirectoryMode", 0o700_u32.into()),
        ("SyslogIdentifier", "qwd-session".into()),
        ("LogExtraFields", log_fields(plan)),
        ("StandardInput", "null".into()),
    ];
    if plan.runtime_max.0 != 0 {
        all.push(("RuntimeMaxUSec", micros(plan.runtime_max.0 + plan.stop_grace.0 + 60)));
    }
    all.extend(limits(plan));
    all.extend(sandbox());
    all.push(("SystemCallFilter", only_calls(&["@system-service", "seccomp"])));
    all.extend(files(plan));
    all.extend(network(plan));
    all
}

fn start_command(plan: &SessionPlan) -> Vec<String> {
    let runtime = format!("{SESSIONS_DIR}/{}", plan.id);
    let mut argv = vec![
        format!("{LIBEXEC}/qwd-session"),
        format!("--disk={DISK_PATH}"),
        format!("--disk-size={}", plan.disk_size.0),
        format!("--monitor={runtime}/{LAUNCHER_SOCKET}"),
        format!("--monitor={runtime}/{STOP_SOCKET}"),
    ];
    if let Some(size) = plan.variables {
        argv.push(format!("--variables={VARIABLES_PATH}"));
        argv.push(format!("--variables-size={}", size.0));
    }
    if plan.hardware.tpm {
        argv.push("--tpm".to_owned());
    }
    argv.push("--".to_owned());
    argv.extend(plan.argv.iter().cloned());
    argv
}

fn log_fields(plan: &SessionPlan) -> Value<'static> {
    let fields = [
        format!("QWD_SESSION={}", plan.id),
        format!("QWD_OWNER={}", plan.owner),
        format!("QWD_MACHINE={}", plan.machine),
    ];
    Value::from(fields.map(String::into_bytes).to_vec())
}

fn limits(plan: &SessionPlan) -> Properties {
    let jit = match plan.accel {
        Accel::Kvm => 0,
        Accel::Tcg(buffer) => buffer.0,
    };
    // The firmware's code is as large as its variables, or smaller.
    let firmware = plan.variables.map_or(0, |size| 2 * size.0);
    let tpm = if plan.hardware.tpm { TPM } else { 0 };
    let memory = plan.memory.0 + plan.hardware.video_memory().0 + firmware + tpm + jit + plan.overhead.0;
    let quota = u64::from(plan.cpus) * u64::from(plan.cpu_quota) * 10_000;
    vec![
        ("MemoryMax", memory.into()),
        ("MemorySwapMax", 0_u64.into()),
        ("CPUQuotaPerSecUSec", quota.into()),
        // A thread for each CPU, the main loop, RCU, and a pool for disk and clipboard work.
        ("TasksMax", (u64::from(plan.cpus) + 80).into()),
        ("LimitNOFILE", 4096_u64.into()),
        ("LimitMEMLOCK", 65_536_u64.into()),
        ("OOMPolicy", "kill".into()),
        ("OOMScoreAdjust", 500_i32.into()),
    ]
}

fn files(plan: &SessionPlan) -> Properties {
    let image = match &plan.disk {
        Disk::Image { path, .. } | Disk::Empty { cd: path } => path.display().to_string(),
    };
    let bind = |from: String, to: String| Value::from(vec![(from, to, false, 0_u64)]);
    let mut all: Properties = vec![("BindReadOnlyPaths", bind(image, IMAGE_PATH.to_owned()))];
    if let Some(outside) = &plan.outside {
        all.push(("BindPaths", bind(outside.display().to_string(), DISK_PATH.to_owned())));
    }
    if let Some(resolv) = &plan.resolv_conf {
        all.push(("BindReadOnlyPaths", bind(resolv.display().to_string(), "/etc/resolv.conf".to_owned())));
    }
    if plan.accel == Accel::Kvm {
        all.push(("DeviceAllow", Value::from(vec![("/dev/kvm".to_owned(), "rw".to_owned())])));
        all.push(("SupplementaryGroups", Value::from(vec!["kvm"])));
    }
    all
}

fn network(plan: &SessionPlan) -> Properties {
    let Some(denied) = &plan.denied else {
        return vec![
            ("PrivateNetwork", true.into()),
            ("RestrictAddressFamilies", only_families(&["AF_UNIX"])),
            ("IPAddressDeny", addresses(&everything())),
        ];
    };
    let mut all = vec![
        ("127.0.0.0".parse().expect("an address"), 8),
        ("::1".parse().expect("an address"), 128),
        ("169.254.0.0".parse().expect("an address"), 16),
        ("fe80::".parse().expect("an address"), 64),
        ("224.0.0.0".parse().expect("an address"), 4),
        ("ff00::".parse().expect("an address"), 8),
        // A connection to the unspecified address reaches the host itself.
        ("0.0.0.0".parse().expect("an address"), 32),
        ("::".parse().expect("an address"), 128),
    ];
    all.extend(denied.iter().map(|a| (*a, if a.is_ipv4() { 32 } else { 128 })));
    vec![
        ("RestrictAddressFamilies", only_families(&["AF_UNIX", "AF_INET", "AF_INET6"])),
        ("IPAddressDeny", addresses(&all)),
    ]
}

fn everything() -> Vec<(IpAddr, u32)> {
    vec![("0.0.0.0".parse().expect("an address"), 0), ("::".parse().expect("an address"), 0)]
}

fn addresses(list: &[(IpAddr, u32)]) -> Value<'static> {
    const AF_INET: i32 = 2;
    const AF_INET6: i32 = 10;
    let all: Vec<(i32, Vec<u8>, u32)> = list
        .iter()
        .map(|(address, bits)| match address {
            IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec(), *bits),
            IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec(), *bits),
        })
        .collect();
    Value::from(all)
}
