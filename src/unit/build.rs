//! The unit in which `qwdctl build` makes a machine of Debian's packages.

use super::sandbox::{only_calls, only_families, sandbox};
use super::{LIBEXEC, Properties, command, micros};
use std::path::Path;
use zbus::zvariant::Value;

/// Seconds that it may take with a slow archive: six hours.
const LONGEST: u64 = 6 * 3600;
/// Where the folder is in there.
const FOLDER: &str = "/var/build";

/// chown, dac_override, dac_read_search, fowner, fsetid, kill, setgid, setuid: what an installation does.
const INSTALL: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7;
/// sys_chroot, sys_admin: the scripts of packages run in the new root, with a /proc and a /dev of its own.
const CHROOT: u64 = 1 << 18 | 1 << 21;
/// setfcap: some programs of packages have capabilities.
const SETFCAP: u64 = 1 << 31;
/// CLONE_NEWNS, for those mounts.
const MOUNTS: u64 = 0x0002_0000;

/// What it must have, unlike all others.
const EXCEPTIONS: [&str; 10] = [
    // The files of a system belong to many users, and those who install them are root.
    "DynamicUser",
    "PrivateUsers",
    "CapabilityBoundingSet",
    "AmbientCapabilities",
    // Everybody reads most of them.
    "UMask",
    // sudo and its like: in a folder that nobody but root reaches.
    "RestrictSUIDSGID",
    // mmdebstrap mounts in a namespace of its own.
    "RestrictNamespaces",
    // The new root's /proc could not be mounted where parts of the only other one are hidden.
    "ProcSubset",
    "ProtectProc",
    // Set below, for apt.
    "BindReadOnlyPaths",
];

/// What of this server's configuration is read: how apt reaches the archive, and by which names.
const CONFIGURATION: [&str; 12] = [
    "/etc/apt",
    "/etc/ssl",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/mke2fs.conf",
    "/etc/ld.so.cache",
    "/etc/alternatives",
];

/// Runs `qwd-build` with those options on an empty folder of root's, with a pipe for its report as standard error.
pub fn build(folder: &Path, what: &[String]) -> Properties {
    let mut argv = vec![format!("{LIBEXEC}/qwd-build")];
    argv.extend_from_slice(what);
    argv.push(FOLDER.to_owned());
    let folder = vec![(folder.display().to_string(), FOLDER.to_owned(), false, 0_u64)];
    let mut all: Properties = vec![
        ("Description", "Building of a machine".into()),
        ("Slice", "qwd.slice".into()),
        ("Type", "oneshot".into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("ExecStart", command(argv)),
        ("TimeoutStartUSec", micros(LONGEST)),
        // Nothing of it is worth waiting for.
        ("TimeoutStopUSec", micros(10)),
        ("SyslogIdentifier", "qwd-build".into()),
        ("MemoryMax", (2_u64 << 30).into()),
        ("TasksMax", 512_u64.into()),
        // Sessions come first.
        ("Nice", 10_i32.into()),
        ("RestrictAddressFamilies", only_families(&["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"])),
        ("SystemCallFilter", only_calls(&["@system-service", "@mount"])),
        ("CapabilityBoundingSet", (INSTALL | CHROOT | SETFCAP).into()),
        ("RestrictNamespaces", MOUNTS.into()),
        ("UMask", 0o022_u32.into()),
        // Devices are lent to the new root from there, and none is made.
        ("PrivateDevices", true.into()),
        ("ProtectKernelTunables", true.into()),
        ("TemporaryFileSystem", tmpfs(&["/etc", "/var"])),
        (
            "BindReadOnlyPaths",
            super::sandbox::binds(&["/usr"].iter().chain(&CONFIGURATION).map(|p| (*p).to_owned()).collect::<Vec<_>>()),
        ),
        ("BindPaths", Value::from(folder)),
    ];
    all.extend(sandbox().into_iter().filter(|(name, _)| !EXCEPTIONS.contains(name)));
    all
}

/// Empty folders of its own.
fn tmpfs(paths: &[&str]) -> Value<'static> {
    Value::from(paths.iter().map(|path| ((*path).to_owned(), "mode=0755".to_owned())).collect::<Vec<_>>())
}
