//! What every transient unit of ours must do without.

use super::{Properties, ROOT_DIR};
use zbus::zvariant::Value;

/// CLONE_NEW* flags that stay allowed: none.
const NO_NAMESPACES: u64 = 0;
const EPERM: i32 = 1;

/// The common sandbox: a dynamic user that sees little, and may do little.
/// `ProtectHome=` and `ProtectKernelTunables=` would hide what this root and this /proc do not have.
pub(crate) fn sandbox() -> Properties {
    let mut all: Properties = vec![
        ("DynamicUser", true.into()),
        ("UMask", 0o077_u32.into()),
        ("NoNewPrivileges", true.into()),
        ("CapabilityBoundingSet", 0_u64.into()),
        ("AmbientCapabilities", 0_u64.into()),
        ("PrivateTmp", true.into()),
        ("PrivateUsers", true.into()),
        ("ProtectSystem", "strict".into()),
        ("ProtectProc", "invisible".into()),
        ("ProcSubset", "pid".into()),
        ("ProtectClock", true.into()),
        ("ProtectHostname", true.into()),
        ("ProtectKernelModules", true.into()),
        ("ProtectKernelLogs", true.into()),
        ("ProtectControlGroups", true.into()),
        ("RestrictNamespaces", NO_NAMESPACES.into()),
        ("RestrictRealtime", true.into()),
        ("RestrictSUIDSGID", true.into()),
        ("LockPersonality", true.into()),
        ("SystemCallArchitectures", Value::from(vec!["native"])),
        // Refuse, do not kill: QEMU probes for calls it can do without.
        ("SystemCallErrorNumber", EPERM.into()),
        ("KeyringMode", "private".into()),
        ("RemoveIPC", true.into()),
        ("LimitCORE", 0_u64.into()),
        ("DevicePolicy", "closed".into()),
    ];
    all.extend(own_root());
    all
}

/// A root of its own, with nothing in it that is nobody's business. It also starts several times faster
/// than the host's root with parts hidden: systemd's work grows with each mount below it.
fn own_root() -> Properties {
    vec![
        ("RootDirectory", ROOT_DIR.into()),
        ("BindReadOnlyPaths", binds(&["/usr", "/etc/ld.so.cache", "/etc/alternatives"].map(String::from))),
    ]
}

/// Paths that may be missing, bound where they are.
pub(super) fn binds(paths: &[String]) -> Value<'static> {
    let all: Vec<(String, String, bool, u64)> = paths.iter().map(|p| (p.clone(), p.clone(), true, 0)).collect();
    Value::from(all)
}

/// A system call filter that allows these groups and nothing else.
pub(crate) fn only_calls(groups: &[&str]) -> Value<'static> {
    Value::from((true, groups.iter().map(|g| (*g).to_owned()).collect::<Vec<String>>()))
}

/// Takes these groups out of what the filter allows.
pub(super) fn no_calls(groups: &[&str]) -> Value<'static> {
    Value::from((false, groups.iter().map(|g| (*g).to_owned()).collect::<Vec<String>>()))
}

/// An allow list of socket families.
pub(crate) fn only_families(families: &[&str]) -> Value<'static> {
    only_calls(families)
}
