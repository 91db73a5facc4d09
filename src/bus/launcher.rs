//! The launcher's methods, as a proxy for those who call it.

use super::figures::{Figures, Usage};
use super::types::{Asker, Grant, Joined, Machine, NewSession, NewShare, Offer, Session, Share, Status, Viewer};
use zbus::zvariant::OwnedFd;

/// Who may call what: root everything; the portal's user all but `Redeem`, `Report`, `Agent`, `Work`,
/// `Examine`, `Resume` and `Sweep`; the display's user `Redeem`, `Report` and `Agent` only; members of `qwd-users` what the portal
/// may, for sessions of their own.
#[zbus::proxy(
    interface = "org.qemuwebdesktop.Launcher1",
    default_service = "org.qemuwebdesktop.Launcher1",
    default_path = "/org/qemuwebdesktop/Launcher1"
)]
pub trait Launcher {
    /// Admit and start a session; return once QEMU has started.
    fn create(&self, asker: Asker, wanted: NewSession) -> zbus::Result<Session>;
    /// Do the same for a session that writes to the disk which root's qwdctl has prepared for the machine.
    fn work(&self, asker: Asker, wanted: NewSession) -> zbus::Result<Session>;
    /// Return the asker's sessions; with `all`, and as administrator, everybody's.
    fn list(&self, asker: Asker, all: bool) -> zbus::Result<Vec<Session>>;
    /// Return the same, and those that have ended within the last day, the latest first.
    fn sessions(&self, asker: Asker, all: bool) -> zbus::Result<(Vec<Session>, Vec<Session>)>;
    /// Return one session, also one that ended a short while ago.
    fn get(&self, asker: Asker, id: &str) -> zbus::Result<Session>;
    /// Wait until the session is no longer in `state`, at most `seconds`.
    fn wait(&self, asker: Asker, id: &str, state: &str, seconds: u32) -> zbus::Result<Session>;
    /// Wait until the asker's list of sessions (with `all`, and as administrator, everybody's) no longer has this
    /// version, at most `seconds`. Return the version that it has then.
    fn wait_list(&self, asker: Asker, all: bool, version: &str, seconds: u32) -> zbus::Result<String>;
    /// Ask the guest to shut down and end the session; return at once.
    fn stop(&self, asker: Asker, id: &str) -> zbus::Result<Session>;
    /// End the session at once, without asking its guest.
    fn kill(&self, asker: Asker, id: &str) -> zbus::Result<Session>;
    /// Stop every session of the service; administrators only. Return how many.
    fn stop_all(&self, asker: Asker) -> zbus::Result<u32>;
    /// Move the session's end later by `seconds`.
    fn extend(&self, asker: Asker, id: &str, seconds: u64) -> zbus::Result<Session>;
    /// Let a session's paused guest continue; with `disk_max`, it may write that number of bytes from now on.
    fn resume(&self, asker: Asker, id: &str, disk_max: u64) -> zbus::Result<Session>;
    /// Make a share link's right and secret.
    fn share(&self, asker: Asker, id: &str, wanted: NewShare) -> zbus::Result<(Share, String)>;
    /// Give a browser's session to the browser that asks; the portal has checked its link.
    fn claim(&self, asker: Asker, id: &str) -> zbus::Result<Session>;
    /// Return the shares of a session.
    fn shares(&self, asker: Asker, id: &str) -> zbus::Result<Vec<Share>>;
    /// Revoke a share, and close the screens that came from it.
    fn unshare(&self, asker: Asker, id: &str, share: &str) -> zbus::Result<()>;
    /// Return the session's viewers.
    fn viewers(&self, asker: Asker, id: &str) -> zbus::Result<Vec<Viewer>>;
    /// Make a ticket for the asker's own session: good once, for 15 seconds.
    fn ticket(&self, asker: Asker, id: &str, role: &str) -> zbus::Result<String>;
    /// Make a ticket for the holder of a share link's secret; the asker's name may be empty.
    fn join(&self, asker: Asker, secret: &str) -> zbus::Result<Joined>;
    /// Do the same for a holder whose address the portal knows; empty: it does not. Tickets are limited for each
    /// client.
    fn join_from(&self, asker: Asker, secret: &str, address: &str) -> zbus::Result<Joined>;
    /// Return the session that the holder of a share link's secret may see.
    fn look(&self, secret: &str) -> zbus::Result<Session>;
    /// Turn a ticket into one end of a stream that speaks RFB.
    fn redeem(&self, ticket: &str) -> zbus::Result<(OwnedFd, Grant)>;
    /// Report all viewers of the calling display. Return the (session, share) pairs whose screens must be closed. The
    /// call does not start a launcher: one that does not run has no use for the report.
    #[zbus(no_autostart)]
    fn report(&self, viewers: Vec<Viewer>) -> zbus::Result<Vec<(String, String)>>;
    /// Return whether a clipboard agent runs in the session's guest; for the display, which has it on a screen.
    fn agent(&self, session: &str) -> zbus::Result<bool>;
    /// Return the asker's headroom at this moment.
    fn offer(&self, asker: Asker) -> zbus::Result<Offer>;
    /// Return the contents of the home page: the asker's headroom, machines and sessions.
    fn front(&self, asker: Asker) -> zbus::Result<(Offer, Vec<Machine>, Vec<Session>)>;
    /// Return the machines that the asker may use.
    fn machines(&self, asker: Asker) -> zbus::Result<Vec<Machine>>;
    /// Examine a machine's image by an unprivileged process, and remember the result.
    fn examine(&self, name: &str) -> zbus::Result<Machine>;
    /// Return the service's figures.
    fn status(&self, asker: Asker) -> zbus::Result<Status>;
    /// Return the service's figures and the usage of each session; administrators only.
    fn monitor(&self, asker: Asker) -> zbus::Result<(Status, Vec<Usage>)>;
    /// Return sums without names, for the portal and root.
    fn figures(&self) -> zbus::Result<Figures>;
    /// Return a picture of a session's screen, as PPM in memory, for its owner; for administrators only where pictures
    /// are on.
    fn picture(&self, asker: Asker, id: &str) -> zbus::Result<OwnedFd>;
    /// End overdue sessions and remove leftovers; return a message for each.
    fn sweep(&self) -> zbus::Result<Vec<String>>;
    /// Have the display alone close the screens of this share (empty: all) of this session.
    #[zbus(signal)]
    fn revoked(&self, session: &str, share: &str) -> zbus::Result<()>;
    /// Notify the display alone that this session is being stopped. The launcher repeats it whenever the display
    /// reports a viewer of the session.
    #[zbus(signal)]
    fn ending(&self, session: &str) -> zbus::Result<()>;
    /// Notify the display alone that the guest of this session is paused for this reason; empty: it continues. The
    /// launcher repeats it whenever the display reports a viewer of a session that runs.
    #[zbus(signal)]
    fn paused(&self, session: &str, reason: &str) -> zbus::Result<()>;
}
