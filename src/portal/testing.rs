//! What the portal's tests share: a folder of their own, and a launcher at the other end of a socket
//! pair that speaks the real interface.

use super::App;
use super::launcher::Launcher;
use crate::bus::tests::{a_share, a_viewer};
use crate::bus::{Asker, Figures, Joined, Machine, NewSession, NewShare, Offer, Session, Share, Status, Usage, Viewer};
use crate::model::{Acceleration, Bytes, Lifetime, Owner, Problem, Role, State, Word};
use crate::proxy_headers;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A folder that is removed with the value.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("qwd-portal-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file anew, as editors and package managers do.
    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let fresh = path.with_extension("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, path).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running session.
pub(super) fn a_session(id: &str, owner: &str) -> Session {
    Session {
        id: id.parse().unwrap(),
        owner: owner.into(),
        owner_id: Owner::recorded(&format!("pam:{owner}"), owner),
        machine: "Debian 12 (desktop).qcow2".parse().unwrap(),
        description: "Debian 12 with Xfce".into(),
        state: State::Running,
        message: String::new(),
        paused: None,
        booted: false,
        cpus: 1,
        memory: Bytes(1 << 30),
        created_at: 1_000_000,
        expires_at: 1_086_400,
        extendable_until: 1_345_600,
        accel: Some(Acceleration::Kvm),
        network: "user".into(),
        notes: Vec::new(),
    }
}

/// Secrets of the two links that exist, 43 times over: one to look, one to control.
pub(super) const VIEW: &str = "s";
pub(super) const CONTROL: &str = "c";

/// What the stand-in launcher knows.
#[derive(Default)]
pub(super) struct World {
    pub(super) sessions: Vec<Session>,
    pub(super) shares: Vec<Share>,
    pub(super) viewers: Vec<Viewer>,
    pub(super) machines: Vec<Machine>,
    /// Refuses the next creation or extension.
    pub(super) refusal: Option<Problem>,
    pub(super) created: Vec<(Asker, NewSession)>,
    /// What is accepted, of everybody.
    pub(super) offer: Offer,
    /// The administrators, by name.
    pub(super) admins: Vec<String>,
    /// How often the monitor was looked at, and pictures were taken.
    pub(super) readings: u64,
    /// How often somebody would have waited for another list.
    pub(super) waited: u32,
    pub(super) pictures: u32,
}

impl World {
    fn is_admin(&self, asker: &Asker) -> bool {
        self.admins.contains(&asker.name)
    }

    /// Tests give sessions by a name alone, or to one browser.
    fn is_of(session: &Session, asker: &Asker) -> bool {
        session.owner_id.to_string() == asker.owner || session.owner == asker.name
    }
}

struct Fake(Arc<Mutex<World>>);

impl Fake {
    fn find(&self, asker: &Asker, id: &str) -> Result<Session, Problem> {
        let world = self.0.lock().unwrap();
        let found =
            world.sessions.iter().find(|s| s.id.as_str() == id && (world.is_admin(asker) || World::is_of(s, asker)));
        found.cloned().ok_or_else(|| Problem::new(Word::NoSuchSession, "There is no such session."))
    }

    fn those(&self, asker: &Asker, all: bool, over: bool) -> Vec<Session> {
        let world = self.0.lock().unwrap();
        let theirs = world.sessions.iter().filter(|s| (all && world.is_admin(asker)) || World::is_of(s, asker));
        theirs.filter(|s| s.is_over() == over).cloned().collect()
    }

    fn change(&self, asker: &Asker, id: &str, change: impl Fn(&mut Session)) -> Result<Session, Problem> {
        self.find(asker, id)?;
        let mut world = self.0.lock().unwrap();
        let session = world.sessions.iter_mut().find(|s| s.id.as_str() == id).unwrap();
        change(session);
        Ok(session.clone())
    }
}

#[zbus::interface(name = "org.qemuwebdesktop.Launcher1")]
impl Fake {
    fn create(&self, asker: Asker, wanted: NewSession) -> Result<Session, Problem> {
        let mut world = self.0.lock().unwrap();
        if let Some(refusal) = world.refusal.take() {
            return Err(refusal);
        }
        world.created.push((asker.clone(), wanted.clone()));
        let machine = wanted.machine.parse()?;
        let session = Session { machine, state: State::Starting, ..a_session("newsessabc", &asker.name) };
        world.sessions.push(session.clone());
        Ok(session)
    }

    fn list(&self, asker: Asker, all: bool) -> Result<Vec<Session>, Problem> {
        Ok(self.those(&asker, all, false))
    }

    fn sessions(&self, asker: Asker, all: bool) -> Result<(Vec<Session>, Vec<Session>), Problem> {
        Ok((self.those(&asker, all, false), self.those(&asker, all, true)))
    }

    fn wait_list(&self, asker: Asker, all: bool, version: &str, seconds: u32) -> Result<String, Problem> {
        let states: Vec<_> =
            self.those(&asker, all, false).into_iter().map(|s| format!("{}{}", s.id, s.state)).collect();
        let now = format!("v{}", states.join("."));
        self.0.lock().unwrap().waited += u32::from(seconds > 0 && now == version);
        Ok(now)
    }

    fn get(&self, asker: Asker, id: &str) -> Result<Session, Problem> {
        self.find(&asker, id)
    }

    fn wait(&self, asker: Asker, id: &str, _state: &str, _seconds: u32) -> Result<Session, Problem> {
        self.find(&asker, id)
    }

    fn stop(&self, asker: Asker, id: &str) -> Result<Session, Problem> {
        self.change(&asker, id, |s| s.state = State::Stopping)
    }

    fn kill(&self, asker: Asker, id: &str) -> Result<Session, Problem> {
        self.change(&asker, id, |s| s.state = State::Ended)
    }

    fn claim(&self, asker: Asker, id: &str) -> Result<Session, Problem> {
        let mut world = self.0.lock().unwrap();
        let session = world.sessions.iter_mut().find(|s| s.id.as_str() == id);
        let session = session.ok_or_else(|| Problem::new(Word::NoSuchSession, "There is no such session."))?;
        session.owner_id = asker.owner.parse()?;
        Ok(session.clone())
    }

    fn extend(&self, asker: Asker, id: &str, seconds: u64) -> Result<Session, Problem> {
        if let Some(refusal) = self.0.lock().unwrap().refusal.take() {
            return Err(refusal);
        }
        self.change(&asker, id, |s| s.expires_at += seconds)
    }

    fn share(&self, asker: Asker, id: &str, wanted: NewShare) -> Result<(Share, String), Problem> {
        self.find(&asker, id)?;
        let NewShare { role, seconds, once } = wanted;
        let expires_at = if seconds == 0 { 0 } else { 1_000_000 + seconds };
        let share = Share { role: role.parse()?, created_at: 1_000_000, expires_at, once, ..a_share("share1") };
        self.0.lock().unwrap().shares.push(share.clone());
        Ok((share, "s".repeat(43)))
    }

    fn shares(&self, asker: Asker, id: &str) -> Result<Vec<Share>, Problem> {
        self.find(&asker, id)?;
        Ok(self.0.lock().unwrap().shares.clone())
    }

    fn unshare(&self, asker: Asker, id: &str, share: &str) -> Result<(), Problem> {
        self.find(&asker, id)?;
        self.0.lock().unwrap().shares.retain(|s| s.id != share);
        Ok(())
    }

    fn ticket(&self, asker: Asker, id: &str, _role: &str) -> Result<String, Problem> {
        self.find(&asker, id).map(|_| "t".repeat(43))
    }

    fn viewers(&self, asker: Asker, id: &str) -> Result<Vec<Viewer>, Problem> {
        self.find(&asker, id)?;
        Ok(self.0.lock().unwrap().viewers.clone())
    }

    fn join_from(&self, asker: Asker, secret: &str, _address: &str) -> Result<Joined, Problem> {
        let session = self.look(secret)?;
        let mut world = self.0.lock().unwrap();
        world.viewers.push(Viewer { name: asker.name, ..a_viewer(session.id.as_str()) });
        let role = if secret == CONTROL.repeat(43) { Role::Control } else { Role::View };
        Ok(Joined { session, role, ticket: "t".repeat(43), secret: "n".repeat(43) })
    }

    fn look(&self, secret: &str) -> Result<Session, Problem> {
        if secret != VIEW.repeat(43) && secret != CONTROL.repeat(43) {
            return Err(Problem::new(Word::BadTicket, "This link is not valid any more."));
        }
        Ok(a_session("abcdefghjk", "alice"))
    }

    fn offer(&self, _asker: Asker) -> Result<Offer, Problem> {
        Ok(self.0.lock().unwrap().offer.clone())
    }

    fn front(&self, asker: Asker) -> Result<(Offer, Vec<Machine>, Vec<Session>), Problem> {
        let sessions = self.those(&asker, false, false);
        let world = self.0.lock().unwrap();
        Ok((world.offer.clone(), world.machines.clone(), sessions))
    }

    fn monitor(&self, asker: Asker) -> Result<(Status, Vec<Usage>), Problem> {
        let mut world = self.0.lock().unwrap();
        if !world.is_admin(&asker) {
            return Err(Problem::new(Word::NotAllowed, "Only an administrator may see that."));
        }
        // Each reading is two seconds after the one before, in which half a CPU was busy.
        world.readings += 1;
        let usage = |session: &Session| Usage {
            session: session.clone(),
            read_at_microseconds: world.readings * 2_000_000,
            cpu_microseconds: world.readings * 1_000_000,
            memory_used: 200 << 20,
            memory_limit: 1 << 30,
            tasks: 5,
            viewers: 2,
        };
        let usages = world.sessions.iter().map(usage).collect();
        Ok((
            Status { sessions_max: 10, accel: Acceleration::Kvm, host_cpus: 2, load: 0.25, ..Status::default() },
            usages,
        ))
    }

    fn picture(&self, asker: Asker, id: &str) -> Result<zbus::zvariant::OwnedFd, Problem> {
        self.find(&asker, id)?;
        let mut world = self.0.lock().unwrap();
        world.pictures += 1;
        let path = std::env::temp_dir().join(format!("qwd-picture-{}-{}", std::process::id(), world.pictures));
        std::fs::write(&path, [b"P6\n2 1\n255\n".as_slice(), &[9; 6]].concat()).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        Ok(std::os::fd::OwnedFd::from(file).into())
    }

    fn figures(&self) -> Result<Figures, Problem> {
        Ok(Figures { running: 7, ..Figures::default() })
    }

    fn stop_all(&self, asker: Asker) -> Result<u32, Problem> {
        let mut world = self.0.lock().unwrap();
        if !world.is_admin(&asker) {
            return Err(Problem::new(Word::NotAllowed, "Only an administrator may do that."));
        }
        world.sessions.iter_mut().for_each(|s| s.state = State::Stopping);
        Ok(world.sessions.len() as u32)
    }

    fn machines(&self, _asker: Asker) -> Result<Vec<Machine>, Problem> {
        Ok(self.0.lock().unwrap().machines.clone())
    }

    fn status(&self, _asker: Asker) -> Result<Status, Problem> {
        Ok(Status { version: "1".into(), sessions_max: 10, ..Status::default() })
    }
}

/// A portal with its folder and the launcher's world. Every connection the portal makes is a new one.
pub(super) struct Bench {
    pub(super) root: Scratch,
    pub(super) world: Arc<Mutex<World>>,
    pub(super) app: App,
    pub(super) connections: Arc<Mutex<Vec<zbus::blocking::Connection>>>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let root = Scratch::new();
        let world = Arc::new(Mutex::new(World {
            machines: vec![
                a_machine("Debian 12 (desktop).qcow2", "Debian 12 with Xfce", ""),
                a_machine("slax.iso", "Slax, a small live system", ""),
                a_machine("win11.qcow2", "Windows 11", "Its image is missing: run 'sudo qwdctl download win11.qcow2'."),
            ],
            offer: Offer { sessions: 3, cpus: 4, memory: Bytes(8 << 30), ..Offer::default() },
            ..World::default()
        }));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (for_launcher, servers) = (Arc::clone(&world), Arc::clone(&connections));
        let launcher = Launcher::by(Arc::new(move || connect(&for_launcher, &servers)));
        let app =
            App::new(root.path(), &root.path().join("state"), launcher, proxy_headers::testing::secret(), |now| now)
                .unwrap();
        Self { root, world, app, connections }
    }
}

fn connect(
    world: &Arc<Mutex<World>>,
    servers: &Arc<Mutex<Vec<zbus::blocking::Connection>>>,
) -> zbus::Result<zbus::blocking::Connection> {
    use zbus::blocking::connection::Builder;
    let (ours, theirs) = UnixStream::pair()?;
    let fake = Fake(Arc::clone(world));
    let server = std::thread::spawn(move || {
        let guid = zbus::Guid::generate();
        Builder::unix_stream(theirs).server(guid)?.p2p().serve_at(crate::bus::PATH, fake)?.build()
    });
    let client = Builder::unix_stream(ours).p2p().build()?;
    servers.lock().unwrap().push(server.join().expect("the stand-in launcher starts")?);
    Ok(client)
}

/// The stand-in launcher on a bus, under its own name, until the connection is closed.
pub(super) fn launcher_on(address: &str, world: &Arc<Mutex<World>>) -> zbus::Result<zbus::blocking::Connection> {
    let fake = Fake(Arc::clone(world));
    zbus::blocking::connection::Builder::address(address)?
        .serve_at(crate::bus::PATH, fake)?
        .name(crate::bus::NAME)?
        .build()
}

fn a_machine(name: &str, description: &str, problem: &str) -> Machine {
    Machine {
        description: description.into(),
        problem: problem.into(),
        image_bytes: 3 << 29,
        cpus: 1,
        memory: Bytes(2 << 30),
        lifetime: Lifetime(86_400),
        icon: "/qemu-web-desktop/static/icon-desktop.svg".into(),
        ..crate::bus::tests::a_machine(name)
    }
}

/// A stand-in for the units behind one of the sockets, answering as it is told; it keeps what it was asked.
pub(super) struct Helper {
    pub(super) asked: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Helper {
    /// Listens below the root of a bench until the test is over.
    pub(super) fn listen(
        root: &Path,
        socket: &str,
        answer: impl Fn(&serde_json::Value) -> String + Send + 'static,
    ) -> Self {
        use std::io::{Read, Write};
        let path = root.join(socket.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut text) = (stream.unwrap(), String::new());
                stream.read_to_string(&mut text).unwrap();
                let question = serde_json::from_str(&text).unwrap();
                let answer = answer(&question);
                kept.lock().unwrap().push(question);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { asked }
    }

    /// Knows alice's password, which is "right", and nothing else.
    pub(super) fn of_alice(root: &Path, socket: &str) -> Self {
        Self::listen(root, socket, |question| {
            let right = question["user"] == "alice" && question["password"] == "right";
            let right = right || (question["user"] == "bob" && question["password"] == "bob's");
            let result = if right { "accept" } else { "refuse" };
            format!(r#"{{"result":"{result}","message":"wrong name or password"}}"#)
        })
    }

    pub(super) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}
