//! The configuration that a running program uses. A change takes effect at the next request. A file that cannot be
//! used changes nothing in a program that runs; a program that starts with one has no settings until the file is
//! corrected, since the defaults could let somebody in whom the file would keep out.

use super::{CONFIG_DIR, ConfigError, Loaded, load};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Tells one state of the files from another: each file's path, inode, size, and times of change of its content
/// and of its mode.
type Stamp = Vec<(PathBuf, u64, u64, [i64; 4])>;

struct State {
    stamp: Stamp,
    good: Option<Arc<Loaded>>,
    problem: Option<ConfigError>,
}

/// A configuration that is read again when its files have changed.
pub struct Watched {
    root: PathBuf,
    state: Mutex<State>,
}

impl Watched {
    /// Read it for the first time.
    pub fn new(root: &Path) -> Self {
        let stamp = stamp(root);
        let (good, problem) = match load(root) {
            Ok(loaded) => (Some(Arc::new(loaded)), None),
            Err(e) => (None, Some(e)),
        };
        report(problem.as_ref(), good.is_some());
        Self { root: root.to_owned(), state: Mutex::new(State { stamp, good, problem }) }
    }

    /// Return the settings in use, if they were good at some time since this program started, and what is wrong with
    /// the files.
    pub fn current(&self) -> (Option<Arc<Loaded>>, Option<ConfigError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.root);
        if now != state.stamp {
            state.stamp = now;
            match load(&self.root) {
                Ok(loaded) => {
                    state.good = Some(Arc::new(loaded));
                    state.problem = None;
                }
                Err(e) => state.problem = Some(e),
            }
            report(state.problem.as_ref(), state.good.is_some());
        }
        (state.good.clone(), state.problem.clone())
    }
}

fn report(problem: Option<&ConfigError>, has_settings: bool) {
    let Some(e) = problem else { return };
    let effect = match has_settings {
        true => "the settings from before this change stay in use until this program ends",
        false => {
            "this program started without good settings, and refuses all that depends on them until this is corrected"
        }
    };
    log::error!(MESSAGE_ID = crate::journal::id::BAD_CONFIG; "{e} ({effect})");
}

fn stamp(root: &Path) -> Stamp {
    let folder = root.join(CONFIG_DIR);
    let mut paths = vec![folder.join("config.toml"), folder.join("config.d")];
    if let Ok(entries) = std::fs::read_dir(folder.join("config.d")) {
        paths.extend(entries.filter_map(|e| e.ok().map(|e| e.path())));
    }
    paths.sort();
    let facts = |p: PathBuf| {
        let times = |m: &std::fs::Metadata| [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()];
        p.metadata().ok().map(|m| (p, m.ino(), m.size(), times(&m)))
    };
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
        let places = || watched.current().0.unwrap().settings.limits.service_max_session_nb;
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

    #[test]
    fn a_program_that_starts_with_a_file_it_cannot_use_has_no_settings_until_it_is_corrected() {
        let root = std::env::temp_dir().join(format!("qwd-watched-start-{}", std::process::id()));
        let folder = root.join(CONFIG_DIR);
        fs::create_dir_all(folder.join("config.d")).unwrap();
        let more = folder.join("config.d/a.toml");
        for (text, good) in [("[limits]\nservice_max_lod = 1\n", false), ("cpus =", false), ("[limits]\n", true)] {
            fs::write(&more, text).unwrap();
            let (settings, problem) = Watched::new(&root).current();
            assert_eq!((settings.is_some(), problem.is_none()), (good, good), "{text}");
        }
        fs::write(&more, "[limits]\nservice_max_lod = 1\n").unwrap();
        let watched = Watched::new(&root);
        fs::write(&more, "[session]\ncpus = 2\n").unwrap();
        assert_eq!(watched.current().0.unwrap().settings.session.cpus, 2);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_changed_mode_is_a_change() {
        use std::os::unix::fs::PermissionsExt;
        let root = std::env::temp_dir().join(format!("qwd-watched-mode-{}", std::process::id()));
        let file = root.join(CONFIG_DIR).join("config.toml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let before = stamp(&root);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_ne!(stamp(&root), before);
        fs::remove_dir_all(root).unwrap();
    }
}
