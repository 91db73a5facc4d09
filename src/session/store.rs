//! What is written down about sessions, below `/run/qemu-web-desktop`, for root's eyes only.
//!
//! `records/ID.json` exists as long as the session does; `records/ID.asked` says who asked for its
//! end, and belongs to the first who did; `sessions/ID` has the sockets of its monitors; `records/ID.start` permits systemd to start its unit, until that is up; `records/ID.mailed` says for which end its owner has been
//! warned by mail; `ended/ID.json` tells the owner how it went, for a day.
//! The launcher makes and changes records, the units that run at a session's end remove them; a
//! lock keeps a change from bringing back what has just been removed. A damaged file harms nobody
//! but itself.

use super::Asked;
use crate::bus::Session;
use crate::model::{Owner, Role, SessionId, State, Word};
use crate::monitor::sockets;
use crate::whole;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A program that has not finished a file after this time was killed.
const HALF_WRITTEN: Duration = Duration::from_secs(60);

/// A right to obtain tickets, as it is kept: the secret only as its SHA-256.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShareRecord {
    /// Names it among the shares of its session.
    pub id: String,
    /// What its holder may do.
    pub role: Role,
    /// SHA-256 of the secret in hexadecimal.
    pub secret_sha256: String,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Seconds since 1970; zero: as long as the session.
    pub expires_at: u64,
    /// Good for one browser. (Records of the first version lack this and what follows.)
    #[serde(default)]
    pub once: bool,
    /// SHA-256 of the link's own secret, once a browser has used it up and has another.
    #[serde(default)]
    pub spent_sha256: Option<String>,
    /// When the first came by it, in seconds since 1970; zero: nobody yet.
    #[serde(default)]
    pub used_at: u64,
    /// The name of the first, as people read it; empty: somebody without one.
    #[serde(default)]
    pub used_by: String,
    /// The first as `PROOF:NAME`.
    #[serde(default)]
    pub used_by_id: String,
}

/// A session that exists.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What the owner may know.
    pub session: Session,
    /// Zero. Before timers had the end in their names, it counted them; either version reads the other's records.
    pub timer: u32,
    /// Its shares.
    pub shares: Vec<ShareRecord>,
    /// The folder of its disk, if that is not private to its unit.
    pub disk_folder: Option<PathBuf>,
    /// The folder of its disk, if that is to be kept (`images::Kept`).
    #[serde(default)]
    pub keeps: Option<PathBuf>,
    /// The most bytes that its disk may have; zero: no bound.
    #[serde(default)]
    pub disk_max: u64,
}

/// How a session ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// What the owner may know; `state` and `message` say how it ended.
    pub session: Session,
    /// Seconds since 1970.
    pub ended_at: u64,
    /// The kind of problem, where it was one.
    pub word: Option<String>,
}

impl Notice {
    /// The kind of problem, where it was one.
    pub fn word(&self) -> Option<Word> {
        Word::ALL.into_iter().find(|w| self.word.as_deref() == Some(w.as_str()))
    }
}

/// The folders, below a root that tests may move.
#[derive(Clone, Debug)]
pub struct Store {
    records: PathBuf,
    ended: PathBuf,
    sessions: PathBuf,
}

/// A session's record as it is on disk.
pub enum OnRecord {
    /// There is none.
    Missing,
    /// There is one that makes no sense.
    Damaged,
    /// There is a good one.
    Readable(Box<Record>),
}

/// Held while records are changed or removed.
pub struct Lock {
    _folder: File,
}

impl Store {
    /// The store below `root` (`/`).
    pub fn new(root: &Path) -> Self {
        let below = |p: &str| root.join(p.trim_start_matches('/'));
        let [records, ended, sessions] =
            [crate::unit::RECORDS_DIR, crate::unit::ENDED_DIR, crate::unit::SESSIONS_DIR].map(below);
        Self { records, ended, sessions }
    }

    /// The folder of the records, for those who watch it.
    pub fn folder(&self) -> &Path {
        &self.records
    }

    /// The directory of all sessions' directories.
    pub fn sessions(&self) -> &Path {
        &self.sessions
    }

    /// The directory of the session's monitor sockets.
    pub fn sockets(&self, id: &SessionId) -> PathBuf {
        self.sessions.join(id.as_str())
    }

    /// Waits for its turn.
    pub fn lock(&self) -> io::Result<Lock> {
        let folder = File::open(&self.records)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        Ok(Lock { _folder: folder })
    }

    fn record_path(&self, id: &SessionId) -> PathBuf {
        self.records.join(format!("{id}.json"))
    }

    fn asked_path(&self, id: &SessionId) -> PathBuf {
        self.records.join(format!("{id}.asked"))
    }

    fn permit_path(&self, id: &SessionId) -> PathBuf {
        self.records.join(crate::unit::start_permit(id))
    }

    fn mailed_path(&self, id: &SessionId) -> PathBuf {
        self.records.join(format!("{id}.mailed"))
    }

    fn notice_path(&self, id: &SessionId) -> PathBuf {
        self.ended.join(format!("{id}.json"))
    }

    /// Write a new session down, and that its unit may be started once. The record first: what has none is a stray.
    pub fn create(&self, id: &SessionId, record: &Record) -> io::Result<()> {
        write(&self.record_path(id), record)?;
        let permitted = File::create(self.permit_path(id));
        if permitted.is_err() {
            let _ = remove(&self.record_path(id));
        }
        permitted.map(drop)
    }

    /// Remove the permit to start the session's unit. One that is removed already is fine.
    pub fn spend_permit(&self, id: &SessionId) -> io::Result<()> {
        remove(&self.permit_path(id))
    }

    /// Writes a change down, unless the session has ended meanwhile: then `false`.
    pub fn update(&self, id: &SessionId, record: &Record) -> io::Result<bool> {
        let _lock = self.lock()?;
        let path = self.record_path(id);
        if !path.exists() {
            return Ok(false);
        }
        write(&path, record).map(|()| true)
    }

    /// The record of a session, if there is one that can be read.
    pub fn read(&self, id: &SessionId) -> Option<Record> {
        read(&self.record_path(id))
    }

    /// Read a session's record; an error says nothing about whether there is one, as when descriptors have run out.
    pub fn look_up(&self, id: &SessionId) -> io::Result<OnRecord> {
        match fs::read(self.record_path(id)) {
            Ok(text) => {
                Ok(serde_json::from_slice(&text)
                    .map_or(OnRecord::Damaged, |record| OnRecord::Readable(Box::new(record))))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(OnRecord::Missing),
            Err(e) => Err(e),
        }
    }

    /// Return whether the session is written down. If that cannot be found out, it is.
    pub fn exists(&self, id: &SessionId) -> bool {
        self.record_path(id).try_exists().unwrap_or(true)
    }

    /// All sessions written down.
    pub fn all(&self) -> io::Result<Vec<(SessionId, Record)>> {
        Ok(self.ids()?.into_iter().filter_map(|id| self.read(&id).map(|r| (id, r))).collect())
    }

    /// The ids of all records, also of damaged ones.
    pub fn ids(&self) -> io::Result<Vec<SessionId>> {
        ids(&self.records)
    }

    /// Forgets a session, and removes its monitors' sockets; one that is forgotten already is fine.
    pub fn remove(&self, _: &Lock, id: &SessionId) -> io::Result<()> {
        sockets::remove_all(&self.sockets(id))?;
        remove(&self.permit_path(id))?;
        remove(&self.asked_path(id))?;
        remove(&self.mailed_path(id))?;
        remove(&self.record_path(id))
    }

    /// Remove what is left of sessions that are off the record, and files that a killed program had half written. Return
    /// a sentence for each.
    pub fn remove_strays(&self) -> Vec<String> {
        // All but records are made under the lock and where there is a record, or after it.
        let Ok(_lock) = self.lock() else { return Vec::new() };
        let paths = [&self.records, &self.ended].into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        paths
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
        let Some((id, mark)) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.split_once('.')) else {
            return false;
        };
        let is_mark = matches!(mark, "start" | "asked" | "mailed");
        is_mark && id.parse().is_ok_and(|id: SessionId| !self.exists(&id))
    }

    /// Writes down who asked for the end, unless somebody did before.
    pub fn ask(&self, id: &SessionId, asked: &Asked) -> io::Result<()> {
        let text = match asked {
            Asked::Nobody => return Ok(()),
            Asked::Person(person, shown) => format!("person {person} {shown}"),
            Asked::Expiry => "expiry".to_owned(),
            Asked::FailedStart => "start".to_owned(),
            Asked::DiskFull => "disk-full".to_owned(),
        };
        let _lock = self.lock()?;
        if !self.record_path(id).exists() {
            return Ok(());
        }
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.asked_path(id));
        match file {
            Ok(mut file) => file.write_all(text.as_bytes()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Who asked for the end.
    pub fn asked(&self, id: &SessionId) -> Asked {
        let text = fs::read_to_string(self.asked_path(id)).unwrap_or_default();
        match text.split_once(' ') {
            Some(("person", rest)) => {
                // The first version wrote the name alone.
                let (person, shown) = rest.split_once(' ').unwrap_or(("", rest));
                Asked::Person(Owner::recorded(person, shown), shown.to_owned())
            }
            _ if text == "expiry" => Asked::Expiry,
            _ if text == "start" => Asked::FailedStart,
            _ if text == "disk-full" => Asked::DiskFull,
            _ => Asked::Nobody,
        }
    }

    /// Writes down that the owner needs no mail any more about this end of the session.
    pub fn mail(&self, id: &SessionId, expires_at: u64) -> io::Result<()> {
        let _lock = self.lock()?;
        if self.record_path(id).exists() { write(&self.mailed_path(id), &expires_at) } else { Ok(()) }
    }

    /// Take back that the owner needs no mail.
    pub fn unmail(&self, id: &SessionId) -> io::Result<()> {
        remove(&self.mailed_path(id))
    }

    /// The end of the session about which its owner needs no mail any more; zero: none.
    pub fn mailed(&self, id: &SessionId) -> u64 {
        read(&self.mailed_path(id)).unwrap_or(0)
    }

    /// Tells how a session ended.
    pub fn post(&self, id: &SessionId, notice: &Notice) -> io::Result<()> {
        write(&self.notice_path(id), notice)
    }

    /// How a session ended, if that was within the last day.
    pub fn notice(&self, id: &SessionId) -> Option<Notice> {
        read(&self.notice_path(id))
    }

    /// All notices.
    pub fn notices(&self) -> Vec<(SessionId, Notice)> {
        ids(&self.ended).unwrap_or_default().into_iter().filter_map(|id| self.notice(&id).map(|n| (id, n))).collect()
    }

    /// When the notices were last changed.
    pub fn ended_changed(&self) -> Option<SystemTime> {
        self.ended.metadata().and_then(|folder| folder.modified()).ok()
    }

    /// Forgets how a session ended.
    pub fn remove_notice(&self, id: &SessionId) -> io::Result<()> {
        remove(&self.notice_path(id))
    }
}

fn ids(folder: &Path) -> io::Result<Vec<SessionId>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    let id = |name: OsString| name.into_string().ok()?.strip_suffix(".json")?.parse().ok();
    Ok(names.into_iter().filter_map(id).collect())
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return None,
        Err(e) => {
            log::warn!("{} cannot be read: {e}", path.display());
            return None;
        }
    };
    serde_json::from_slice(&text).map_err(|e| log::warn!("{} is damaged: {e}", path.display())).ok()
}

fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    whole::write(path, &serde_json::to_vec(value).map_err(io::Error::other)?, whole::PRIVATE)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn is_older(path: &Path, age: Duration) -> bool {
    let written = fs::symlink_metadata(path).and_then(|facts| facts.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|passed| passed > age))
}

/// Whether the session of this record has its screen up.
pub fn is_running(record: &Record) -> bool {
    record.session.state == State::Running.as_str()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{record, store};
    use super::*;

    const ID: &str = "abcdefghij";

    fn by_bob() -> Asked {
        Asked::Person(Owner::browser(&"0a".repeat(32)).unwrap(), "Bob (not verified)".into())
    }

    #[test]
    fn what_is_written_reads_back_and_goes_whole() {
        let (root, store) = store("back");
        let id: SessionId = ID.parse().unwrap();
        store.create(&id, &record(ID, "alice")).unwrap();
        store.ask(&id, &Asked::Expiry).unwrap();
        store.ask(&id, &by_bob()).unwrap();
        assert_eq!(store.asked(&id), Asked::Expiry);
        assert!(store.update(&id, &Record { timer: 7, ..record(ID, "alice") }).unwrap());
        assert_eq!((store.exists(&id), store.read(&id).unwrap().timer), (true, 7));
        assert_eq!(store.mailed(&id), 0);
        assert!(store.permit_path(&id).exists());
        store.spend_permit(&id).unwrap();
        store.spend_permit(&id).unwrap();
        assert!(!store.permit_path(&id).exists());
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
    fn a_record_of_the_first_version_is_read() {
        let (root, store) = store("first");
        let id: SessionId = ID.parse().unwrap();
        let mut old = serde_json::to_value(record(ID, "alice")).unwrap();
        old["session"].as_object_mut().unwrap().remove("description");
        old["session"].as_object_mut().unwrap().remove("owner_id");
        old["shares"] = serde_json::json!([
            {"id": "s1", "role": "view", "secret_sha256": "00", "created_at": 5, "expires_at": 0}
        ]);
        fs::write(store.folder().join(format!("{ID}.json")), old.to_string()).unwrap();
        let share = &store.read(&id).unwrap().shares[0];
        assert_eq!((share.id.as_str(), share.once, share.used_at), ("s1", false, 0));
        assert_eq!(store.read(&id).unwrap().session.owner().to_string(), "unknown:alice");
        fs::write(store.folder().join(format!("{ID}.asked")), "person alice").unwrap();
        assert_eq!(store.asked(&id), Asked::Person("unknown:alice".parse().unwrap(), "alice".into()));
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
}
