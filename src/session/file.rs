//! The files of records, notices and marks: their format and its version.

use super::Record;
use crate::model::SessionId;
use crate::whole;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The version of the records that this program writes. It reads no other.
const VERSION: u64 = 1;

/// A session's record as it is on disk.
#[derive(Debug, PartialEq)]
pub enum OnRecord {
    /// There is none.
    Missing,
    /// There is one that cannot be parsed.
    Damaged,
    /// There is one that a newer version of the programs wrote.
    Newer,
    /// There is a good one.
    Readable(Box<Record>),
}

/// A record as its file has it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RecordFile<R> {
    version: u64,
    record: R,
}

/// The part of the file that is the same in every version.
#[derive(Deserialize)]
struct AnyRecordFile {
    version: u64,
}

/// Parse the content of the file of a session's record. The record of another session is none.
pub(super) fn parse_record(id: &SessionId, text: &[u8]) -> OnRecord {
    match serde_json::from_slice::<AnyRecordFile>(text) {
        Ok(file) if file.version > VERSION => OnRecord::Newer,
        Ok(file) if file.version == VERSION => match serde_json::from_slice::<RecordFile<Record>>(text) {
            Ok(file) if file.record.id == *id => OnRecord::Readable(Box::new(file.record)),
            _ => OnRecord::Damaged,
        },
        _ => OnRecord::Damaged,
    }
}

/// Return the ids of all files in a directory of records or notices.
pub(super) fn ids(directory: &Path) -> io::Result<Vec<SessionId>> {
    let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    let id = |name: OsString| name.into_string().ok()?.strip_suffix(".json")?.parse().ok();
    Ok(names.into_iter().filter_map(id).collect())
}

/// Read a file, unless it is missing or damaged.
pub(super) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
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

/// Write a record with its version.
pub(super) fn write_record(path: &Path, record: &Record, how: whole::How) -> io::Result<()> {
    write(path, &RecordFile { version: VERSION, record }, how)
}

/// Write a file.
pub(super) fn write<T: Serialize>(path: &Path, value: &T, how: whole::How) -> io::Result<()> {
    whole::write(path, &serde_json::to_vec(value).map_err(io::Error::other)?, how)
}

/// Remove a file. One that is missing is fine, also where nothing can be removed: a file system that became read-only
/// refuses before it looks.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound && path.symlink_metadata().is_ok() => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::record;

    #[test]
    fn a_record_that_was_cut_is_damaged_wherever_that_was() {
        let good = record("abcdefghij", "alice");
        let text = serde_json::to_vec(&RecordFile { version: VERSION, record: &good }).unwrap();
        let parse_record = |text: &[u8]| super::parse_record(&good.id, text);
        assert_eq!(parse_record(&text), OnRecord::Readable(Box::new(good.clone())));
        assert_eq!(super::parse_record(&"bbbbbbbbbb".parse().unwrap(), &text), OnRecord::Damaged);
        let newer = br#"{"version": 2, "record": {"id": 7}, "seals": []}"#;
        assert_eq!(parse_record(newer), OnRecord::Newer);
        for text in [&text[..], newer] {
            assert!((0..text.len()).all(|length| parse_record(&text[..length]) == OnRecord::Damaged));
        }
        assert_eq!(parse_record(br#"{"version": 0, "record": {}}"#), OnRecord::Damaged);
    }
}
