//! Short-lived units that look at things on our behalf, without any privilege.

use super::names::{DISK_PATH, IMAGE_PATH};
use super::sandbox::{only_calls, only_families, sandbox};
use super::{LIBEXEC, Properties, command, micros};
use std::path::Path;
use zbus::zvariant::Value;

/// Seconds that the unpacking of the largest image may take on a slow disk: half a day.
const UNPACKING: u64 = 12 * 3600;
/// The same for making one of another, of any size: two days.
const CONVERSION: u64 = 48 * 3600;

/// Runs `qwd-inspect FILE`; its report goes to the standard output that the caller adds.
pub fn examination(image: &Path) -> Properties {
    let path = image.display().to_string();
    let mut all =
        helper(format!("Examination of {path}"), vec![format!("{LIBEXEC}/qwd-inspect"), IMAGE_PATH.to_owned()], 60);
    all.push(("BindReadOnlyPaths", Value::from(vec![(path, IMAGE_PATH.to_owned(), false, 0_u64)])));
    all
}

/// Runs `qwd-unpack` from the file on the standard input to the one on the standard output that the caller
/// adds, with a pipe for its report as standard error.
pub fn unpacking(most: u64, room: u64) -> Properties {
    let argv = vec![format!("{LIBEXEC}/qwd-unpack"), most.to_string(), room.to_string()];
    let mut all = helper("Unpacking of an image".to_owned(), argv, UNPACKING);
    // A second hand on it, whatever the program's own count says.
    all.push(("LimitFSIZE", most.saturating_add(1 << 20).into()));
    all
}

/// Runs `qwd-convert` from the file or disk on the standard input that the caller adds into the empty file
/// `to`, with a pipe for its report as standard error. `what` are its options.
pub fn conversion(to: &Path, room: u64, what: &[String]) -> Properties {
    let mut argv = vec![format!("{LIBEXEC}/qwd-convert"), format!("--room={room}")];
    argv.extend_from_slice(what);
    argv.push(DISK_PATH.to_owned());
    let mut all = helper("Making of an image".to_owned(), argv, CONVERSION);
    let bind = vec![(to.display().to_string(), DISK_PATH.to_owned(), false, 0_u64)];
    all.push(("BindPaths", Value::from(bind)));
    // qemu-img does not count, and the host must not run full.
    all.push(("LimitFSIZE", room.max(1 << 20).into()));
    all.push(("StandardOutput", "null".into()));
    all
}

/// Starts `program` under KVM, stopped before its first instruction, with monitor commands on the
/// standard input that the caller adds. It exits with 0 where KVM really works.
pub fn kvm_probe(program: &str, board: &str) -> Properties {
    let argv = [
        program,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        board,
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "16M",
        "-S",
        "-qmp",
        "stdio",
    ];
    let argv = argv.map(String::from).to_vec();
    let mut all = helper("Trial of KVM".to_owned(), argv, 20);
    all.push(("DeviceAllow", Value::from(vec![("/dev/kvm".to_owned(), "rw".to_owned())])));
    all.push(("SupplementaryGroups", Value::from(vec!["kvm"])));
    all.push(("StandardOutput", "null".into()));
    all
}

/// The trial of a machine type: a stopped QEMU without a guest, whose monitor is the socket that the caller adds as
/// standard input.
pub fn machine_probe(program: &str, machine_type: &str) -> Properties {
    let options = ["-nodefaults", "-no-user-config", "-display", "none", "-m", "16M", "-S"];
    // Both ways of the socket: systemd would send standard output to the journal.
    let monitor = ["-chardev", "socket,id=monitor,fd=0", "-mon", "chardev=monitor,mode=control"];
    let choices = ["-machine", machine_type, "-accel", "tcg", "-cpu", "max"];
    let argv = [program].into_iter().chain(options).chain(monitor).chain(choices).map(String::from).collect();
    helper(format!("Version of the machine type {machine_type}"), argv, 10)
}

fn helper(description: String, argv: Vec<String>, seconds: u64) -> Properties {
    let mut all: Properties = vec![
        ("Description", description.into()),
        ("Slice", "qwd.slice".into()),
        ("Type", "oneshot".into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("ExecStart", command(argv)),
        ("TimeoutStartUSec", micros(seconds)),
        ("MemoryMax", (512_u64 << 20).into()),
        ("TasksMax", 32_u64.into()),
        ("PrivateNetwork", true.into()),
        ("RestrictAddressFamilies", only_families(&["AF_UNIX"])),
        ("SystemCallFilter", only_calls(&["@system-service"])),
    ];
    all.extend(sandbox());
    all
}
