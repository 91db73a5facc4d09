//! Where a machine's image lies: `dir_machines/NAME`, a file or a link to one.
//!
//! The folder belongs to root, so links in it are the administrator's wish and are followed.

use crate::model::{MachineName, Problem, Word};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Tells one content of a file from another without reading it: facts found earlier hold as long
/// as this is the same.
#[derive(Clone, Copy, Debug, Deserialize, Hash, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The file system.
    pub dev: u64,
    /// The file in it.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its last change, in nanoseconds since 1970.
    pub mtime_ns: i128,
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file itself, no link.
    pub path: PathBuf,
    /// Which content it has.
    pub identity: Identity,
    /// Everybody may read it.
    pub readable: bool,
}

/// The image of a machine, or why there is none: [`Word::MachineUnusable`] with the command that mends it, which
/// for one that is `fetched` from an address is another than for others.
pub fn locate(machines: &Path, name: &MachineName, fetched: bool) -> Result<Place, Problem> {
    let link = machines.join(name.as_str());
    let unusable = |text: String| Problem::new(Word::MachineUnusable, text);
    let found = std::fs::canonicalize(&link).and_then(|path| Ok((std::fs::metadata(&path)?, path)));
    let (meta, path) = found.map_err(|e| match e.kind() {
        ErrorKind::NotFound => unusable(missing(name, &link, fetched)),
        _ => unusable(format!("The image of '{name}' ({}) cannot be reached: {e}.", link.display())),
    })?;
    if !meta.is_file() {
        return Err(unusable(format!("The image of '{name}' ({}) is not a regular file.", path.display())));
    }
    let mtime_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    let identity = Identity { dev: meta.dev(), inode: meta.ino(), size: meta.size(), mtime_ns };
    Ok(Place { path, identity, readable: meta.mode() & 0o004 != 0 })
}

fn missing(name: &MachineName, link: &Path, fetched: bool) -> String {
    let (word, link) = (command_word(name.as_str()), link.display());
    let command = if fetched {
        format!("'qwdctl download {word}' fetches it")
    } else {
        format!("'qwdctl import FILE {word}' makes it of an image that you have")
    };
    format!("The image of '{name}' is missing: {command}, or put a file at {link}.")
}

/// The text as one word of a shell command, for sentences that tell somebody what to type.
pub fn command_word(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+@:/".contains(c)) {
        return text.to_owned();
    }
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("qwd-place-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn name(text: &str) -> MachineName {
        text.parse().unwrap()
    }

    #[test]
    fn a_file_and_a_link_to_it_are_the_same_place() {
        let folder = Folder::new("links");
        std::fs::create_dir_all(folder.0.join("downloads/a.iso")).unwrap();
        std::fs::write(folder.0.join("downloads/a.iso/real-1.2.iso"), "abc").unwrap();
        symlink("downloads/a.iso/real-1.2.iso", folder.0.join("a.iso")).unwrap();
        symlink(folder.0.join("a.iso"), folder.0.join("b.iso")).unwrap();
        let (a, b) =
            (locate(&folder.0, &name("a.iso"), true).unwrap(), locate(&folder.0, &name("b.iso"), true).unwrap());
        assert_eq!(a, b);
        assert!(a.path.ends_with("downloads/a.iso/real-1.2.iso"));
        assert_eq!(a.identity.size, 3);
    }

    #[test]
    fn a_change_changes_the_identity() {
        let folder = Folder::new("identity");
        std::fs::write(folder.0.join("x.raw"), "abc").unwrap();
        let before = locate(&folder.0, &name("x.raw"), true).unwrap().identity;
        std::fs::write(folder.0.join("new"), "abc").unwrap();
        std::fs::rename(folder.0.join("new"), folder.0.join("x.raw")).unwrap();
        assert_ne!(locate(&folder.0, &name("x.raw"), true).unwrap().identity, before);
    }

    #[test]
    fn who_may_read_it_is_known() {
        let folder = Folder::new("readable");
        let file = folder.0.join("x.raw");
        std::fs::write(&file, "abc").unwrap();
        for (mode, readable) in [(0o640, false), (0o644, true), (0o604, true)] {
            std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            assert_eq!(locate(&folder.0, &name("x.raw"), true).unwrap().readable, readable, "{mode:o}");
        }
    }

    #[test]
    fn what_is_missing_is_told_with_its_remedy() {
        let folder = Folder::new("missing");
        symlink("nowhere", folder.0.join("dangling.iso")).unwrap();
        std::fs::create_dir(folder.0.join("folder")).unwrap();
        for text in ["absent.iso", "dangling.iso"] {
            let problem = locate(&folder.0, &name(text), true).unwrap_err();
            assert_eq!(problem.word, Word::MachineUnusable);
            assert!(problem.message.contains(&format!("'qwdctl download {text}'")), "{problem}");
        }
        assert!(
            locate(&folder.0, &name("Big (1).iso"), true).unwrap_err().message.contains("download \"Big (1).iso\"")
        );
        let own = locate(&folder.0, &name("own.iso"), false).unwrap_err().message;
        assert!(own.contains("'qwdctl import FILE own.iso'") && !own.contains("download"), "{own}");
        assert!(locate(&folder.0, &name("folder"), true).unwrap_err().message.contains("not a regular file"));
    }
}
