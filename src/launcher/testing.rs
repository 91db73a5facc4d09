//! A launcher's core for tests, on a bus of its own (`dbus-daemon`) with a stand-in for systemd.

use super::caller::Person;
use super::core::Core;
use crate::config::Settings;
use crate::host;
use crate::model::{Owner, SessionId};
use crate::policy::Allowed;
use crate::session::{self, Record};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue};

/// The session of the tests.
pub(super) const ID: &str = "abcdefghij";

/// The units that the stand-in has, and how it behaves.
#[derive(Default)]
pub(super) struct Units {
    pub active: BTreeSet<String>,
    /// Those of them that are being stopped.
    pub stopping: BTreeSet<String>,
    /// Since when: systemd's monotonic time, in microseconds.
    pub stopping_since: u64,
    /// It starts and stops nothing.
    pub refuses: bool,
    /// It does not report the end of a job.
    pub silent: bool,
}

/// A stand-in for systemd's manager: its units start at once and stay until they are stopped.
struct FakeManager(Arc<Mutex<Units>>);

/// A row of `ListUnitsByPatterns`.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// Where each of its units is.
const UNIT_PATH: &str = "/org/freedesktop/systemd1/unit/any";

struct FakeUnit(Arc<Mutex<Units>>);

#[zbus::interface(name = "org.freedesktop.systemd1.Unit")]
impl FakeUnit {
    #[zbus(property)]
    fn state_change_timestamp_monotonic(&self) -> u64 {
        self.0.lock().unwrap().stopping_since
    }
}

struct FakeService;

#[zbus::interface(name = "org.freedesktop.systemd1.Service")]
impl FakeService {
    #[zbus(property, name = "TimeoutStopUSec")]
    fn timeout_stop(&self) -> u64 {
        40_000_000
    }
}

fn no_path() -> OwnedObjectPath {
    ObjectPath::from_static_str_unchecked("/").into()
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    UnitExists(String),
    NoSuchUnit(String),
    Refused(String),
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl FakeManager {
    async fn start_transient_unit(
        &self,
        name: String,
        mode: &str,
        _properties: Vec<(String, OwnedValue)>,
        auxiliary: Vec<(String, Vec<(String, OwnedValue)>)>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, Refusal> {
        // As long as systemd may take: callers that do not wait for each other meet here.
        blocking::unblock(|| std::thread::sleep(Duration::from_millis(20))).await;
        let silent = {
            let mut units = self.0.lock().unwrap();
            if units.refuses {
                return Err(Refusal::Refused("No.".into()));
            }
            if name.ends_with(".timer") && mode != "ignore-requirements" && auxiliary.is_empty() {
                return Err(Refusal::Refused("This would start the session.".into()));
            }
            for name in auxiliary.into_iter().map(|(name, _)| name).chain([name.clone()]) {
                if !units.active.insert(name.clone()) {
                    return Err(Refusal::UnitExists(format!("Unit {name} was already loaded.")));
                }
            }
            units.silent
        };
        if !silent {
            emitter.job_removed(1, no_path().into_inner(), &name, "done").await?;
        }
        Ok(no_path())
    }

    async fn stop_unit(
        &self,
        name: String,
        _mode: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, Refusal> {
        {
            let mut units = self.0.lock().unwrap();
            if units.refuses {
                return Err(Refusal::Refused("No.".into()));
            }
            if !units.active.remove(&name) {
                return Err(Refusal::NoSuchUnit(name));
            }
        }
        emitter.job_removed(1, no_path().into_inner(), &name, "done").await?;
        Ok(no_path())
    }

    fn get_unit(&self, name: String) -> Result<OwnedObjectPath, Refusal> {
        match self.0.lock().unwrap().active.contains(&name) {
            true => Ok(ObjectPath::from_static_str_unchecked(UNIT_PATH).into()),
            false => Err(Refusal::NoSuchUnit(name)),
        }
    }

    fn kill_unit(&self, name: String, _whom: &str, _signal: i32) -> Result<(), Refusal> {
        let mut units = self.0.lock().unwrap();
        if units.refuses {
            return Err(Refusal::Refused("No.".into()));
        }
        // One that is being stopped is gone then; for others, systemd's next word is not told here.
        if units.stopping.remove(&name) {
            units.active.remove(&name);
            return Ok(());
        }
        units.active.contains(&name).then_some(()).ok_or(Refusal::NoSuchUnit(name))
    }

    fn list_units_by_patterns(&self, _states: Vec<String>, patterns: Vec<String>) -> Vec<Row> {
        let fits = |unit: &String| {
            patterns
                .iter()
                .any(|p| p.split_once('*').map_or(p == unit, |(a, b)| unit.starts_with(a) && unit.ends_with(b)))
        };
        let word = |text: &str| text.to_owned();
        let units = self.0.lock().unwrap();
        let row = |unit: String| {
            let state = if units.stopping.contains(&unit) { "deactivating" } else { "active" };
            let description = word("Desktop session (grub.iso)");
            (unit, description, word("loaded"), word(state), word(""), word(""), no_path(), 0, word(""), no_path())
        };
        units.active.iter().filter(|u| fits(u)).cloned().map(row).collect()
    }

    #[zbus(property)]
    fn control_group(&self) -> String {
        String::new()
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: ObjectPath<'_>,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

/// A core with one session of alice's; all of it ends with the test.
pub(super) struct Bench {
    pub core: Arc<Core>,
    pub units: Arc<Mutex<Units>>,
    root: PathBuf,
    bus: Child,
    _systemd: Connection,
}

impl Bench {
    /// Starts one whose session's record is as `edit` makes it.
    pub(super) fn new(name: &str, edit: impl FnOnce(&mut Record)) -> Self {
        let (root, store) = session::testing::store(name);
        let mut record = session::testing::record(ID, "alice");
        edit(&mut record);
        store.create(&id(), &record).unwrap();
        let address = address(&root);
        let mut bus = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address", &format!("--address={address}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        // It prints its address when it listens.
        BufReader::new(bus.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        let units = Arc::<Mutex<Units>>::default();
        let systemd = Builder::address(address.as_str())
            .and_then(|b| b.serve_at("/org/freedesktop/systemd1", FakeManager(Arc::clone(&units))))
            .and_then(|b| b.serve_at(UNIT_PATH, FakeUnit(Arc::clone(&units))))
            .and_then(|b| b.serve_at(UNIT_PATH, FakeService))
            .and_then(|b| b.name("org.freedesktop.systemd1"))
            .and_then(Builder::build)
            .unwrap();
        let connection = Builder::address(address.as_str()).and_then(super::connect).unwrap();
        let core = Arc::new(Core::new(&root, &connection).unwrap());
        Self { core, units, root, bus, _systemd: systemd }
    }

    /// The address of the bus.
    pub(super) fn address(&self) -> String {
        address(&self.root)
    }

    /// The session's record as it is on disk.
    pub(super) fn written(&self) -> Record {
        self.core.store.read(&id()).unwrap()
    }

    /// The launcher as it is when it has begun anew.
    pub(super) fn begin_anew(&self) -> Arc<Core> {
        Arc::new(Core::new(&self.root, &self.core.connection).unwrap())
    }

    /// Have the stand-in run these units as well.
    pub(super) fn run_units<'u>(&self, names: impl IntoIterator<Item = &'u str>) {
        self.units.lock().unwrap().active.extend(names.into_iter().map(str::to_owned));
    }

    /// The units that the stand-in has.
    pub(super) fn running(&self) -> BTreeSet<String> {
        self.units.lock().unwrap().active.clone()
    }

    /// Have the stand-in be at stopping the unit since so many seconds ago; it allows 40.
    pub(super) fn let_stop_since(&self, unit: &str, seconds: u64) {
        let mut units = self.units.lock().unwrap();
        units.stopping.insert(unit.to_owned());
        let since = host::uptime().saturating_sub(Duration::from_secs(seconds));
        units.stopping_since = u64::try_from(since.as_micros()).unwrap();
    }

    /// Lets nothing be written, as on a full disk, while `work` runs.
    pub(super) fn without_room<T>(&self, work: impl FnOnce() -> T) -> T {
        let folder = self.core.store.folder();
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).unwrap();
        let done = work();
        fs::rename(&aside, folder).unwrap();
        done
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.bus.kill();
        let _ = self.bus.wait();
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn address(root: &Path) -> String {
    format!("unix:path={}/bus", root.display())
}

pub(super) fn id() -> SessionId {
    ID.parse().unwrap()
}

/// The session's owner.
pub(super) fn alice() -> Person {
    let owner: Owner = "pam:alice".parse().unwrap();
    let allowed = Allowed::of(&Settings::default(), &owner, &[]);
    Person { name: owner.plain(), owner, groups: Vec::new(), admin: false, root: false, allowed }
}
