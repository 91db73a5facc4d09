//! The settings that hold for a request. Before they have been good once there are none, and the portal serves
//! nothing.

use crate::config::{Loaded, Watched};
use std::path::Path;
use std::sync::Arc;

/// Settings that follow the files below a root.
pub struct Live(Watched);

impl Live {
    /// Read the configuration below `root` for the first time.
    pub fn new(root: &Path) -> Self {
        Self(Watched::new(root))
    }

    /// Return the settings for the request that has just come. `None`: there never were good ones.
    pub fn current(&self) -> Option<Arc<Loaded>> {
        self.0.current().0
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
