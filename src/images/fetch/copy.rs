//! `file:` addresses: a copy, made anew whenever the file has changed.

use super::meter::Meter;
use super::shelf::{Kept, Shelf};
use super::{Delivery, Progress, Validators, disk};
use crate::model::Problem;
use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Copies the file, unless the image that is there is a copy of what it is now.
pub(super) fn deliver(
    path: &Path,
    shelf: &Shelf,
    kept: Option<&Kept>,
    most: u64,
    progress: Progress<'_>,
) -> Result<Delivery, Problem> {
    let failed = |e: std::io::Error| disk::problem("read", path, &e);
    let mut from = File::open(path).map_err(failed)?;
    let meta = from.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(Problem::failed(format!("{} is not a regular file.", path.display())));
    }
    let validators = Validators { etag: Some(stamp(&meta)), last_modified: None };
    if kept.is_some_and(|kept| kept.validators == validators) {
        return Ok(Delivery::Unchanged);
    }
    let mut meter = Meter::new(shelf.folder(), most, 0, Some(meta.len()))?;
    let mut to = shelf.create_part()?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = from.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return unchanged(&from, path, &meta)
                .inspect_err(|_| shelf.drop_part())
                .map(|()| Delivery::Whole(validators));
        }
        let done = meter.count(read).inspect_err(|_| shelf.drop_part())?;
        shelf.written(to.write_all(&buffer[..read]))?;
        progress(done, Some(meta.len()));
    }
}

/// A copy of a file that was written to meanwhile would be of neither content.
fn unchanged(file: &File, path: &Path, before: &Metadata) -> Result<(), Problem> {
    let after = file.metadata().map_err(|e| disk::problem("read", path, &e))?;
    if stamp(&after) == stamp(before) {
        return Ok(());
    }
    let path = path.display();
    Err(Problem::failed(format!(
        "{path} has changed while it was copied: run 'qwdctl download' again when it is complete."
    )))
}

/// Tells one content of a file from another without reading it.
fn stamp(meta: &Metadata) -> String {
    format!("{}-{}.{:09}", meta.len(), meta.mtime(), meta.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_changes_while_it_is_copied_is_refused() {
        let path = std::env::temp_dir().join(format!("qwd-copy-{}", std::process::id()));
        fs::write(&path, "one").unwrap();
        let file = File::open(&path).unwrap();
        let before = file.metadata().unwrap();
        let same = unchanged(&file, &path, &before);
        fs::write(&path, "another").unwrap();
        let changed = unchanged(&file, &path, &before);
        fs::remove_file(&path).unwrap();
        assert!(same.is_ok() && changed.unwrap_err().message.contains("while it was copied"));
    }
}
