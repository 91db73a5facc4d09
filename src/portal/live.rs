//! The settings in force for a request.
//!
//! Before the configuration has been good once there are none, and the portal serves nothing: the
//! defaults could let somebody in whom the broken file would keep out.

use crate::config::{Loaded, Watched};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Settings that follow the files below a root.
pub struct Live {
    watched: Watched,
    been_good: AtomicBool,
}

impl Live {
    /// Reads the configuration below `root` for the first time.
    pub fn new(root: &Path) -> Self {
        Self { watched: Watched::new(root), been_good: AtomicBool::new(false) }
    }

    /// The settings for the request that has just come. `None`: there never were good ones.
    pub fn current(&self) -> Option<Arc<Loaded>> {
        let (loaded, problem) = self.watched.current();
        if problem.is_none() {
            self.been_good.store(true, Ordering::Relaxed);
        }
        self.been_good.load(Ordering::Relaxed).then_some(loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;

    #[test]
    fn a_broken_file_leaves_the_last_good_one_in_force() {
        let root = Scratch::new();
        let live = Live::new(root.path());
        let title = || live.current().unwrap().settings.page.texts.title.clone();
        root.write("etc/qemu-web-desktop/config.toml", "[page]\ntitle = 'One'\n");
        assert_eq!(title(), "One");
        root.write("etc/qemu-web-desktop/config.toml", "[page]\ntitel = 'Two'\n");
        assert_eq!(title(), "One");
    }

    #[test]
    fn with_no_good_configuration_ever_there_are_no_settings_until_it_is_mended() {
        let root = Scratch::new();
        root.write("etc/qemu-web-desktop/config.toml", "public_ulr = ''\n");
        let live = Live::new(root.path());
        assert!(live.current().is_none());
        root.write("etc/qemu-web-desktop/config.toml", "public_url = ''\n");
        assert!(live.current().is_some());
    }
}
