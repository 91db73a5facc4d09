//! The settings in force: those on disk, or the last good ones while what is on disk is broken.
//!
//! Before a configuration has been good once there are none, and the portal serves nothing: the
//! defaults could let somebody in whom the broken file would keep out.

use crate::config::{self, CONFIG_DIR, Settings};
use crate::journal;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Settings that follow the files below a root.
pub struct Live {
    root: PathBuf,
    state: Mutex<State>,
}

struct State {
    seen: Vec<Stamp>,
    good: Option<Arc<Settings>>,
}

/// What changes when a file is written or replaced.
type Stamp = (PathBuf, u64, i64, i64, u64);

impl Live {
    /// Reads the configuration below `root` for the first time.
    pub fn new(root: &Path) -> Self {
        let live = Self { root: root.to_owned(), state: Mutex::new(State { seen: Vec::new(), good: None }) };
        live.reload(&mut live.state.lock().unwrap_or_else(PoisonError::into_inner), stamps(root));
        live
    }

    /// The settings for the request that has just come. `None`: there never were good ones.
    pub fn current(&self) -> Option<Arc<Settings>> {
        let now = stamps(&self.root);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.seen != now {
            self.reload(&mut state, now);
        }
        state.good.clone()
    }

    fn reload(&self, state: &mut State, now: Vec<Stamp>) {
        state.seen = now;
        match config::load(&self.root) {
            Ok(loaded) => state.good = Some(Arc::new(loaded.settings)),
            Err(error) => {
                let kept = if state.good.is_some() { "the last good one stays in force" } else { "no page is served" };
                log::error!(MESSAGE_ID = journal::id::BAD_CONFIG;
                    "The configuration cannot be used, so {kept}: {error}");
            }
        }
    }
}

fn stamps(root: &Path) -> Vec<Stamp> {
    let folder = root.join(CONFIG_DIR);
    let more = fs::read_dir(folder.join("config.d")).into_iter().flatten().filter_map(|e| e.ok().map(|e| e.path()));
    let mut stamps: Vec<Stamp> =
        std::iter::once(folder.join("config.toml")).chain(more).filter_map(|path| stamp(&path)).collect();
    stamps.sort();
    stamps
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    // The time of change (ctime) cannot be set back, as that of modification can.
    Some((path.to_owned(), meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.size()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;

    #[test]
    fn a_change_takes_effect_and_a_broken_file_does_not() {
        let root = Scratch::new();
        let live = Live::new(root.path());
        let title = || live.current().unwrap().page.texts.title.clone();
        assert_eq!(title(), "Virtual desktops");
        root.write("etc/qemu-web-desktop/config.toml", "[page]\ntitle = 'One'\n");
        assert_eq!(title(), "One");
        root.write("etc/qemu-web-desktop/config.toml", "[page]\ntitel = 'Two'\n");
        assert_eq!(title(), "One");
        root.write("etc/qemu-web-desktop/config.d/50.toml", "[page]\ntitle = 'Three'\n");
        assert_eq!(title(), "One");
        root.write("etc/qemu-web-desktop/config.toml", "");
        assert_eq!(title(), "Three");
    }

    #[test]
    fn with_no_good_configuration_ever_there_are_no_settings() {
        let root = Scratch::new();
        root.write("etc/qemu-web-desktop/config.toml", "public_ulr = ''\n");
        assert!(Live::new(root.path()).current().is_none());
    }
}
