//! Sections of `machines.conf` that come and go with their images. The file is replaced in one step.

use crate::config::{CONFIG_DIR, one_line, with_keys, with_section, without_section};
use crate::model::{MachineName, Problem, Word};
use crate::whole;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// Gives the machine a section if it has none.
pub(super) fn register(root: &Path, name: &MachineName, description: &str) -> Result<(), Problem> {
    edit(root, |text| with_section(text, name, description))
}

/// The same with these keys in the section; its description changes if there is one.
pub(super) fn register_with(
    root: &Path,
    name: &MachineName,
    description: Option<&str>,
    keys: &[(&str, Option<String>)],
) -> Result<(), Problem> {
    edit(root, |text| {
        let text = with_section(text, name, description.unwrap_or_default());
        let said = description.map(|description| ("description", Some(one_line(description))));
        with_keys(&text, name, &said.into_iter().chain(keys.iter().cloned()).collect::<Vec<_>>())
    })
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
    let old = match fs::read_to_string(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        other => other?,
    };
    let text = change(&old);
    if text == old {
        return Ok(());
    }
    whole::write(&path, text.as_bytes(), whole::PUBLIC.as_before().lasting())
}
