//! One launcher at a time: two would each go by a table of their own.

use crate::model::{Problem, Word};
use crate::unit::ENDED_DIR;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;

/// Held by the launcher; the kernel lets go of it with the process.
pub(super) struct SingleLauncher(#[allow(dead_code, reason = "held, not read")] File);

/// Become the one launcher. The lock is on a directory, which takes no room, and on one that root alone can open:
/// whoever can open it could hold it.
pub(super) fn acquire(root: &Path) -> Result<SingleLauncher, Problem> {
    let folder = root.join(ENDED_DIR.trim_start_matches('/'));
    let cannot = |e: std::io::Error| Problem::failed(format!("{} cannot be locked: {e}.", folder.display()));
    let file = File::open(&folder).map_err(cannot)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(SingleLauncher(file)),
        Err(Errno::WOULDBLOCK) => Err(Problem::new(
            Word::WrongState,
            "Another launcher runs already; this one has changed nothing. 'systemctl restart qwd-launcher' replaces that.",
        )),
        Err(e) => Err(cannot(e.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn there_is_one_launcher_until_it_ends() {
        let root = std::env::temp_dir().join(format!("qwd-single-{}", std::process::id()));
        assert!(acquire(&root).is_err());
        fs::create_dir_all(root.join("run/qemu-web-desktop/ended")).unwrap();
        let first = acquire(&root).unwrap();
        assert_eq!(acquire(&root).err().unwrap().word, Word::WrongState);
        drop(first);
        acquire(&root).unwrap();
        fs::remove_dir_all(root).unwrap();
    }
}
