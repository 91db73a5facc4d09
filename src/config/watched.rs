//! The configuration in force while a program runs: a change takes effect at the next request, and
//! a broken file leaves the last good one in force.

use super::{CONFIG_DIR, ConfigError, Loaded, load};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Tells one state of the files from another: each file's path, inode, size and time of change.
type Stamp = Vec<(PathBuf, u64, u64, i64, i64)>;

struct State {
    stamp: Stamp,
    good: Arc<Loaded>,
    problem: Option<ConfigError>,
}

/// A configuration that is looked up anew when its files have changed.
pub struct Watched {
    root: PathBuf,
    state: Mutex<State>,
}

impl Watched {
    /// Reads it for the first time. If it is broken already, the defaults are in force.
    pub fn new(root: &Path) -> Self {
        let stamp = stamp(root);
        let (good, problem) = match load(root) {
            Ok(loaded) => (Arc::new(loaded), None),
            Err(e) => (Arc::new(Loaded::default()), Some(e)),
        };
        report(problem.as_ref());
        Self { root: root.to_owned(), state: Mutex::new(State { stamp, good, problem }) }
    }

    /// The configuration in force, and what is wrong with the one on disk.
    pub fn current(&self) -> (Arc<Loaded>, Option<ConfigError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.root);
        if now != state.stamp {
            state.stamp = now;
            match load(&self.root) {
                Ok(loaded) => {
                    state.good = Arc::new(loaded);
                    state.problem = None;
                }
                Err(e) => state.problem = Some(e),
            }
            report(state.problem.as_ref());
        }
        (Arc::clone(&state.good), state.problem.clone())
    }
}

fn report(problem: Option<&ConfigError>) {
    if let Some(e) = problem {
        log::error!(MESSAGE_ID = crate::journal::id::BAD_CONFIG; "{e} (the last good configuration stays in force)");
    }
}

fn stamp(root: &Path) -> Stamp {
    let folder = root.join(CONFIG_DIR);
    let mut paths = vec![folder.join("config.toml"), folder.join("config.d")];
    if let Ok(entries) = std::fs::read_dir(folder.join("config.d")) {
        paths.extend(entries.filter_map(|e| e.ok().map(|e| e.path())));
    }
    paths.sort();
    let facts = |p: PathBuf| p.metadata().ok().map(|m| (p, m.ino(), m.size(), m.mtime(), m.mtime_nsec()));
    paths.into_iter().filter_map(facts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_change_is_seen_and_a_broken_file_changes_nothing() {
        let root = std::env::temp_dir().join(format!("qwd-watched-{}", std::process::id()));
        let file = root.join(CONFIG_DIR).join("config.toml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let watched = Watched::new(&root);
        let places = || watched.current().0.settings.limits.service_max_session_nb;
        assert_eq!(places(), 10);
        fs::write(&file, "[limits]\nservice_max_session_nb = 3\n").unwrap();
        assert_eq!(places(), 3);
        fs::write(&file, "[limits]\nservice_max_session_nbb = 4\n").unwrap();
        assert_eq!(places(), 3);
        assert!(watched.current().1.unwrap().message.contains("did you mean"));
        fs::remove_file(&file).unwrap();
        assert_eq!(places(), 10);
        assert_eq!(watched.current().1, None);
        fs::remove_dir_all(root).unwrap();
    }
}
