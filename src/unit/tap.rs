//! The unit that makes the network card of a session that is on a bridge.

use super::sandbox::{no_calls, only_calls, only_families, sandbox};
use super::{LIBEXEC, Properties, command, everywhere, micros};
use crate::model::{BridgeName, SessionId};
use zbus::zvariant::Value;

const CAP_NET_ADMIN: u64 = 1 << 12;
/// What it must have, unlike all others: its one capability, in the host's own namespaces, where the
/// bridge is. So no PrivateNetwork=, either.
const EXCEPTIONS: [&str; 3] = ["CapabilityBoundingSet", "AmbientCapabilities", "PrivateUsers"];

/// The properties of `qwd-tap-ID.service`, to which the caller adds a socket as standard input. It ends
/// before the session begins.
pub fn tap(id: &SessionId, bridge: &BridgeName, isolated: bool) -> Properties {
    let mut argv = vec![format!("{LIBEXEC}/qwd-tap"), format!("--bridge={bridge}")];
    argv.extend(isolated.then(|| "--isolated".to_owned()));
    let mut all: Properties = vec![
        ("Description", format!("Network card of desktop session {id} on the bridge {bridge}").into()),
        ("Slice", "qwd.slice".into()),
        ("Type", "oneshot".into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("ExecStart", command(argv)),
        ("TimeoutStartUSec", micros(30)),
        ("SyslogIdentifier", "qwd-tap".into()),
        ("LogExtraFields", Value::from(vec![format!("QWD_SESSION={id}").into_bytes()])),
        ("MemoryMax", (64_u64 << 20).into()),
        ("TasksMax", 8_u64.into()),
        ("DeviceAllow", Value::from(vec![("/dev/net/tun".to_owned(), "rw".to_owned())])),
        // Bridges are changed by requests on such sockets; no packet is sent by them.
        ("RestrictAddressFamilies", only_families(&["AF_INET", "AF_NETLINK"])),
        ("IPAddressDeny", everywhere()),
        ("SystemCallFilter", only_calls(&["@system-service"])),
        ("SystemCallFilter", no_calls(&["@privileged", "@resources"])),
        ("ProtectKernelTunables", true.into()),
        ("MemoryDenyWriteExecute", true.into()),
    ];
    all.extend(sandbox().into_iter().filter(|(name, _)| !EXCEPTIONS.contains(name)));
    all.push(("CapabilityBoundingSet", CAP_NET_ADMIN.into()));
    all.push(("AmbientCapabilities", CAP_NET_ADMIN.into()));
    all
}
