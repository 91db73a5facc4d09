//! That an image is being made, changed or removed: a lock that ends with the process that holds it.
//!
//! The locks are files below `/run`, named by the digest of the image's path, whose content says what is
//! being done. Nothing has to be cleared up after a process that was killed: the kernel forgets its lock.
//! Who starts a session writes its record first and asks then ([`held`]); who changes an image takes the
//! hold first and reads the records then. So one of the two always sees the other.

use super::disk;
use crate::model::{Problem, Word};
use data_encoding::HEXLOWER;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, fcntl_getlk};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The locks, root's alone.
const HOLDS_DIR: &str = "run/qemu-web-desktop/holds";
/// What is being done is said in so many bytes at most.
const LONGEST: u64 = 200;

/// No session starts from an image, and nobody else changes it, as long as this lives.
pub struct Hold {
    _file: File,
    path: PathBuf,
}

impl Hold {
    /// Takes the hold on the image at that place below `root`, be it there or not. `doing` completes the
    /// sentence "The image is being …".
    pub fn take(root: &Path, image: &Path, doing: &str) -> Result<Self, Problem> {
        let path = path_of(root, image);
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|e| disk::problem("make the folder", folder, &e))?;
        }
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            let mut file = file.map_err(|e| disk::problem("open", &path, &e))?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => return Err(busy(&said(&mut file))),
                Err(e) => return Err(disk::problem("lock", &path, &e.into())),
            }
            // Its last holder may have removed it between our opening and our locking.
            let same = |there: fs::Metadata| file.metadata().is_ok_and(|ours| ours.ino() == there.ino());
            if fs::metadata(&path).is_ok_and(same) {
                let written = file.set_len(0).and_then(|()| file.write_all(doing.as_bytes()));
                written.map_err(|e| disk::problem("write", &path, &e))?;
                return Ok(Self { _file: file, path });
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A file that stays means nothing without its lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// What is being done to the image at that place, if anything is.
pub fn held(root: &Path, image: &Path) -> Option<String> {
    let mut file = OpenOptions::new().read(true).write(true).open(path_of(root, image)).ok()?;
    let found = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()?;
    found.map(|_| said(&mut file))
}

/// The sentence for somebody who must wait.
pub fn busy(doing: &str) -> Problem {
    Problem::new(Word::WrongState, format!("The image is being {doing} at this moment; wait until that is done."))
}

fn said(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(LONGEST).read_to_string(&mut text);
    if read.is_ok_and(|bytes| bytes > 0) { text } else { "changed".to_owned() }
}

fn path_of(root: &Path, image: &Path) -> PathBuf {
    let name = HEXLOWER.encode(Sha256::digest(image.as_os_str().as_bytes()).as_slice());
    root.join(HOLDS_DIR).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_a_hold_and_a_file_without_a_lock_holds_nothing() {
        let root = std::env::temp_dir().join(format!("qwd-hold-{}", std::process::id()));
        let image = Path::new("/machines/a.qcow2");
        let hold = Hold::take(&root, image, "compacted").unwrap();
        assert_eq!(fs::read_to_string(path_of(&root, image)).unwrap(), "compacted");
        drop(hold);
        assert!(!path_of(&root, image).exists());
        // As a killed process leaves it.
        fs::write(path_of(&root, image), "compacted").unwrap();
        assert_eq!(held(&root, image), None);
        let again = Hold::take(&root, image, "imported").unwrap();
        assert_eq!(fs::read_to_string(path_of(&root, image)).unwrap(), "imported");
        drop(again);
        fs::remove_dir_all(root).unwrap();
    }
}
