//! Names of units and folders. Part of the contract.

use crate::model::{Problem, SessionId};

/// What several programs share, below which each has its own.
pub const RUN_DIR: &str = "/run/qemu-web-desktop";
/// Records of sessions, root's alone.
pub const RECORDS_DIR: &str = "/run/qemu-web-desktop/records";
/// Records of sessions that outlive a boot, root's alone.
pub const SUSPENDED_DIR: &str = "/var/lib/qemu-web-desktop/sessions";
/// Notices of sessions that are over, root's alone.
pub const ENDED_DIR: &str = "/run/qemu-web-desktop/ended";
/// Each session has a directory below for its monitors' sockets, root's alone.
pub const SESSIONS_DIR: &str = "/run/qemu-web-desktop/sessions";

/// A machine's file inside a unit, so that programs there learn no path of the host.
pub const IMAGE_PATH: &str = "/run/image";
/// The disk that is written inside a unit.
pub const DISK_PATH: &str = "/var/tmp/disk.qcow2";

/// Where our programs are.
pub const LIBEXEC: &str = "/usr/libexec/qemu-web-desktop";
/// The empty root of sandboxed units: mount points and links, made by tmpfiles.d.
pub(super) const ROOT_DIR: &str = "/run/qemu-web-desktop/root";

/// `qwd-session-ID.service`
pub fn session_unit(id: &SessionId) -> String {
    format!("qwd-session-{id}.service")
}

/// The session of a unit `qwd-session-ID.service`.
pub fn parse_session_unit(name: &str) -> Option<SessionId> {
    name.strip_prefix("qwd-session-")?.strip_suffix(".service")?.parse().ok()
}

/// The dynamic user of a session's unit; systemd takes the name from the unit's.
pub fn session_user(id: &SessionId) -> String {
    format!("qwd-session-{id}")
}

/// The name, in the folder of the records, of the permit to start a session's unit. The unit starts only while it exists.
pub fn start_permit(id: &SessionId) -> String {
    format!("{id}.start")
}

/// The units that clear up after a session: the first after a good end, the other after a bad one.
pub fn ending_units(id: &SessionId) -> [String; 2] {
    ["ended", "failed"].map(|end| format!("qwd-{end}@{id}.service"))
}

/// `qwd-tap-ID.service`: makes the session's network card.
pub fn tap_unit(id: &SessionId) -> String {
    format!("qwd-tap-{id}.service")
}

/// The control group of all sessions together, below systemd's own.
pub const SESSIONS_GROUP: &str = "qwd.slice/qwd-sessions.slice";

/// The control group of a session's unit, below systemd's own.
pub fn session_group(id: &SessionId) -> String {
    format!("{SESSIONS_GROUP}/{}", session_unit(id))
}

/// `qwd-expire@ID.END.timer`: ends a session at `end`, in seconds since 1970; it starts the service of the same name.
pub fn expiry_timer(id: &SessionId, end: u64) -> String {
    format!("qwd-expire@{id}.{end}.timer")
}

/// The pattern of all timers of a session.
pub fn expiry_timers(id: &SessionId) -> String {
    format!("qwd-expire@{id}.*.timer")
}

/// The session and the end of a timer `qwd-expire@ID.END.timer`.
pub fn parse_timer_unit(name: &str) -> Option<(SessionId, u64)> {
    parse_timer(name.strip_prefix("qwd-expire@")?.strip_suffix(".timer")?).ok()
}

/// The session and the end in an instance name `ID.END` of `qwd-expire@.service`.
pub fn parse_timer(instance: &str) -> Result<(SessionId, u64), Problem> {
    let (id, end) = instance.split_once('.').unwrap_or((instance, ""));
    Ok((id.parse()?, end.parse().unwrap_or(0)))
}
