//! Watches what sessions write to disks, and pauses those that take the room the server needs.
//!
//! No event tells how much is free, so this looks: the sooner the nearer a bound is (`policy::next_look`), and only
//! while there are sessions. What to do is decided in `policy/disk.rs`.

use super::caller::Person;
use super::core::Core;
use super::table::{Entry, Table, find};
use super::viewers;
use crate::bus::Session;
use crate::config::DiskLimits;
use crate::config::Settings;
use crate::images::Kept;
use crate::model::{Bytes, Pause, Problem, SessionId, State, Word};
use crate::monitor::Monitor;
use crate::policy::{self, DiskAction, DiskUse, FileSystem, Standing};
use crate::session::{Asked, Record};
use crate::vm::DISK_NAME;
use crate::{host, unit};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat, fstat, open, openat, statat};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// A QEMU that takes longer to answer is looked at again later; and all of a look together.
const PATIENCE: Duration = Duration::from_secs(1);
const ALL_PATIENCE: Duration = Duration::from_secs(2);
/// A QEMU whose guest is paused still writes tables of its disk, up to so many bytes.
const SMALL_WRITES: u64 = 4 << 20;
/// A session has fewer bytes than this beside its disk.
const BESIDE_DISK: u64 = 2 << 30;
/// The longest wait for a change of the table.
const IDLE: Duration = Duration::from_secs(3600);
/// One line in the journal for a session and so long.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// What a session has beside its disk is a few files. A QEMU that was taken over may make more: this many are counted.
const FILES_MAX: usize = 4096;
const DEPTH_MAX: usize = 4;
/// How a folder is opened: no link is followed.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The folders with the private temporary files of units.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// What the sessions on each file system (by its device number) have written together, in bytes.
#[derive(Default)]
pub(super) struct Written(Mutex<HashMap<u64, u64>>);

impl Written {
    /// Return that of the file system of a folder, as it was at the last look.
    pub(super) fn beside(&self, folder: &Path) -> u64 {
        let Ok(device) = open_folder(folder).and_then(|folder| Ok(fstat(folder)?.st_dev)) else { return 0 };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&device).copied().unwrap_or(0)
    }

    fn set(&self, systems: &BTreeMap<u64, System>) {
        let sums = systems.iter().map(|(device, system)| (*device, system.uses.iter().map(|one| one.used).sum()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sums.collect();
    }
}

/// A file system, and the sessions that write to it.
struct System {
    figures: FileSystem,
    uses: Vec<DiskUse>,
}

/// What is known of a session from the looks before.
#[derive(Default)]
struct Seen {
    /// Bytes on each file system, by its device number.
    allocated: HashMap<u64, u64>,
    /// In how many looks in a row it was paused.
    paused_looks: u32,
    /// How often in a row its QEMU has not done what it was told.
    unanswered: u32,
    asked: Option<Instant>,
    told: Option<Instant>,
    /// Whether it was paused before this launcher began has been found out.
    is_known: bool,
}

/// What a session's files take on one file system, in bytes.
struct Measured {
    device: u64,
    figures: FileSystem,
    allocated: u64,
    /// Of its disk's file, if that is here.
    length: u64,
    /// There are more files than an honest QEMU makes.
    too_many: bool,
}

/// Watch from now on, in a thread of its own.
pub(super) fn start(core: Arc<Core>) -> Result<(), Problem> {
    let started = Builder::new().name("disks".to_owned()).spawn(move || {
        loop {
            if core.wait_for(IDLE, |table| (!table.is_empty()).then_some(())).is_some() {
                watch(&core);
            }
        }
    });
    started.map(drop).map_err(|e| Problem::failed(format!("The disks cannot be watched: no thread: {e}.")))
}

/// Look again and again until there is no session.
fn watch(core: &Core) {
    // A launcher that leaves would leave the disks unwatched.
    let _busy = core.idle.begin();
    let mut seen = HashMap::new();
    loop {
        let running = running(&core.table());
        let wait = look(core, &mut seen);
        core.wait_for(wait, |table| (running != self::running(table)).then_some(()));
        if core.table().is_empty() {
            return;
        }
    }
}

fn running(table: &Table) -> (usize, usize) {
    (table.len(), table.values().filter(|entry| entry.state().is_up()).count())
}

/// Look once and act; return how long the next look can wait.
fn look(core: &Core, seen: &mut HashMap<SessionId, Seen>) -> Duration {
    // Without settings, the defaults keep the host's file system from filling up.
    let limits = &core.loaded().map_or_else(|_| Settings::default().disks, |loaded| loaded.settings.disks.clone());
    let entries: Vec<(SessionId, Entry)> = core.table().iter().map(|(id, e)| (id.clone(), e.clone())).collect();
    seen.retain(|id, _| entries.iter().any(|(known, _)| known == id));
    let deadline = Instant::now() + ALL_PATIENCE;
    let mut systems = measure_all(core, &entries, seen, deadline);
    core.written.set(&systems);
    let mut wait = IDLE;
    for system in systems.values_mut() {
        ask_those_in_question(core, limits, system, seen, deadline);
        for (id, action) in policy::disk_actions(limits, system.figures, &system.uses) {
            let done = act(core, &id, action, deadline);
            if let Some(seen) = seen.get_mut(&id) {
                seen.unanswered = if done.is_ok() { 0 } else { seen.unanswered + 1 };
            }
            tell(core, seen, &id, action, done.is_ok());
        }
        wait = wait.min(policy::next_look(limits, system.figures, &system.uses));
    }
    wait
}

fn measure_all(
    core: &Core,
    entries: &[(SessionId, Entry)],
    seen: &mut HashMap<SessionId, Seen>,
    deadline: Instant,
) -> BTreeMap<u64, System> {
    let private = private_folders(core);
    let mut systems = BTreeMap::new();
    for (id, entry) in entries {
        let seen = seen.entry(id.clone()).or_default();
        seen.paused_looks = if entry.paused().is_some() { seen.paused_looks + 1 } else { 0 };
        // What an earlier launcher has paused is found out once, in this look or, where time runs out, in a later one.
        seen.is_known |= !entry.state().is_up();
        let standing = match left(deadline).filter(|_| !seen.is_known) {
            Some(left) => {
                seen.is_known = true;
                standing(core, id, left).unwrap_or(Standing::Runs)
            }
            None => assumed(entry),
        };
        for measured in measure(&entry.record, private.get(id)) {
            let one = disk_use(id, entry, seen, &measured, standing);
            let system = || System { figures: measured.figures, uses: Vec::new() };
            systems.entry(measured.device).or_insert_with(system).uses.push(one);
        }
    }
    systems
}

fn disk_use(id: &SessionId, entry: &Entry, seen: &mut Seen, measured: &Measured, standing: Standing) -> DiskUse {
    let before = seen.allocated.insert(measured.device, measured.allocated).unwrap_or(measured.allocated);
    let grown = measured.allocated.saturating_sub(before);
    let most = entry.record.disk_max().map(|most| most.0);
    // A second look, since what was under way when it was paused is still written.
    let writes_while_paused = seen.paused_looks >= 2 && grown > SMALL_WRITES;
    let too_much = most.is_some_and(|most| measured.allocated > most.saturating_add(BESIDE_DISK));
    DiskUse {
        id: id.clone(),
        used: if entry.record.persistent_disk().is_some() { 0 } else { measured.allocated },
        grown,
        length: measured.length,
        most: most.filter(|_| measured.length != 0).map(Bytes),
        standing,
        paused: entry.paused(),
        ending: entry.state() == State::Stopping,
        unanswered: seen.unanswered,
        taken_over: writes_while_paused || too_much || measured.too_many,
    }
}

/// How it stands as far as is known without asking.
fn assumed(entry: &Entry) -> Standing {
    if entry.paused().is_some() { Standing::Paused } else { Standing::Runs }
}

/// QEMU pauses its guest by itself where its disk takes no more. Those asked longest ago come first: a QEMU that does
/// not answer uses up the time of all.
fn ask_those_in_question(
    core: &Core,
    limits: &DiskLimits,
    system: &mut System,
    seen: &mut HashMap<SessionId, Seen>,
    deadline: Instant,
) {
    let short = policy::is_short(limits, system.figures, &system.uses);
    let in_question =
        |one: &&mut DiskUse| !one.ending && (one.paused.is_some() || one.is_full() || short && one.grown > 0);
    let mut uses: Vec<&mut DiskUse> = system.uses.iter_mut().filter(in_question).collect();
    uses.sort_by_key(|one| seen.get(&one.id).and_then(|seen| seen.asked));
    for one in uses {
        let Some(left) = left(deadline) else { return };
        if let Some(seen) = seen.get_mut(&one.id) {
            seen.asked = Some(Instant::now());
        }
        one.standing = standing(core, &one.id, left).unwrap_or(one.standing);
    }
}

/// What is left of the time for all, at most that for one.
fn left(deadline: Instant) -> Option<Duration> {
    let left = deadline.checked_duration_since(Instant::now())?;
    Some(left.min(PATIENCE)).filter(|left| !left.is_zero())
}

fn standing(core: &Core, id: &SessionId, patience: Duration) -> Result<Standing, Problem> {
    let status = core.talk(id, patience, Monitor::status)?;
    Ok(match status.as_str() {
        "paused" => Standing::Paused,
        "io-error" => Standing::DiskRefused,
        _ => Standing::Runs,
    })
}

fn act(core: &Core, id: &SessionId, action: DiskAction, deadline: Instant) -> Result<(), Problem> {
    let late = || Problem::new(Word::Unavailable, "There was no time left for it.");
    let paused = match action {
        DiskAction::Pause(pause) => {
            core.talk(id, left(deadline).ok_or_else(late)?, Monitor::pause)?;
            Some(pause)
        }
        DiskAction::Resume => {
            core.talk(id, left(deadline).ok_or_else(late)?, Monitor::resume)?;
            None
        }
        DiskAction::Clear => None,
        DiskAction::Kill => return kill(core, id),
    };
    let before = core.table().get_mut(id).map(|entry| {
        let before = entry.paused();
        entry.mark_paused(paused);
        before
    });
    if before.is_some_and(|before| before != paused) {
        viewers::signal_paused(core, id);
    }
    core.notify();
    Ok(())
}

/// Let a paused guest go on. With `disk_max`, root's qwdctl has raised the bound of its processes.
pub(super) fn resume(core: &Core, person: &Person, id: &SessionId, disk_max: u64) -> Result<Session, Problem> {
    let (state, paused, before) = {
        let mut table = core.table();
        let entry = find(&mut table, person, id)?;
        (entry.state(), entry.paused(), entry.record.disk_max().map_or(0, |most| most.0))
    };
    if !state.is_up() {
        return Err(Problem::new(Word::WrongState, "This session does not run."));
    }
    if disk_max != 0 && disk_max <= before {
        let text = format!("This session may write {} already: give it more than that.", Bytes(before));
        return Err(Problem::bad_request(text));
    }
    let goes_on = match paused {
        Some(Pause::DiskLimit) if disk_max == 0 => {
            let text = "This session has written as much as it may: '--disk-max SIZE' gives it more.";
            return Err(Problem::new(Word::WrongState, text));
        }
        Some(Pause::ServerDiskFull) => false,
        Some(_) => true,
        None if disk_max == 0 => return Err(Problem::new(Word::WrongState, "This session is not paused.")),
        None => false,
    };
    if disk_max != 0 {
        core.change_record(id, |record| {
            if let Some(run) = &mut record.run {
                run.disk_max = Some(Bytes(disk_max));
            }
            Ok(())
        })?;
    }
    if goes_on {
        act(core, id, DiskAction::Resume, Instant::now() + PATIENCE)?;
        let line = format!("Resumed session {id} at the request of {person}.");
        if core.lines.changes.admit(&person.owner.to_string(), "resume", &line) {
            log::info!(QWD_SESSION = id.as_str(); "{line}");
        }
    }
    core.get(person, id)
}

fn kill(core: &Core, id: &SessionId) -> Result<(), Problem> {
    let unit = unit::session_unit(id);
    if let Err(e) = core.store.ask(id, &Asked::DiskFull) {
        log::error!(QWD_SESSION = id.as_str(); "Why session {id} is killed cannot be written down: {e}.");
    }
    core.systemd.stop(&unit).and_then(|()| core.systemd.kill(&unit))
}

/// Say in the journal what was done, but not again and again. A session is killed once, so that is always said.
fn tell(core: &Core, seen: &mut HashMap<SessionId, Seen>, id: &SessionId, action: DiskAction, done: bool) {
    let Some(seen) = seen.get_mut(id) else { return };
    let is_final = done && action == DiskAction::Kill;
    if !is_final && seen.told.is_some_and(|at| at.elapsed() < LINE_EVERY) {
        return;
    }
    seen.told = Some(Instant::now());
    let session = core.table().get(id).map(Entry::session);
    let owner = session.map(|session| session.owner_shown()).unwrap_or_default();
    let (id, owner) = (id.as_str(), owner.as_str());
    match action {
        DiskAction::Pause(pause) if done => {
            let key = match pause {
                Pause::DiskLimit => format!("session.disk_max: 'qwdctl resume {id} --disk-max SIZE' gives it more"),
                Pause::ServerDiskFull => "paths.disk_pause_reserve, paths.disk_total_max".to_owned(),
                Pause::DiskError => format!("'qwdctl resume {id}' lets it continue"),
            };
            log::warn!(QWD_SESSION = id, QWD_OWNER = owner; "Session {id} of {owner} is paused. {} ({key}.)", pause.explain());
        }
        DiskAction::Pause(_) => {
            log::warn!(QWD_SESSION = id, QWD_OWNER = owner; "Session {id} of {owner} takes room that is needed, and cannot be paused: its QEMU does not answer.");
        }
        DiskAction::Kill if done => {
            log::warn!(QWD_SESSION = id, QWD_OWNER = owner; "Killed session {id} of {owner}: it takes room that the server needs, and cannot be paused.");
        }
        DiskAction::Kill => {
            log::error!(QWD_SESSION = id, QWD_OWNER = owner; "Session {id} of {owner} fills the server's disk and cannot be killed: 'systemctl kill -s KILL qwd-session-{id}'.");
        }
        DiskAction::Resume | DiskAction::Clear => {
            log::info!(QWD_SESSION = id, QWD_OWNER = owner; "Session {id} of {owner} is no longer paused.");
        }
    }
}

/// What the session's files take, by file system.
fn measure(record: &Record, private: Option<&Vec<PathBuf>>) -> Vec<Measured> {
    let mut all: Vec<Measured> = record.persistent_disk().and_then(measure_kept).into_iter().collect();
    for path in private.into_iter().flatten().map(PathBuf::as_path).chain(record.disk_directory()) {
        let Some(found) = measure_folder(path) else { continue };
        match all.iter_mut().find(|one| one.device == found.device) {
            Some(one) => {
                one.allocated += found.allocated;
                one.length = one.length.max(found.length);
                one.too_many |= found.too_many;
            }
            None => all.push(found),
        }
    }
    all
}

fn measure_folder(path: &Path) -> Option<Measured> {
    let folder = open_folder(path).ok()?;
    let device = fstat(&folder).ok()?.st_dev;
    let mut left = FILES_MAX;
    let (allocated, length) = sum(&folder, DEPTH_MAX, &mut left);
    Some(Measured { device, figures: figures(path)?, allocated, length, too_many: left == 0 })
}

fn measure_kept(folder: &Path) -> Option<Measured> {
    let disk = Kept::read(folder)?.disk();
    let name = disk.file_name()?;
    let folder = open_folder(disk.parent()?).ok()?;
    let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let (figures, length) = (figures(disk.parent()?)?, stat.st_size as u64);
    Some(Measured { device: stat.st_dev, figures, allocated: allocated(&stat), length, too_many: false })
}

fn figures(folder: &Path) -> Option<FileSystem> {
    host::file_system(folder).ok()
}

fn allocated(stat: &Stat) -> u64 {
    (stat.st_blocks as u64).saturating_mul(512)
}

fn open_folder(path: &Path) -> rustix::io::Result<OwnedFd> {
    open(path, FOLDER, Mode::empty())
}

/// Return what is allocated below a folder, and the length of the disk in it. No link is followed, and no more than
/// so many files are looked at.
fn sum(folder: &OwnedFd, depth: usize, left: &mut usize) -> (u64, u64) {
    let (mut bytes, mut length) = (0, 0);
    let Ok(entries) = Dir::read_from(folder.as_fd()) else { return (0, 0) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") || *left == 0 {
            continue;
        }
        *left -= 1;
        let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        bytes += allocated(&stat);
        if name.to_bytes() == DISK_NAME.as_bytes() {
            length = stat.st_size as u64;
        }
        let is_folder = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
        if is_folder && depth == 0 {
            // As deep as this, an honest QEMU has nothing.
            *left = 0;
        } else if is_folder {
            let Ok(below) = openat(folder, name, FOLDER, Mode::empty()) else { continue };
            bytes += sum(&below, depth - 1, left).0;
        }
    }
    (bytes, length)
}

/// The folders of the units' private temporary files. systemd makes them for root alone: what
/// others make by such a name is passed over.
fn private_folders(core: &Core) -> HashMap<SessionId, Vec<PathBuf>> {
    let mut found: HashMap<SessionId, Vec<PathBuf>> = HashMap::new();
    for temporary in TEMPORARY {
        let temporary = core.root.join(temporary.trim_start_matches('/'));
        let Ok(folder) = open_folder(&temporary) else { continue };
        let Ok(entries) = Dir::read_from(folder.as_fd()) else { continue };
        for entry in entries.flatten() {
            let Some((name, id)) = entry.file_name().to_str().ok().and_then(|n| Some((n, session_of(n)?))) else {
                continue;
            };
            let roots = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| stat.st_uid == rustix::process::getuid().as_raw() && stat.st_mode & 0o077 == 0);
            if roots {
                found.entry(id).or_default().push(temporary.join(name).join("tmp"));
            }
        }
    }
    found
}

/// The session of `systemd-private-BOOT-qwd-session-ID.service-RANDOM`.
fn session_of(name: &str) -> Option<SessionId> {
    let (_, rest) = name.strip_prefix("systemd-private-")?.split_once("-qwd-session-")?;
    rest.split_once(".service-")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_session_stands_in_the_folders_name() {
        let name = "systemd-private-0123456789abcdef-qwd-session-abcdefghij.service-Xy12zW";
        assert_eq!(session_of(name).unwrap().as_str(), "abcdefghij");
        for other in ["systemd-private-0-qwd-session-../../etc.service-x", "qwd-session-abcdefghij.service-x", "x"] {
            assert!(session_of(other).is_none(), "{other}");
        }
    }

    #[test]
    fn no_link_is_followed_and_all_files_count() {
        let root = std::env::temp_dir().join(format!("qwd-disks-{}", std::process::id()));
        fs::create_dir_all(root.join("a/deep")).unwrap();
        fs::write(root.join("a").join(DISK_NAME), vec![1; 100_000]).unwrap();
        fs::write(root.join("a/deep/other"), vec![1; 50_000]).unwrap();
        fs::write(root.join("far"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink("../far", root.join("a/link")).unwrap();
        let (bytes, length) = sum(&open_folder(&root.join("a")).unwrap(), DEPTH_MAX, &mut FILES_MAX.clone());
        assert_eq!(length, 100_000);
        assert!((150_000..400_000).contains(&bytes), "{bytes}");
        assert!(open_folder(&root.join("a/link")).is_err());
        fs::remove_dir_all(root).unwrap();
    }
}
