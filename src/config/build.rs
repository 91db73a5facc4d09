//! What `qwdctl build` makes a machine of: keys that it writes, and that an administrator may change.

use super::hardware::{Word, words};
use crate::model::{AccountName, Bytes, PackageName, Suite};

/// The keys `build_…` of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// The release of Debian; a machine without one was not made by us.
    pub suite: Option<Suite>,
    /// What is on its screen.
    pub desktop: Option<Desktop>,
    /// What is installed besides.
    pub packages: Vec<PackageName>,
    /// Size of its disk.
    pub size: Option<Bytes>,
    /// Whom it is for.
    pub user: Option<AccountName>,
}

words! {
    /// What is on the screen.
    Desktop {
        /// Xfce.
        Xfce = "xfce",
        /// A text console.
        None = "none",
    }
}

/// The smallest disk that a Debian with a kernel fits on, and what no disk of ours is larger than.
const SIZES: std::ops::RangeInclusive<u64> = 2 << 30..=64 << 40;

/// Names with commas or blanks between them.
pub(super) fn packages(text: &str) -> Result<Vec<PackageName>, String> {
    let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    words.map(|word| word.parse().map_err(|problem: crate::model::Problem| problem.message)).collect()
}

/// The size of a disk that a Debian fits on.
pub fn build_size(text: &str) -> Result<Bytes, String> {
    let size: Bytes = text.parse().map_err(|problem: crate::model::Problem| problem.message)?;
    // The last partition ends at a whole MiB.
    let whole = Bytes(size.0 >> 20 << 20);
    SIZES.contains(&whole.0).then_some(whole).ok_or_else(|| "this takes 2G to 64T".to_owned())
}

impl std::str::FromStr for Desktop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        super::hardware::of_words(text)
    }
}

impl std::fmt::Display for Desktop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
