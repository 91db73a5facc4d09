//! The unit of a session.

use super::sandbox::{only_calls, only_families, sandbox};
use super::{LIBEXEC, Properties, SESSIONS_DIR, addresses, command, ending_units, everywhere, micros};
use crate::model::{Bytes, IpNetwork, Lifetime, MachineName, SessionId, UserName};
use crate::qemu::{
    Accel, DISK_PATH, Disk, Hardware, IMAGE_PATH, KEPT_VARIABLES_PATH, LAUNCHER_SOCKET, Nvram, OWN_VARIABLES_PATH,
    STOP_SOCKET, TPM_CREDENTIAL, TPM_DIR, VARIABLES_PATH,
};
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
    /// What the firmware remembers.
    pub nvram: Nvram,
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
    /// What QEMU must not reach; `None`: no network at all.
    pub closed: Option<Vec<IpNetwork>>,
    /// The file with the guest's name server, bound as `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
    /// The caller adds the descriptor of a network card as standard input.
    pub card: bool,
}

/// The properties of `qwd-session-ID.service`.
pub fn session(plan: &SessionPlan) -> Properties {
    let [ended, failed] = ending_units(&plan.id);
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
        ("OnSuccess", Value::from(vec![ended])),
        ("OnFailure", Value::from(vec![failed])),
        ("TimeoutStartUSec", micros(60)),
        ("TimeoutStopUSec", micros(plan.stop_grace.0 + 10)),
        ("RuntimeDirectory", Value::from(vec![format!("qemu-web-desktop/sessions/{}", plan.id)])),
        ("RuntimeDirectoryMode", 0o700_u32.into()),
        ("SyslogIdentifier", "qwd-session".into()),
        ("LogExtraFields", log_fields(plan)),
    ];
    if !plan.card {
        all.push(("StandardInput", "null".into()));
    }
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
        format!("--monitor={runtime}/{LAUNCHER_SOCKET}"),
        format!("--monitor={runtime}/{STOP_SOCKET}"),
    ];
    if plan.disk != Disk::Own {
        argv.splice(1..1, [format!("--disk={DISK_PATH}"), format!("--disk-size={}", plan.disk_size.0)]);
    }
    if let Some(size) = plan.variables.filter(|_| !plan.nvram.own) {
        argv.push(format!("--variables={VARIABLES_PATH}"));
        argv.push(format!("--variables-size={}", size.0));
    }
    if plan.hardware.tpm {
        argv.push("--tpm".to_owned());
    }
    if plan.card {
        argv.push("--card".to_owned());
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
    let bind = |from: String, to: String| Value::from(vec![(from, to, false, 0_u64)]);
    let image = plan.disk.image().map(|image| bind(image.display().to_string(), IMAGE_PATH.to_owned()));
    let mut all: Properties = image.into_iter().map(|bind| ("BindReadOnlyPaths", bind)).collect();
    if let Some(outside) = &plan.outside {
        all.push(("BindPaths", bind(outside.display().to_string(), DISK_PATH.to_owned())));
    }
    all.extend(nvram(&plan.nvram, bind));
    if let Some(resolv) = &plan.resolv_conf {
        all.push(("BindReadOnlyPaths", bind(resolv.display().to_string(), "/etc/resolv.conf".to_owned())));
    }
    if plan.accel == Accel::Kvm {
        all.push(("DeviceAllow", Value::from(vec![("/dev/kvm".to_owned(), "rw".to_owned())])));
        all.push(("SupplementaryGroups", Value::from(vec!["kvm"])));
    }
    all
}

fn nvram(nvram: &Nvram, bind: impl Fn(String, String) -> Value<'static>) -> Properties {
    let text = |path: &PathBuf| path.display().to_string();
    let Nvram { variables, tpm, own } = nvram;
    let (kind, place) =
        if *own { ("BindPaths", OWN_VARIABLES_PATH) } else { ("BindReadOnlyPaths", KEPT_VARIABLES_PATH) };
    let variables = variables.iter().map(|path| (kind, bind(text(path), place.to_owned())));
    // A secret that is root's: systemd hands it over.
    let credential = |path| Value::from(vec![(TPM_CREDENTIAL.to_owned(), text(path))]);
    let tpm = tpm.iter().map(|path| match own {
        true => ("BindPaths", bind(text(path), TPM_DIR.to_owned())),
        false => ("LoadCredential", credential(path)),
    });
    variables.chain(tpm).collect()
}

fn network(plan: &SessionPlan) -> Properties {
    let Some(closed) = &plan.closed else {
        // A card on a bridge is a descriptor, which needs no network of the process.
        return vec![
            ("PrivateNetwork", true.into()),
            ("RestrictAddressFamilies", only_families(&["AF_UNIX"])),
            ("IPAddressDeny", everywhere()),
        ];
    };
    vec![
        ("RestrictAddressFamilies", only_families(&["AF_UNIX", "AF_INET", "AF_INET6"])),
        ("IPAddressDeny", addresses(closed)),
    ]
}
