//! The launcher and the bus may go and come back at any moment.

use super::{Browser, text};
use crate::portal::App;
use crate::portal::launcher::Launcher;
use crate::portal::testing::{Bench, a_session, launcher_on};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A bus of our own, until the value is dropped.
struct Daemon(Child);

impl Daemon {
    fn start(address: &str) -> Self {
        let mut child = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address", "--address", address])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        // It says its address when it listens.
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn on_bus(bench: Bench, address: &str) -> Bench {
    let to = address.to_owned();
    let launcher = Launcher::by(Arc::new(move || zbus::blocking::connection::Builder::address(to.as_str())?.build()));
    let root: &Path = bench.root.path();
    let app =
        App::new(root, &root.join("state"), launcher, crate::proxy_headers::testing::secret(), |now| now).unwrap();
    Bench { app, ..bench }
}

#[test]
fn the_launcher_and_the_bus_may_be_restarted() {
    let bench = Bench::new();
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let address = format!("unix:path={}", bench.root.path().join("bus").display());
    let bench = on_bus(bench, &address);
    let mut alice = Browser::of(&bench, "alice");
    let down = alice.get("/");
    assert_eq!(down.status, 503);
    assert!(text(&down).contains("The system bus could not be used"));

    let first_bus = Daemon::start(&address);
    let absent = alice.get("/");
    assert_eq!(absent.status, 503);
    assert!(text(&absent).contains("systemctl status qwd-launcher"));

    let launcher = launcher_on(&address, &bench.world).unwrap();
    assert_eq!(alice.get("/sessions/abcdefghjk").status, 200);
    launcher.close().unwrap();
    let launcher = launcher_on(&address, &bench.world).unwrap();
    assert_eq!(alice.get("/sessions/abcdefghjk").status, 200);

    drop((launcher, first_bus));
    assert_eq!(alice.get("/").status, 503);
    let _second_bus = Daemon::start(&address);
    let _launcher = launcher_on(&address, &bench.world).unwrap();
    assert_eq!(alice.get("/sessions/abcdefghjk").status, 200);
}
