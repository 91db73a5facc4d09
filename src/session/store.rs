//! The records of sessions on disk, which root alone can read.
//!
//! A record lies in `/run/qemu-web-desktop/records` as `ID.json`, and in `/var/lib/qemu-web-desktop/sessions` while
//! its state outlives a boot. Beside it are marks (`marks.rs`); `sessions/ID` has the sockets of the monitors, and
//! `ended/ID.json` tells the owner for a day how the session ended.
//!
//! The launcher makes and changes records, and the units at a session's end remove them; a lock keeps a change from
//! restoring a record that was removed. A damaged file affects its own session alone, and a record that a newer version
//! wrote is kept as it is.

use super::file::{ids, parse_record, read, remove, write, write_record};
use super::{Notice, OnRecord, Record};
use crate::model::{SessionId, State};
use crate::monitor::sockets;
use crate::whole;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A program that has not finished a file after this time was killed.
const HALF_WRITTEN: Duration = Duration::from_secs(60);
/// A notice is kept for a day; this is longer, so that the sweep finds those first that it can read.
const NOTICE_MAX: Duration = Duration::from_secs(90_000);

/// The directories, below a root that tests may move.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) records: PathBuf,
    suspended: PathBuf,
    ended: PathBuf,
    sessions: PathBuf,
}

/// Held while records are changed or removed.
pub struct Lock {
    _directory: File,
}

impl Store {
    /// Return the store below `root` (`/`).
    pub fn new(root: &Path) -> Self {
        use crate::unit::{ENDED_DIR, RECORDS_DIR, SESSIONS_DIR, SUSPENDED_DIR};
        let below = |p: &str| root.join(p.trim_start_matches('/'));
        let [records, suspended, ended, sessions] = [RECORDS_DIR, SUSPENDED_DIR, ENDED_DIR, SESSIONS_DIR].map(below);
        Self { records, suspended, ended, sessions }
    }

    /// Return the directory of the records of sessions that a boot ends, for those who watch it.
    pub fn folder(&self) -> &Path {
        &self.records
    }

    /// Return the directory of all sessions' directories.
    pub fn sessions(&self) -> &Path {
        &self.sessions
    }

    /// Return the directory of the session's monitor sockets.
    pub fn sockets(&self, id: &SessionId) -> PathBuf {
        self.sessions.join(id.as_str())
    }

    /// Wait until nobody else changes records.
    pub fn lock(&self) -> io::Result<Lock> {
        let directory = File::open(&self.records)?;
        flock(&directory, FlockOperation::LockExclusive)?;
        Ok(Lock { _directory: directory })
    }

    /// Return where the record may lie, in the order in which it is looked for. There are two only if a program was
    /// killed between writing the one and removing the other. A session is recorded as suspended after it was saved and
    /// until it is restored, so that record is true as long as it exists.
    fn record_paths(&self, id: &SessionId) -> [PathBuf; 2] {
        [&self.suspended, &self.records].map(|directory| directory.join(format!("{id}.json")))
    }

    /// Return where the record of a session in this state lies.
    fn record_path(&self, id: &SessionId, state: State) -> PathBuf {
        let [suspended, records] = self.record_paths(id);
        if state.outlives_boot() { suspended } else { records }
    }

    fn notice_path(&self, id: &SessionId) -> PathBuf {
        self.ended.join(format!("{id}.json"))
    }

    /// Record a new session, and permit its unit to be started once. The record first: a permit without one is a stray.
    pub fn create(&self, id: &SessionId, record: &Record) -> io::Result<()> {
        self.write_record(id, record)?;
        let permitted = self.permit(id);
        if permitted.is_err() {
            let _ = self.remove_record(id);
        }
        permitted
    }

    /// Record a change, unless the session has ended meanwhile: then return `false`.
    pub fn update(&self, id: &SessionId, record: &Record) -> io::Result<bool> {
        let _lock = self.lock()?;
        match self.look_up(id)? {
            OnRecord::Missing => Ok(false),
            OnRecord::Newer => Err(io::Error::other("a newer version of qemu-web-desktop wrote it")),
            OnRecord::Damaged | OnRecord::Readable(_) => self.write_record(id, record).map(|()| true),
        }
    }

    /// Write the record where its state demands, and nowhere else.
    fn write_record(&self, id: &SessionId, record: &Record) -> io::Result<()> {
        let path = self.record_path(id, record.state());
        let how = if record.state().outlives_boot() { whole::PRIVATE.lasting() } else { whole::PRIVATE };
        write_record(&path, record, how)?;
        self.record_paths(id).iter().filter(|other| **other != path).try_for_each(|other| remove(other))
    }

    fn remove_record(&self, id: &SessionId) -> io::Result<()> {
        self.record_paths(id).iter().try_for_each(|path| remove(path))
    }

    /// Return the record of a session, if there is one that can be read.
    pub fn read(&self, id: &SessionId) -> Option<Record> {
        match self.look_up(id) {
            Ok(OnRecord::Readable(record)) => Some(*record),
            Ok(OnRecord::Missing | OnRecord::Newer) => None,
            Ok(OnRecord::Damaged) => {
                log::warn!("The record of session {id} is damaged.");
                None
            }
            Err(e) => {
                log::warn!("The record of session {id} cannot be read: {e}.");
                None
            }
        }
    }

    /// Read a session's record; an error says nothing about whether there is one, as when descriptors have run out.
    pub fn look_up(&self, id: &SessionId) -> io::Result<OnRecord> {
        let mut unreadable = None;
        for path in self.record_paths(id) {
            match fs::read(path) {
                Ok(text) => return Ok(parse_record(id, &text)),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                // What a boot ends does not depend on the disk.
                Err(e) => unreadable = Some(e),
            }
        }
        unreadable.map_or(Ok(OnRecord::Missing), Err)
    }

    /// Return the file of the session's record, if there is one.
    pub fn find_file(&self, id: &SessionId) -> Option<PathBuf> {
        self.record_paths(id).into_iter().find(|path| path.exists())
    }

    /// Return whether the session is recorded, by whatever version. If that cannot be found out, it is.
    pub fn exists(&self, id: &SessionId) -> bool {
        self.record_paths(id).iter().any(|path| path.try_exists().unwrap_or(true))
    }

    /// Return all sessions whose records can be read.
    pub fn all(&self) -> io::Result<Vec<(SessionId, Record)>> {
        Ok(self.ids()?.into_iter().filter_map(|id| self.read(&id).map(|r| (id, r))).collect())
    }

    /// Return the ids of all records, also of those that cannot be read.
    pub fn ids(&self) -> io::Result<Vec<SessionId>> {
        let mut all = ids(&self.records)?;
        match ids(&self.suspended) {
            Ok(suspended) => all.extend(suspended),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => log::warn!("The suspended sessions cannot be listed: {e}."),
        }
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// Forget a session, and remove its monitors' sockets, unless a newer version recorded it. One that is forgotten
    /// already is fine.
    pub fn remove(&self, _: &Lock, id: &SessionId) -> io::Result<()> {
        if matches!(self.look_up(id), Ok(OnRecord::Newer)) {
            return Ok(());
        }
        sockets::remove_all(&self.sockets(id))?;
        self.remove_marks(id)?;
        self.remove_record(id)
    }

    /// Remove marks of sessions that are not recorded, and files that a killed program had half written. Return a
    /// message for each.
    pub fn remove_strays(&self) -> Vec<String> {
        // All but records are made under the lock and where there is a record, or after it.
        let Ok(_lock) = self.lock() else { return Vec::new() };
        let directories = [&self.records, &self.suspended, &self.ended];
        let entries = directories.into_iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| self.is_stray(path))
            .map(|path| match remove(&path) {
                Ok(()) => format!("{} belonged to no session and was removed.", path.display()),
                Err(e) => format!("{} cannot be removed: {e}.", path.display()),
            })
            .collect()
    }

    fn is_stray(&self, path: &Path) -> bool {
        if whole::is_half_written(path) {
            return is_older(path, HALF_WRITTEN);
        }
        // A notice that cannot be read is not found by its age.
        let is_old_notice = path.starts_with(&self.ended) && is_older(path, NOTICE_MAX);
        is_old_notice || self.is_stray_mark(path)
    }

    /// Post how a session ended.
    pub fn post(&self, id: &SessionId, notice: &Notice) -> io::Result<()> {
        write(&self.notice_path(id), notice, whole::PRIVATE)
    }

    /// Return how a session ended, if that was within the last day.
    pub fn notice(&self, id: &SessionId) -> Option<Notice> {
        read(&self.notice_path(id))
    }

    /// Return all notices.
    pub fn notices(&self) -> Vec<(SessionId, Notice)> {
        ids(&self.ended).unwrap_or_default().into_iter().filter_map(|id| self.notice(&id).map(|n| (id, n))).collect()
    }

    /// Return when the notices were last changed.
    pub fn ended_changed(&self) -> Option<SystemTime> {
        self.ended.metadata().and_then(|directory| directory.modified()).ok()
    }

    /// Remove the notice of a session.
    pub fn remove_notice(&self, id: &SessionId) -> io::Result<()> {
        remove(&self.notice_path(id))
    }
}

fn is_older(path: &Path, age: Duration) -> bool {
    let written = fs::symlink_metadata(path).and_then(|facts| facts.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|passed| passed > age))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{record, store};
    use super::*;
    use crate::model::Owner;
    use crate::session::Asked;

    const ID: &str = "abcdefghij";

    fn by_bob() -> Asked {
        Asked::Person(Owner::browser(&"0a".repeat(32)).unwrap(), "Bob (not verified)".into())
    }

    #[test]
    fn a_session_that_a_boot_ends_does_not_depend_on_the_disk() {
        let (root, store) = store("disk");
        let id: SessionId = ID.parse().unwrap();
        // Neither readable nor writable, and no file is missing there: as after an error of the disk.
        let suspended = root.join(crate::unit::SUSPENDED_DIR.trim_start_matches('/'));
        fs::remove_dir(&suspended).unwrap();
        fs::write(&suspended, "").unwrap();
        let session = record(ID, "alice");
        store.create(&id, &session).unwrap();
        assert_eq!(store.update(&id, &Record { expires_at: 200, ..session }).ok(), Some(true));
        assert_eq!(store.read(&id).unwrap().expires_at, 200);
        assert_eq!(store.ids().unwrap(), std::slice::from_ref(&id));
        store.remove(&store.lock().unwrap(), &id).unwrap();
        assert_eq!(store.ids().unwrap(), []);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn an_old_notice_is_removed_although_it_cannot_be_read() {
        let (root, store) = store("old-notice");
        let (old, new) = (store.notice_path(&ID.parse().unwrap()), store.notice_path(&"bbbbbbbbbb".parse().unwrap()));
        fs::write(&old, "{}").unwrap();
        fs::write(&new, "{}").unwrap();
        let then = SystemTime::now() - Duration::from_secs(100_000);
        File::open(&old).unwrap().set_modified(then).unwrap();
        assert_eq!((store.remove_strays().len(), old.exists(), new.exists()), (1, false, true));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_is_written_reads_back_and_goes_whole() {
        let (root, store) = store("back");
        let id: SessionId = ID.parse().unwrap();
        store.create(&id, &record(ID, "alice")).unwrap();
        store.ask(&id, &Asked::Expiry).unwrap();
        store.ask(&id, &by_bob()).unwrap();
        assert_eq!(store.asked(&id), Asked::Expiry);
        let longer = Record { expires_at: 700, ..record(ID, "alice") };
        assert!(store.update(&id, &longer).unwrap());
        assert_eq!((store.exists(&id), store.read(&id).unwrap()), (true, longer));
        assert_eq!(store.mailed(&id), 0);
        let permit = store.folder().join(format!("{ID}.start"));
        assert!(permit.exists());
        store.spend_permit(&id).unwrap();
        store.spend_permit(&id).unwrap();
        assert!(!permit.exists());
        store.mail(&id, 100).unwrap();
        assert_eq!(store.mailed(&id), 100);
        assert_eq!(store.all().unwrap().len(), 1);
        store.remove(&store.lock().unwrap(), &id).unwrap();
        store.remove(&store.lock().unwrap(), &id).unwrap();
        assert!(!store.exists(&id));
        assert_eq!(fs::read_dir(store.folder()).unwrap().count(), 0);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn who_asks_first_is_who_asked() {
        let (root, store) = store("asked");
        let id: SessionId = ID.parse().unwrap();
        store.create(&id, &record(ID, "alice")).unwrap();
        store.ask(&id, &Asked::Nobody).unwrap();
        assert_eq!(store.asked(&id), Asked::Nobody);
        store.ask(&id, &by_bob()).unwrap();
        store.ask(&id, &Asked::Expiry).unwrap();
        assert_eq!(store.asked(&id), by_bob());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_change_does_not_bring_back_the_dead() {
        let (root, store) = store("dead");
        let id: SessionId = ID.parse().unwrap();
        assert!(!store.update(&id, &record(ID, "alice")).unwrap());
        store.ask(&id, &Asked::Expiry).unwrap();
        store.mail(&id, 100).unwrap();
        assert_eq!(fs::read_dir(store.folder()).unwrap().count(), 0);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_a_killed_program_left_is_removed_and_nothing_else() {
        let (root, store) = store("strays");
        let id: SessionId = ID.parse().unwrap();
        store.create(&id, &record(ID, "alice")).unwrap();
        store.ask(&id, &Asked::Expiry).unwrap();
        let old = SystemTime::now() - HALF_WRITTEN * 2;
        for name in ["bbbbbbbbbb.start", "bbbbbbbbbb.asked", "bbbbbbbbbb.mailed", ".abc.new", ".def.new", "stranger"] {
            let file = File::create(store.folder().join(name)).unwrap();
            if name != ".def.new" {
                file.set_modified(old).unwrap();
            }
        }
        assert_eq!(store.remove_strays().len(), 4);
        let mut left: Vec<_> = fs::read_dir(store.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".def.new", "abcdefghij.asked", "abcdefghij.json", "abcdefghij.start", "stranger"]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_damaged_record_harms_nobody_else() {
        let (root, store) = store("damaged");
        let id: SessionId = ID.parse().unwrap();
        store.create(&id, &record(ID, "alice")).unwrap();
        fs::write(store.folder().join("bbbbbbbbbb.json"), "{\"session\": 3").unwrap();
        fs::write(store.folder().join("stranger"), "").unwrap();
        assert_eq!(store.all().unwrap().len(), 1);
        assert_eq!(store.ids().unwrap().len(), 2);
        let looked_up = |id: &str| store.look_up(&id.parse().unwrap());
        assert!(matches!(looked_up(ID), Ok(OnRecord::Readable(_))));
        assert!(matches!(looked_up("bbbbbbbbbb"), Ok(OnRecord::Damaged)));
        assert!(matches!(looked_up("cccccccccc"), Ok(OnRecord::Missing)));
        fs::create_dir(store.folder().join("cccccccccc.json")).unwrap();
        assert!(looked_up("cccccccccc").is_err());
        fs::remove_dir_all(root).unwrap();
    }

    const NEWER: &str = r#"{"version": 2, "record": {"id": 7}, "seals": []}"#;

    #[test]
    fn a_record_of_a_newer_version_is_neither_changed_nor_removed() {
        let (root, store) = store("newer");
        let id: SessionId = ID.parse().unwrap();
        store.create(&id, &record(ID, "alice")).unwrap();
        let file = store.find_file(&id).unwrap();
        fs::write(&file, NEWER).unwrap();
        assert_eq!(store.look_up(&id).unwrap(), OnRecord::Newer);
        assert!(store.update(&id, &record(ID, "alice")).is_err());
        store.ask(&id, &Asked::Expiry).unwrap();
        store.remove(&store.lock().unwrap(), &id).unwrap();
        assert!(store.remove_strays().is_empty());
        assert_eq!((store.ids().unwrap(), store.exists(&id), store.read(&id)), (vec![id.clone()], true, None));
        assert_eq!(fs::read_to_string(file).unwrap(), NEWER);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn of_a_session_whose_move_was_interrupted_the_saved_state_counts() {
        let (root, store) = store("interrupted");
        let id: SessionId = ID.parse().unwrap();
        let running = record(ID, "alice");
        let suspended = running.clone().with_state(State::Suspended);
        store.create(&id, &suspended).unwrap();
        write_record(&store.folder().join(format!("{ID}.json")), &running, whole::PRIVATE).unwrap();
        assert_eq!((store.read(&id), store.ids().unwrap()), (Some(suspended), vec![id.clone()]));
        store.remove(&store.lock().unwrap(), &id).unwrap();
        assert!(!store.exists(&id));
        fs::remove_dir_all(root).unwrap();
    }
}
