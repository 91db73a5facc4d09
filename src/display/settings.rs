//! What the display takes from the configuration: the address the service is known by.
//!
//! Looked at for each viewer, read only when a file has changed. A broken file leaves the last good
//! address in force, and is complained about once for each change.

use super::origin::{Origins, own_names};
use crate::config::{self, CONFIG_DIR};
use crate::journal::id;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The settings below a root, as of the last look.
#[derive(Debug)]
pub struct Watched {
    root: PathBuf,
    last: Mutex<(Vec<Stamp>, Origins)>,
}

/// A file, its size and the time of its last change.
type Stamp = (PathBuf, u64, Option<SystemTime>);

impl Watched {
    /// Settings below `root` (`/`, or a test's folder).
    pub fn new(root: &Path) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let hosts = fs::read_to_string(root.join("etc/hosts")).unwrap_or_default();
        let origins = Origins { public: None, own_names: own_names(&host, &hosts) };
        Self { root: root.to_owned(), last: Mutex::new((Vec::new(), origins)) }
    }

    /// The origins to admit now.
    pub fn origins(&self) -> Origins {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.root.join(CONFIG_DIR));
        if stamps != last.0 {
            last.0 = stamps;
            match config::load(&self.root) {
                Ok(loaded) => last.1.public = loaded.settings.public_url,
                Err(error) => {
                    log::error!(MESSAGE_ID = id::BAD_CONFIG; "{error}; the last good configuration stays in force.");
                }
            }
        }
        last.1.clone()
    }
}

/// The folder itself is one of them, so that "no configuration" differs from "not looked yet".
fn stamps(folder: &Path) -> Vec<Stamp> {
    let more = folder.join("config.d");
    let mut paths = vec![folder.to_owned(), folder.join("config.toml"), more.clone()];
    let entries = fs::read_dir(more).into_iter().flatten();
    paths.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
    paths.sort();
    paths.into_iter().map(stamp).collect()
}

fn stamp(path: PathBuf) -> Stamp {
    let data = fs::metadata(&path).ok();
    let size = data.as_ref().map_or(0, fs::Metadata::len);
    (path, size, data.and_then(|data| data.modified().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_at_once_and_a_broken_file_does_not() {
        let root = std::env::temp_dir().join(format!("qwd-display-settings-{}", std::process::id()));
        let folder = root.join(CONFIG_DIR);
        fs::create_dir_all(&folder).unwrap();
        let watched = Watched::new(&root);
        let public = || watched.origins().public;
        assert_eq!(public(), None);
        fs::write(folder.join("config.toml"), "public_url = \"https://a.example\"\n").unwrap();
        assert_eq!(public().as_deref(), Some("https://a.example"));
        fs::write(folder.join("config.toml"), "public_url = 1\n").unwrap();
        assert_eq!(public().as_deref(), Some("https://a.example"));
        fs::write(folder.join("config.toml"), "public_url = \"https://bb.example/\"\n").unwrap();
        assert_eq!(public().as_deref(), Some("https://bb.example"));
        fs::remove_dir_all(&root).unwrap();
    }
}
