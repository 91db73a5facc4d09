//! The unit of a session.

use super::sandbox::{only_calls, only_families, sandbox};
use super::{
    LIBEXEC, Properties, RECORDS_DIR, SESSIONS_DIR, addresses, command, ending_units, everywhere, micros, start_permit,
};
use crate::model::{Bytes, IpNetwork, Lifetime, MachineName, SessionId};
use crate::qemu::{
    Accel, DISK_PATH, DescriptorKind, Disk, Hardware, IMAGE_PATH, KEPT_VARIABLES_PATH, Nvram, OWN_VARIABLES_PATH,
    Overlay, STOP_SOCKET, STOP_SOCKET_PATH, StartDocument, TPM_CREDENTIAL, TPM_DIR, VARIABLES_PATH,
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
    /// The largest file that it may write; `None`: no bound.
    pub file_max: Option<Bytes>,
    /// The overlay outside the unit, if it is not in its private `/var/tmp`.
    pub outside: Option<PathBuf>,
    /// Time for the guest to shut down.
    pub stop_grace: Lifetime,
    /// What QEMU must not reach; `None`: no network at all.
    pub closed: Option<Vec<IpNetwork>>,
    /// The file with the guest's name server, bound as `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
    /// The caller hands the descriptor of a network card over.
    pub card: bool,
}

/// The properties of `qwd-session-ID.service`, to which the caller adds the channel as standard input.
pub fn session(plan: &SessionPlan) -> Properties {
    let [ended, failed] = ending_units(&plan.id);
    let mut all: Properties = vec![
        ("Description", format!("Desktop session {} ({})", plan.id, plan.machine).into()),
        ("Slice", "qwd-sessions.slice".into()),
        // READY=1 comes once the monitors' sockets listen, just before QEMU takes over.
        ("Type", "notify".into()),
        ("NotifyAccess", "main".into()),
        ("CollectMode", "inactive-or-failed".into()),
        // What it does comes by the channel: whoever reads the unit's properties learns nothing of it.
        ("ExecStart", command(vec![format!("{LIBEXEC}/qwd-session")])),
        (
            "ExecStop",
            command(vec![
                format!("{LIBEXEC}/qwd-powerdown"),
                STOP_SOCKET_PATH.to_owned(),
                plan.stop_grace.0.to_string(),
            ]),
        ),
        ("OnSuccess", Value::from(vec![ended])),
        ("OnFailure", Value::from(vec![failed])),
        ("TimeoutStartUSec", micros(60)),
        ("TimeoutStopUSec", micros(plan.stop_grace.0 + 10)),
        ("SyslogIdentifier", "qwd-session".into()),
        ("LogExtraFields", log_fields(plan)),
    ];
    all.extend(start_once(&plan.id));
    all.extend(limits(plan));
    all.extend(sandbox());
    all.push(("SystemCallFilter", only_calls(&["@system-service", "seccomp"])));
    all.extend(files(plan));
    all.extend(network(plan));
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

/// What `qwd-session` is to do, and with which descriptors.
pub fn document(plan: &SessionPlan) -> StartDocument {
    let overlay = |path: &str, size: Bytes| Overlay { path: path.into(), size: size.0 };
    let disk = (plan.disk != Disk::Own).then(|| overlay(DISK_PATH, plan.disk_size));
    let variables = plan.variables.filter(|_| !plan.nvram.own).map(|size| overlay(VARIABLES_PATH, size));
    let card = plan.card.then_some(DescriptorKind::Card);
    StartDocument {
        overlays: disk.into_iter().chain(variables).collect(),
        tpm: plan.hardware.tpm,
        qemu: plan.argv.clone(),
        descriptors: [DescriptorKind::Monitor; 2].into_iter().chain(card).collect(),
    }
}

fn log_fields(plan: &SessionPlan) -> Value<'static> {
    let fields = [format!("QWD_SESSION={}", plan.id), format!("QWD_MACHINE={}", plan.machine)];
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
    // QEMU ignores the signal, and pauses its guest on the error: see the disks' `werror=`.
    let file_max = plan.file_max.map_or(u64::MAX, |most| most.0);
    let quota = u64::from(plan.cpus) * u64::from(plan.cpu_quota) * 10_000;
    vec![
        ("MemoryMax", memory.into()),
        ("MemorySwapMax", 0_u64.into()),
        ("CPUQuotaPerSecUSec", quota.into()),
        // A thread for each CPU, the main loop, RCU, and a pool for disk and clipboard work.
        ("TasksMax", (u64::from(plan.cpus) + 80).into()),
        ("LimitNOFILE", 4096_u64.into()),
        ("LimitFSIZE", file_max.into()),
        ("LimitMEMLOCK", 65_536_u64.into()),
        ("OOMPolicy", "kill".into()),
        ("OOMScoreAdjust", 500_i32.into()),
    ]
}

fn files(plan: &SessionPlan) -> Properties {
    let bind = |from: String, to: String| Value::from(vec![(from, to, false, 0_u64)]);
    // Made by the launcher, in a directory that the session's user cannot enter. Without it the end is less gentle.
    let stop = (format!("{SESSIONS_DIR}/{}/{STOP_SOCKET}", plan.id), STOP_SOCKET_PATH.to_owned(), true, 0_u64);
    let image = plan.disk.image().map(|image| bind(image.display().to_string(), IMAGE_PATH.to_owned()));
    let mut all: Properties = image.into_iter().map(|bind| ("BindReadOnlyPaths", bind)).collect();
    all.push(("BindReadOnlyPaths", Value::from(vec![stop])));
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
