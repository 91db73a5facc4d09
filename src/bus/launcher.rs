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
    /// Admits and starts a session; returns once its QEMU has been started.
    fn create(&self, asker: Asker, wanted: NewSession) -> zbus::Result<Session>;
    /// The same for a session that writes to the disk which root's qwdctl has prepared for the machine.
    fn work(&self, asker: Asker, wanted: NewSession) -> zbus::Result<Session>;
    /// The asker's sessions; with `all`, and as administrator, everybody's.
    fn list(&self, asker: Asker, all: bool) -> zbus::Result<Vec<Session>>;
    /// The same, and those that have ended within the last day, the latest first.
    fn sessions(&self, asker: Asker, all: bool) -> zbus::Result<(Vec<Session>, Vec<Session>)>;
    /// One session, also one that ended a short while ago.
    fn get(&self, asker: Asker, id: &str) -> zbus::Result<Session>;
    /// Waits until the session is no longer in `state`, at most so many seconds.
    fn wait(&self, asker: Asker, id: &str, state: &str, seconds: u32) -> zbus::Result<Session>;
    /// Waits until the asker's list of sessions (with `all`, and as administrator, everybody's) no longer has this
    /// version, at most so many seconds. Returns the version that it has then.
    fn wait_list(&self, asker: Asker, all: bool, version: &str, seconds: u32) -> zbus::Result<String>;
    /// Asks the guest to shut down and ends the session; returns at once.
    fn stop(&self, asker: Asker, id: &str) -> zbus::Result<Session>;
    /// Ends the session at once, without asking its guest.
    fn kill(&self, asker: Asker, id: &str) -> zbus::Result<Session>;
    /// Stops every session of the service; administrators only. Returns how many.
    fn stop_all(&self, asker: Asker) -> zbus::Result<u32>;
    /// Moves the end so many seconds further away.
    fn extend(&self, asker: Asker, id: &str, seconds: u64) -> zbus::Result<Session>;
    /// Let a session's paused guest go on; with `disk_max`, it may write so many bytes from now on.
    fn resume(&self, asker: Asker, id: &str, disk_max: u64) -> zbus::Result<Session>;
    /// Makes a share link's right and secret.
    fn share(&self, asker: Asker, id: &str, wanted: NewShare) -> zbus::Result<(Share, String)>;
    /// Gives a browser's session to the browser that asks; the portal has checked its link.
    fn claim(&self, asker: Asker, id: &str) -> zbus::Result<Session>;
    /// The shares of a session.
    fn shares(&self, asker: Asker, id: &str) -> zbus::Result<Vec<Share>>;
    /// Takes a share back, and closes the screens that came from it.
    fn unshare(&self, asker: Asker, id: &str, share: &str) -> zbus::Result<()>;
    /// Who has the session on the screen.
    fn viewers(&self, asker: Asker, id: &str) -> zbus::Result<Vec<Viewer>>;
    /// A ticket for the asker's own session: good once, for 15 seconds.
    fn ticket(&self, asker: Asker, id: &str, role: &str) -> zbus::Result<String>;
    /// A ticket for the holder of a share link's secret; the asker's name may be empty.
    fn join(&self, asker: Asker, secret: &str) -> zbus::Result<Joined>;
    /// The same for a holder whose address the portal knows; empty: it does not. Tickets are bounded for each client.
    fn join_from(&self, asker: Asker, secret: &str, address: &str) -> zbus::Result<Joined>;
    /// The session that the holder of a share link's secret may see.
    fn look(&self, secret: &str) -> zbus::Result<Session>;
    /// Turns a ticket into one end of a stream that speaks RFB.
    fn redeem(&self, ticket: &str) -> zbus::Result<(OwnedFd, Grant)>;
    /// Everybody whom the calling display shows a screen. Answers with the (session, share) pairs
    /// whose screens must be closed. A launcher that is not there has nobody to tell.
    #[zbus(no_autostart)]
    fn report(&self, viewers: Vec<Viewer>) -> zbus::Result<Vec<(String, String)>>;
    /// Return whether a clipboard agent runs in the session's guest; for the display, which has it on a screen.
    fn agent(&self, session: &str) -> zbus::Result<bool>;
    /// What would be accepted from the asker now.
    fn offer(&self, asker: Asker) -> zbus::Result<Offer>;
    /// What the first page shows: what would be accepted, the machines and the asker's sessions.
    fn front(&self, asker: Asker) -> zbus::Result<(Offer, Vec<Machine>, Vec<Session>)>;
    /// The machines that the asker may use.
    fn machines(&self, asker: Asker) -> zbus::Result<Vec<Machine>>;
    /// Looks into a machine's image by an unprivileged process, and remembers what it found.
    fn examine(&self, name: &str) -> zbus::Result<Machine>;
    /// The service in figures.
    fn status(&self, asker: Asker) -> zbus::Result<Status>;
    /// The service in figures, and what each session uses; administrators only.
    fn monitor(&self, asker: Asker) -> zbus::Result<(Status, Vec<Usage>)>;
    /// Sums without names, for the portal and root.
    fn figures(&self) -> zbus::Result<Figures>;
    /// What is on a session's screen, as PPM in memory, for its owner; for administrators only where pictures are on.
    fn picture(&self, asker: Asker, id: &str) -> zbus::Result<OwnedFd>;
    /// Ends what is overdue and removes what was left behind; returns a sentence for each.
    fn sweep(&self) -> zbus::Result<Vec<String>>;
    /// To the display alone: close the screens of this share (empty: all) of this session.
    #[zbus(signal)]
    fn revoked(&self, session: &str, share: &str) -> zbus::Result<()>;
    /// To the display alone: this session is being stopped. Repeated whenever it reports a viewer of the session.
    #[zbus(signal)]
    fn ending(&self, session: &str) -> zbus::Result<()>;
    /// To the display alone: the guest of this session is paused for this reason; empty: it continues. Repeated whenever
    /// it reports a viewer of a session that runs.
    #[zbus(signal)]
    fn paused(&self, session: &str, reason: &str) -> zbus::Result<()>;
}
