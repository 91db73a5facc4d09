//! Sections of `machines.conf` that come and go with their images. The file is replaced in one step.

use crate::config::{CONFIG_DIR, with_section, without_section};
use crate::model::{MachineName, Problem, Word};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

/// Gives the machine a section if it has none.
pub(super) fn register(root: &Path, name: &MachineName, description: &str) -> Result<(), Problem> {
    edit(root, |text| with_section(text, name, description))
}

/// Takes the machine's section out.
pub(super) fn unregister(root: &Path, name: &MachineName) -> Result<(), Problem> {
    edit(root, |text| without_section(text, name))
}

fn edit(root: &Path, change: impl FnOnce(&str) -> String) -> Result<(), Problem> {
    let path = root.join(CONFIG_DIR).join("machines.conf");
    replace(&path, change).map_err(|e| {
        let full = matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let word = if full { Word::NoSpace } else { Word::Failed };
        Problem::new(word, format!("{} cannot be changed: {e}.", path.display()))
    })
}

fn replace(path: &Path, change: impl FnOnce(&str) -> String) -> std::io::Result<()> {
    // A link of the administrator's stays.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = File::open(path.parent().unwrap_or(Path::new("/")))?;
    // One at a time; the lock goes with the descriptor.
    flock(&folder, FlockOperation::LockExclusive)?;
    let meta = fs::metadata(&path);
    let old = match fs::read_to_string(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        other => other?,
    };
    let text = change(&old);
    if text == old {
        return Ok(());
    }
    let beside = path.with_extension("conf.new");
    let write = || {
        let mut file = File::create(&beside)?;
        if let Ok(meta) = &meta {
            file.set_permissions(meta.permissions())?;
            chown(&beside, Some(meta.uid()), Some(meta.gid()))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        folder.sync_all()
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}
