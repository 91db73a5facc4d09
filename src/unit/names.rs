//! Names of units and folders. Part of the contract.

use crate::model::{Problem, SessionId};

/// Records of sessions, root's alone.
pub const RECORDS_DIR: &str = "/run/qemu-web-desktop/records";
/// Notices of sessions that are over, root's alone.
pub const ENDED_DIR: &str = "/run/qemu-web-desktop/ended";
/// Each session's runtime directory is below, its user's alone.
pub const SESSIONS_DIR: &str = "/run/qemu-web-desktop/sessions";

/// Where our programs are.
pub const LIBEXEC: &str = "/usr/libexec/qemu-web-desktop";
/// The empty root of sandboxed units: mount points and links, made by tmpfiles.d.
pub(super) const ROOT_DIR: &str = "/run/qemu-web-desktop/root";

/// `qwd-session-ID.service`
pub fn session_unit(id: &SessionId) -> String {
    format!("qwd-session-{id}.service")
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

/// `qwd-expire@ID.N.timer`: the Nth timer of a session; it starts the service of the same name.
pub fn expiry_timer(id: &SessionId, generation: u32) -> String {
    format!("qwd-expire@{id}.{generation}.timer")
}

/// The session in an instance name `ID.N` of `qwd-expire@.service`.
pub fn session_of_timer(instance: &str) -> Result<SessionId, Problem> {
    instance.split('.').next().unwrap_or_default().parse()
}
