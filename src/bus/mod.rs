//! Our names and types on the system bus: the launcher's interface, as both sides see it.
//!
//! Every value that crosses is a closed, typed record; no argument list, path, unit name or unit
//! property ever does. What a request says stays text here and becomes a model type on arrival ([`Request`]), so that
//! a bad value is answered with our own error and not with a marshalling failure. In answers, the fields are model
//! types on both sides.

mod as_number;
mod as_text;
mod errors;
mod figures;
mod json;
mod launcher;
mod request;
mod types;

pub use errors::{asked_again, problem_of};
pub use figures::{Figures, Usage, seconds};
pub use launcher::{LauncherProxy, LauncherProxyBlocking};
pub use request::Request;
pub use types::*;

/// The launcher's well-known bus name.
pub const NAME: &str = "org.qemuwebdesktop.Launcher1";
/// The launcher's only object.
pub const PATH: &str = "/org/qemuwebdesktop/Launcher1";
/// The launcher's interface.
pub const INTERFACE: &str = "org.qemuwebdesktop.Launcher1";
/// What our error names begin with; the rest is the problem's word, as in `….Error.limit_reached`.
pub const ERROR_PREFIX: &str = "org.qemuwebdesktop.Error.";
/// The user the portal runs as.
pub const PORTAL_USER: &str = "_qemu-web-desktop";
/// The user the display runs as.
pub const DISPLAY_USER: &str = "_qwd-display";
/// The group whose members may run sessions of their own with `qwdctl`.
pub const USERS_GROUP: &str = "qwd-users";
/// Viewers by one share link.
pub const VIEWERS_OF_LINK: usize = 16;
/// Viewers by all links of one session. The places of owners and administrators are not among them.
pub const GUESTS_OF_SESSION: usize = 32;

#[cfg(test)]
pub(crate) mod tests;
