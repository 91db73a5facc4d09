//! A private bus, a launcher on it that does as the names of its machines say, and a way to run qwdctl.

use qwd::bus::{Asker, INTERFACE, Machine, NAME, NewSession, NewShare, PATH, Session, Share, Status, Usage, Viewer};
use qwd::model::{Acceleration, Bytes, Lifetime, Owner, Problem, Role, SessionId, State, Word};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::JoinHandle;
use zbus::blocking::connection::Builder;
use zbus::blocking::{Connection, MessageIterator};
use zbus::fdo::RequestNameFlags;
use zbus::message::Message;

/// A folder of its own for each test, gone when the test is over.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("qwdctl-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("etc/qemu-web-desktop")).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a run of qwdctl came to.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Outcome {
    pub(crate) fn of(command: &mut Command) -> Self {
        let done = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: done.status.code().unwrap(), out: text(done.stdout), err: text(done.stderr) }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }
}

/// The program under test. Images are examined by nobody, who must be able to reach `qwd-inspect` beside it.
pub(crate) fn qwdctl() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = std::env::temp_dir().join("qwdctl-under-test");
        fs::create_dir_all(&folder).unwrap();
        let new = folder.join(std::process::id().to_string());
        let put = |name: &str| fs::rename(&new, folder.join(name)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_qwd"), &new).unwrap();
        put("qwd");
        for name in ["qwdctl", "qwd-inspect", "qwd-unpack", "qwd-convert", "qwd-build"] {
            symlink("qwd", &new).unwrap();
            put(name);
        }
        folder.join("qwdctl")
    })
}

/// The bus, its launcher, and the files that qwdctl reads.
pub(crate) struct Bed {
    pub(crate) root: Folder,
    bus: Child,
    address: String,
    _launcher: Option<Connection>,
}

impl Bed {
    /// With a launcher.
    pub(crate) fn new() -> Self {
        let mut bed = Self::without_launcher();
        let launcher = bed.connection(|b| b.serve_at(PATH, Fake::default()));
        launcher.request_name_with_flags(NAME, RequestNameFlags::AllowReplacement.into()).unwrap();
        bed._launcher = Some(launcher);
        bed
    }

    fn connection(&self, with: impl FnOnce(Builder<'static>) -> zbus::Result<Builder<'static>>) -> Connection {
        Builder::address(self.address.as_str()).and_then(with).and_then(Builder::build).unwrap()
    }

    /// Puts another launcher before ours, which ends under the first call that it gets.
    pub(crate) fn launcher_about_to_end(&self) -> JoinHandle<()> {
        let dying = self.connection(Ok);
        let mut messages = MessageIterator::from(&dying);
        dying.request_name_with_flags(NAME, RequestNameFlags::ReplaceExisting.into()).unwrap();
        std::thread::spawn(move || {
            let ours = |message: &Message| message.header().interface().is_some_and(|name| name == INTERFACE);
            messages.find(|message| message.as_ref().is_ok_and(ours));
            dying.close().unwrap();
        })
    }

    /// With nobody on the bus.
    pub(crate) fn without_launcher() -> Self {
        let root = Folder::new();
        root.write("etc/qemu-web-desktop/config.toml", "public_url = \"https://desk.example\"\n");
        let listen = format!("--address=unix:dir={}", root.0.display());
        let mut bus = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address=1", &listen])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon (package dbus) runs");
        let mut address = String::new();
        BufReader::new(bus.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
        Self { root, bus, address: address.trim().to_owned(), _launcher: None }
    }

    /// Where its bus listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Runs qwdctl with a line of arguments.
    pub(crate) fn run(&self, line: &str) -> Outcome {
        let mut command = Command::new(qwdctl());
        command.arg("--root").arg(&self.root.0).args(line.split(' '));
        Outcome::of(command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address))
    }

    /// The same, which must succeed.
    pub(crate) fn good(&self, line: &str) -> Outcome {
        let outcome = self.run(line);
        assert_eq!(outcome.code, 0, "{line}: {}", outcome.err);
        outcome
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

/// A launcher that answers at once. A machine's name says what becomes of its session.
#[derive(Default)]
struct Fake {
    sessions: Mutex<Vec<Session>>,
    shares: Mutex<Vec<Share>>,
}

fn owner(asker: &Asker) -> Owner {
    if asker.owner.is_empty() { Owner::root() } else { Owner::recorded(&asker.owner, &asker.owner) }
}

impl Fake {
    fn find(&self, id: &str) -> Result<Session, Problem> {
        let all = self.sessions.lock().unwrap();
        all.iter()
            .find(|s| s.id.as_str() == id)
            .cloned()
            .ok_or_else(|| Problem::new(Word::NoSuchSession, "It is not there."))
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Session)) -> Result<Session, Problem> {
        let mut all = self.sessions.lock().unwrap();
        let session = all.iter_mut().find(|s| s.id.as_str() == id);
        let session = session.ok_or_else(|| Problem::new(Word::NoSuchSession, "It is not there."))?;
        change(session);
        Ok(session.clone())
    }
}

#[zbus::interface(name = "org.qemuwebdesktop.Launcher1")]
impl Fake {
    fn create(&self, asker: Asker, wanted: NewSession) -> Result<Session, Problem> {
        match wanted.machine.as_str() {
            "full.iso" if !wanted.force => return Err(Problem::new(Word::LimitReached, "All 10 places are taken.")),
            "ok.iso" | "bad.iso" | "full.iso" => {}
            _ => return Err(Problem::new(Word::NoSuchMachine, "There is no such machine.")),
        }
        let (owner, machine) = (owner(&asker), wanted.machine.parse()?);
        let mut all = self.sessions.lock().unwrap();
        let session = Session {
            id: SessionId::from_bytes([all.len() as u8; 10]),
            owner: owner.plain(),
            owner_id: owner,
            machine,
            description: String::new(),
            state: State::Starting,
            message: String::new(),
            paused: None,
            booted: false,
            cpus: wanted.cpus.max(1),
            memory: Bytes(if wanted.memory_bytes == 0 { 1 << 30 } else { wanted.memory_bytes }),
            created_at: 1_000,
            expires_at: wanted.lifetime_seconds,
            extendable_until: 0,
            accel: Some(Acceleration::Tcg),
            network: "user".into(),
            notes: vec!["It is emulated, hence slow.".into()],
        };
        all.push(session.clone());
        Ok(session)
    }

    fn wait(&self, _asker: Asker, id: &str, state: &str, _seconds: u32) -> Result<Session, Problem> {
        let session = self.find(id)?;
        match state {
            "starting" if session.machine.as_str() == "bad.iso" => self.change(id, |s| {
                s.state = State::Failed;
                s.message = "QEMU said: no room.".into();
            }),
            "starting" => self.change(id, |s| s.state = State::Running),
            "stopping" => {
                self.sessions.lock().unwrap().retain(|s| s.id.as_str() != id);
                Err(Problem::new(Word::NoSuchSession, "It is not there."))
            }
            _ => Ok(session),
        }
    }

    fn list(&self, asker: Asker, all: bool) -> Vec<Session> {
        let sessions = self.sessions.lock().unwrap();
        sessions.iter().filter(|s| all || s.owner_id == owner(&asker)).cloned().collect()
    }

    fn get(&self, _asker: Asker, id: &str) -> Result<Session, Problem> {
        self.find(id)
    }

    fn stop(&self, _asker: Asker, id: &str) -> Result<Session, Problem> {
        self.change(id, |s| s.state = State::Stopping)
    }

    fn stop_all(&self, _asker: Asker) -> u32 {
        let mut all = self.sessions.lock().unwrap();
        all.iter_mut().for_each(|s| s.state = State::Stopping);
        all.len() as u32
    }

    fn extend(&self, _asker: Asker, id: &str, seconds: u64) -> Result<Session, Problem> {
        self.change(id, |s| s.expires_at += seconds)
    }

    fn share(&self, _asker: Asker, id: &str, wanted: NewShare) -> Result<(Share, String), Problem> {
        self.find(id)?;
        let NewShare { role, seconds, once } = wanted;
        let share = Share {
            id: "share1".into(),
            role: role.parse()?,
            created_at: 1_000,
            expires_at: seconds,
            once,
            used_at: None,
            used_by: String::new(),
            used_by_id: None,
        };
        self.shares.lock().unwrap().push(share.clone());
        Ok((share, "s".repeat(43)))
    }

    fn shares(&self, _asker: Asker, id: &str) -> Result<Vec<Share>, Problem> {
        self.find(id)?;
        Ok(self.shares.lock().unwrap().clone())
    }

    fn unshare(&self, _asker: Asker, id: &str, share: &str) -> Result<(), Problem> {
        self.find(id)?;
        self.shares.lock().unwrap().retain(|s| s.id != share);
        Ok(())
    }

    fn viewers(&self, asker: Asker, id: &str) -> Result<Vec<Viewer>, Problem> {
        self.find(id)?;
        Ok(vec![Viewer {
            session: id.parse()?,
            share: String::new(),
            name: asker.name,
            name_id: None,
            role: Role::Control,
            address: None,
            since: 1_000,
        }])
    }

    fn machines(&self, _asker: Asker) -> Vec<Machine> {
        let machine = |name: &str, problem: &str, image_bytes| Machine {
            name: name.parse().unwrap(),
            description: "A machine".into(),
            problem: problem.into(),
            unfit: String::new(),
            image_bytes,
            icon: String::new(),
            cpus: 0,
            cpus_min: None,
            cpus_max: None,
            memory: Bytes(0),
            memory_min: None,
            memory_max: None,
            lifetime: Lifetime(0),
            architecture: None,
        };
        let big = Machine {
            cpus_min: Some(2),
            cpus_max: Some(4),
            memory_min: Some(Bytes(64 << 30)),
            unfit: "It needs 64 GiB.".into(),
            ..machine("big.iso", "", 1 << 20)
        };
        vec![
            machine("ok.iso", "", 5 << 20),
            machine("gone.iso", "The image is missing.", 0),
            machine("odd.iso", "The image is damaged.", 9),
            big,
        ]
    }

    fn examine(&self, name: &str) -> Result<Machine, Problem> {
        let found = self.machines(Asker::default()).into_iter().find(|m| m.name.as_str() == name);
        found.ok_or_else(|| Problem::new(Word::NoSuchMachine, "There is no such machine."))
    }

    /// Each session keeps half a CPU busy.
    fn monitor(&self, asker: Asker) -> Result<(Status, Vec<Usage>), Problem> {
        let read_at_microseconds = qwd::host::now_microseconds() & !1;
        let usage = |session: &Session| Usage {
            session: session.clone(),
            read_at_microseconds,
            cpu_microseconds: read_at_microseconds / 2,
            memory_used: 200 << 20,
            memory_limit: 1 << 30,
            tasks: 5,
            viewers: 1,
        };
        let usages: Vec<Usage> = self.sessions.lock().unwrap().iter().map(usage).collect();
        if usages.iter().any(|usage| usage.session.machine.as_str() == "full.iso") {
            return Err(Problem::new(Word::NotAllowed, "Only an administrator may see that."));
        }
        Ok((self.status(asker), usages))
    }

    fn status(&self, _asker: Asker) -> Status {
        Status {
            version: "1.2.3".into(),
            sessions: self.sessions.lock().unwrap().len() as u32,
            sessions_max: 10,
            host_cpus: 2,
            load: 0.25,
            memory_total: 8 << 30,
            memory_available: 4 << 30,
            accel: Acceleration::Tcg,
            network: "user".into(),
            config_problem: "config.toml:1: it is broken".into(),
            warnings: vec!["KVM does not work here.".into()],
            ..Status::default()
        }
    }
}
