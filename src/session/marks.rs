//! The marks beside a record: files of their own, so that programs that change no records can make them.
//!
//! `ID.asked` says who asked for the session's end, and belongs to the first who did; `ID.start` permits systemd to
//! start its unit, until that is up; `ID.mailed` says for which end its owner has been warned by mail.

use super::file::{read, remove, write};
use super::{Asked, Store};
use crate::model::{Owner, SessionId};
use crate::whole;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

impl Store {
    fn asked_path(&self, id: &SessionId) -> PathBuf {
        self.records.join(format!("{id}.asked"))
    }

    fn permit_path(&self, id: &SessionId) -> PathBuf {
        self.records.join(crate::unit::start_permit(id))
    }

    fn mailed_path(&self, id: &SessionId) -> PathBuf {
        self.records.join(format!("{id}.mailed"))
    }

    /// Permit systemd to start the session's unit.
    pub(super) fn permit(&self, id: &SessionId) -> io::Result<()> {
        File::create(self.permit_path(id)).map(drop)
    }

    /// Remove the permit to start the session's unit. One that is removed already is fine.
    pub fn spend_permit(&self, id: &SessionId) -> io::Result<()> {
        remove(&self.permit_path(id))
    }

    /// Record who asked for the end, unless another did before.
    pub fn ask(&self, id: &SessionId, asked: &Asked) -> io::Result<()> {
        let text = match asked {
            Asked::Nobody => return Ok(()),
            Asked::Person(person, shown) => format!("person {person} {shown}"),
            Asked::Expiry => "expiry".to_owned(),
            Asked::FailedStart => "start".to_owned(),
            Asked::DiskFull => "disk-full".to_owned(),
        };
        let _lock = self.lock()?;
        if !self.exists(id) {
            return Ok(());
        }
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.asked_path(id));
        match file {
            Ok(mut file) => file.write_all(text.as_bytes()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Return who asked for the end.
    pub fn asked(&self, id: &SessionId) -> Asked {
        let text = fs::read_to_string(self.asked_path(id)).unwrap_or_default();
        match text.split_once(' ') {
            Some(("person", rest)) => rest.split_once(' ').map_or(Asked::Nobody, |(person, shown)| {
                Asked::Person(Owner::recorded(person, shown), shown.to_owned())
            }),
            _ if text == "expiry" => Asked::Expiry,
            _ if text == "start" => Asked::FailedStart,
            _ if text == "disk-full" => Asked::DiskFull,
            _ => Asked::Nobody,
        }
    }

    /// Record that the owner needs no mail any more about this end of the session.
    pub fn mail(&self, id: &SessionId, expires_at: u64) -> io::Result<()> {
        let _lock = self.lock()?;
        if self.exists(id) { write(&self.mailed_path(id), &expires_at, whole::PRIVATE) } else { Ok(()) }
    }

    /// Take back that the owner needs no mail.
    pub fn unmail(&self, id: &SessionId) -> io::Result<()> {
        remove(&self.mailed_path(id))
    }

    /// Return the end of the session about which its owner needs no mail any more; zero: none.
    pub fn mailed(&self, id: &SessionId) -> u64 {
        read(&self.mailed_path(id)).unwrap_or(0)
    }

    /// Remove all marks of a session.
    pub(super) fn remove_marks(&self, id: &SessionId) -> io::Result<()> {
        [self.permit_path(id), self.asked_path(id), self.mailed_path(id)].iter().try_for_each(|path| remove(path))
    }

    /// Return whether the file is the mark of a session that is not recorded.
    pub(super) fn is_stray_mark(&self, path: &Path) -> bool {
        let Some((id, mark)) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.split_once('.')) else {
            return false;
        };
        let is_mark = matches!(mark, "start" | "asked" | "mailed");
        is_mark && id.parse().is_ok_and(|id: SessionId| !self.exists(&id))
    }
}
