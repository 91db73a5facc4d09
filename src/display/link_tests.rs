//! The link on a bus of its own (`dbus-daemon`), with a launcher that can be ended and started.

use super::*;
use crate::bus::tests::{a_grant, a_viewer};
use crate::bus::{self, Viewer};
use crate::display::screens::{Place, Standing};
use crate::display::testing::session;
use crate::model::{Role, Word};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use zbus::message::Header;
use zbus::zvariant::serialized::Context;
use zbus::zvariant::{LE, OwnedValue, to_bytes};

/// Ends with the test.
struct Daemon {
    process: Child,
    folder: PathBuf,
}

impl Daemon {
    fn start(folder: PathBuf) -> Self {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let address = format!("--address=unix:path={}/bus", folder.display());
        let mut process = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address", &address])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        // It says its address when it listens.
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { process, folder }
    }

    fn address(&self) -> String {
        format!("unix:path={}/bus", self.folder.display())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Knows one ticket, and which rights have ended; passes on what it is told.
struct FakeLauncher {
    over: Vec<Right>,
    told: Sender<Vec<Viewer>>,
    callers: Arc<Mutex<Vec<String>>>,
}

#[zbus::interface(name = "org.qemuwebdesktop.Launcher1")]
impl FakeLauncher {
    fn redeem(
        &self,
        ticket: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(zbus::zvariant::OwnedFd, HashMap<String, OwnedValue>), Problem> {
        self.callers.lock().unwrap().push(header.sender().unwrap().to_string());
        let (ours, _) = std::os::unix::net::UnixStream::pair().unwrap();
        if ticket == "n".repeat(Secret::LEN) {
            return Ok((OwnedFd::from(ours).into(), HashMap::new()));
        }
        if ticket != "t".repeat(Secret::LEN) {
            return Err(Problem::new(Word::BadTicket, "This link or ticket is not valid any more."));
        }
        let grant = Grant { share: "1".to_owned(), ..a_grant(session("s").as_str()) };
        Ok((OwnedFd::from(ours).into(), fields(&grant)))
    }

    fn agent(&self, id: &str) -> bool {
        id == session("s").as_str()
    }

    fn report(&self, viewers: Vec<Viewer>) -> Vec<(String, String)> {
        self.told.send(viewers).unwrap();
        self.over.iter().map(|(session, share)| (session.to_string(), share.clone())).collect()
    }
}

/// A grant as a dictionary, which may also lack a key.
fn fields(grant: &Grant) -> HashMap<String, OwnedValue> {
    let bytes = to_bytes(Context::new_dbus(LE, 0), grant).unwrap();
    bytes.deserialize().unwrap().0
}

fn launcher(daemon: &Daemon, over: &[Right], told: &Sender<Vec<Viewer>>) -> (Connection, Arc<Mutex<Vec<String>>>) {
    let callers = Arc::new(Mutex::new(Vec::new()));
    let fake = FakeLauncher { over: over.to_vec(), told: told.clone(), callers: Arc::clone(&callers) };
    let connection = Builder::address(daemon.address().as_str())
        .and_then(|builder| builder.serve_at(bus::PATH, fake))
        .and_then(|builder| builder.name(bus::NAME))
        .and_then(Builder::build)
        .unwrap();
    (connection, callers)
}

fn is_revoked(place: &Place<'_>) -> bool {
    while !place.is_revoked() {
        place.answer_bell();
        let mut fds = [PollFd::new(&place, PollFlags::IN)];
        if !place.is_revoked() && poll(&mut fds, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).unwrap() == 0 {
            return false;
        }
    }
    true
}

fn right(share: &str) -> Right {
    (session("s"), share.to_owned())
}

fn viewer(share: &str) -> Viewer {
    Viewer { share: share.to_owned(), ..a_viewer(session("s").as_str()) }
}

/// Waits until exactly these shares have been reported.
fn hears(told: &Receiver<Vec<Viewer>>, shares: &[&str]) {
    let patience = Duration::from_secs(60);
    while told
        .recv_timeout(patience)
        .expect("the list is told")
        .iter()
        .map(|v| v.share.as_str())
        .ne(shares.iter().copied())
    {}
}

fn ticket(letter: &str) -> Secret {
    letter.repeat(Secret::LEN).parse().unwrap()
}

#[test]
fn the_link_survives_restarts_of_launcher_and_bus() {
    let folder = std::env::temp_dir().join(format!("qwd-display-link-{}", std::process::id()));
    let daemon = Daemon::start(folder.clone());
    let address = daemon.address();
    let screens: Arc<Screens> = Arc::default();
    let link = Arc::new(Link::new(move || Builder::address(address.as_str())));
    let (sender, reports) = channel();
    let (first, callers) = launcher(&daemon, &[], &sender);
    link.listen(&screens).unwrap();

    let (_, grant) = link.redeem(&ticket("t")).unwrap();
    assert_eq!((&grant.session, grant.role), (&session("s"), Role::View));
    assert_eq!((link.has_agent(&session("s")), link.has_agent(&session("t"))), (Ok(true), Ok(false)));
    assert_eq!(link.redeem(&ticket("u")).unwrap_err().word, Word::BadTicket);
    assert_eq!(link.redeem(&ticket("n")).unwrap_err().word, Word::Failed, "nobody's screen could not be closed");

    // A signal to the display alone. It may not be listening yet, so it is told until it hears.
    let place = screens.expect().enter(viewer("1"), Standing::Guest).unwrap();
    let display = callers.lock().unwrap()[0].clone();
    let soon = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let id = session("s");
    let revoked = (id.as_str(), "1");
    let told = (0..600).any(|_| {
        first.emit_signal(Some(display.as_str()), bus::PATH, bus::INTERFACE, "Revoked", &revoked).unwrap();
        poll(&mut [PollFd::new(&place, PollFlags::IN)], Some(&soon)).unwrap() == 1
    });
    assert!(told, "a revoked share rings");

    // Who comes and goes is told, all of it each time.
    let another = screens.expect().enter(viewer("9"), Standing::Guest).unwrap();
    hears(&reports, &["1", "9"]);
    drop((another, place));
    hears(&reports, &[]);

    // What was revoked while the launcher was away is learnt when it is back.
    let place = screens.expect().enter(viewer("2"), Standing::Guest).unwrap();
    hears(&reports, &["2"]);
    first.close().unwrap();
    let (second, _) = launcher(&daemon, &[right("2")], &sender);
    assert!(is_revoked(&place), "the rights are checked again when the launcher is back");

    // The same with the bus itself.
    let place = screens.expect().enter(viewer("3"), Standing::Guest).unwrap();
    hears(&reports, &["2", "3"]);
    drop(daemon);
    drop(second);
    assert_eq!(link.redeem(&ticket("t")).unwrap_err().word, Word::Unavailable);
    let daemon = Daemon::start(folder);
    let (_third, _) = launcher(&daemon, &[right("3")], &sender);
    assert!(is_revoked(&place), "the rights are checked again when the bus is back");
    assert_eq!(link.redeem(&ticket("t")).unwrap().1.share, "1");
}
