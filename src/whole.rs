//! Files that are replaced as a whole: whoever reads one gets the old content or the new, never a half.
//!
//! What is new is written beside, under a name that nobody knows before, and renamed: in a folder that others
//! write to, nothing that they put there is written through.

use crate::random;
use rustix::fs::{Gid, Uid, fchown};
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Whose the new file is, and how sure.
#[derive(Clone, Copy)]
pub struct How {
    mode: u32,
    as_before: bool,
    lasting: bool,
}

/// For nobody else.
pub const PRIVATE: How = How { mode: 0o600, as_before: false, lasting: false };
/// To be read by everybody, as far as the umask lets them.
pub const PUBLIC: How = How { mode: 0o644, as_before: false, lasting: false };

impl How {
    /// Owner and rights of a file that is there stay, as far as one may give them.
    pub const fn as_before(self) -> Self {
        Self { as_before: true, ..self }
    }

    /// It is on the disk for good before this comes back.
    pub const fn lasting(self) -> Self {
        Self { lasting: true, ..self }
    }
}

/// Return whether the file is one that is being written, or that was when its program was killed.
pub fn is_half_written(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with('.') && name.ends_with(".new"))
}

/// Puts a file with that content in the place of what is there.
pub fn write(path: &Path, content: &[u8], how: How) -> io::Result<()> {
    let beside = path.with_file_name(format!(".{}.new", random::label()));
    let old = fs::metadata(path).ok().filter(|_| how.as_before);
    let mode = if old.is_some() { PRIVATE.mode } else { how.mode };
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        // First: who may not read the old one never reads the new one.
        old.map_or(Ok(()), |old| give(&file, &old))?;
        file.write_all(content)?;
        if how.lasting {
            file.sync_all()?;
        }
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // What is half written is worth nothing.
        let _ = fs::remove_file(&beside);
    })?;
    if how.lasting { sync_folder(path) } else { Ok(()) }
}

fn give(file: &File, old: &Metadata) -> io::Result<()> {
    // Who is not root keeps what is their own.
    let _ = fchown(file, Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid())));
    file.set_permissions(Permissions::from_mode(old.mode() & 0o666))
}

/// That a name is there, or gone, is on the disk for good.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = std::env::temp_dir().join(format!("qwd-whole-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (path, other) = (folder.join("x"), folder.join("other"));
        let rights = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        write(&path, b"one", PRIVATE).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), rights(&path)), ("one", 0o600));
        fs::set_permissions(&path, Permissions::from_mode(0o4640)).unwrap();
        write(&path, b"two", PUBLIC.as_before().lasting()).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), rights(&path)), ("two", 0o640));
        // A link is replaced, and leads nowhere.
        fs::write(&other, "theirs").unwrap();
        symlink("other", folder.join("link")).unwrap();
        write(&folder.join("link"), b"three", PUBLIC).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "theirs");
        // As public as the umask lets anything be.
        assert_eq!(rights(&folder.join("link")), rights(&other) & 0o644);
        assert!(write(&folder.join("none/x"), b"", PRIVATE).is_err());
        fs::create_dir(folder.join("full")).unwrap();
        assert!(write(&folder.join("full"), b"", PRIVATE).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
        fs::remove_dir_all(folder).unwrap();
    }
}
