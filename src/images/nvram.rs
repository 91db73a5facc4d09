//! What a machine's firmware and its trusted platform module remember, beside its image.
//!
//! ```text
//! machines/.NAME.STAMP.nvram/uefi     the firmware's variables, by the kind of firmware
//! machines/.NAME.STAMP.nvram/tpm      the module's state, a secret
//! machines/.NAME.work/nvram/uefi      the variables that a session writes to, with the disk beside it
//! machines/.NAME.work/nvram/module/   the module's folder in that session
//! ```
//!
//! The stamp is when the image was changed last, which a rename leaves as it is. What belongs to a new image is
//! put beside what belongs to the old one, and both come into force, or neither, by the one rename of the image.

use super::{disk, work};
use crate::model::{Problem, Word};
use crate::whole;
use rustix::fs::{Mode, OFlags, open};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file in the module's folder that it begins with the next time; swtpm names it.
pub const TPM_STATE: &str = "tpm2-00.permall";

const SUFFIX: &str = ".nvram";
const DRAFT: &str = "nvram";
const TPM: &str = "tpm";
const MODULE: &str = "module";
/// No firmware has more variables: those for ARM have 64 MiB.
const VARIABLES_MAX: u64 = 64 << 20;
/// swtpm needs some 10 kB, and systemd hands over no more.
const TPM_MAX: u64 = 1 << 20;

/// What is remembered of the image in force.
#[derive(Debug, PartialEq)]
pub struct Nvram {
    folder: PathBuf,
}

impl Nvram {
    /// What belongs to the image in that file. One that was copied or changed by hand has another stamp; what
    /// is kept under its name is its own all the same, if that is but one.
    pub fn find(image: &Path) -> Option<Self> {
        let stamped = stamped(image, image).ok().filter(|folder| folder.is_dir());
        let alone = || <[PathBuf; 1]>::try_from(all(image)).ok().map(|[folder]| folder);
        stamped.or_else(alone).map(|folder| Self { folder })
    }

    /// The variables of a firmware of that kind.
    pub fn variables(&self, firmware: &str) -> Option<PathBuf> {
        Some(self.folder.join(firmware)).filter(|file| file.is_file())
    }

    /// The module's state.
    pub fn tpm(&self) -> Option<PathBuf> {
        self.variables(TPM)
    }
}

/// Copies what belongs to the image in that file into the folder of a new one.
pub(super) fn take(image: &Path, folder: &Path) -> Result<(), Problem> {
    let Some(kept) = Nvram::find(image) else { return Ok(()) };
    let copy = || {
        for entry in fs::read_dir(&kept.folder)? {
            let entry = entry?;
            let to = match entry.file_name() == TPM {
                true => module(folder)?.join(TPM_STATE),
                false => draft(folder)?.join(entry.file_name()),
            };
            give(&entry.path(), &to)?;
        }
        Ok(())
    };
    copy().map_err(|e| disk::problem("copy", &kept.folder, &e))
}

/// The variables in the folder of a new image, which begin as that file.
pub(super) fn variables(folder: &Path, firmware: &str, template: &Path) -> io::Result<PathBuf> {
    let file = draft(folder)?.join(firmware);
    if !file.exists() {
        give(template, &file)?;
    }
    Ok(file)
}

/// The folder of the module in that of a new image: the session's user makes files in it.
pub(super) fn module(folder: &Path) -> io::Result<PathBuf> {
    let module = draft(folder)?.join(MODULE);
    DirBuilder::new().recursive(true).create(&module)?;
    fs::set_permissions(&module, Permissions::from_mode(0o777))?;
    Ok(module)
}

/// Root's alone, so that what is in it may be written by whoever gets it handed in.
fn draft(folder: &Path) -> io::Result<PathBuf> {
    let draft = folder.join(DRAFT);
    DirBuilder::new().mode(0o700).recursive(true).create(&draft)?;
    Ok(draft)
}

fn give(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    fs::set_permissions(to, Permissions::from_mode(0o666))
}

/// Brings what is beside a new image to where it belongs once that has the place of the old one.
pub(super) fn put(new: &Path, image: &Path) -> Result<(), Problem> {
    let draft = new.with_file_name(DRAFT);
    if !draft.is_dir() {
        return Ok(());
    }
    settle(&draft)?;
    let failed = |e: io::Error| disk::problem("put in place", &draft, &e);
    let folder = stamped(new, image).map_err(failed)?;
    work::clear(&folder)?;
    fs::rename(&draft, &folder).and_then(|()| whole::sync_folder(&folder)).map_err(failed)
}

/// Removes what belonged to images that have had that place before, or, where there is no image, all.
pub(super) fn clear(image: &Path) -> Result<(), Problem> {
    let now = stamped(image, image).ok();
    all(image).iter().filter(|folder| Some(*folder) != now.as_ref()).try_for_each(|folder| work::clear(folder))
}

/// Lets nobody write to it any more. A guest that broke out of its QEMU may have put anything there.
fn settle(draft: &Path) -> Result<(), Problem> {
    let failed = |e: io::Error| disk::problem("write", draft, &e);
    let module = draft.join(MODULE);
    if let Some(state) = state(&module.join(TPM_STATE)).map_err(failed)? {
        whole::write(&draft.join(TPM), &state, whole::PRIVATE.lasting()).map_err(failed)?;
    }
    work::clear(&module)?;
    for entry in fs::read_dir(draft).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let file = File::open(&path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() > VARIABLES_MAX {
            let text = format!("{} has grown larger than any firmware makes it.", path.display());
            return Err(Problem::new(Word::WrongState, text));
        }
        let mode = if path.ends_with(TPM) { 0o600 } else { 0o644 };
        file.set_permissions(Permissions::from_mode(mode)).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    File::open(draft).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// What the module has left, if it is a file and not too large.
fn state(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        other => File::from(other?),
    };
    if !file.metadata()?.is_file() || file.metadata()?.len() > TPM_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut state = Vec::new();
    file.take(TPM_MAX).read_to_end(&mut state)?;
    Ok(Some(state))
}

/// The folder of what belongs to the content of one file, once that is where the image is.
fn stamped(content: &Path, image: &Path) -> io::Result<PathBuf> {
    let meta = fs::metadata(content)?;
    let changed = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    Ok(image.with_file_name(format!("{}{changed:x}{SUFFIX}", prefix(image))))
}

fn prefix(image: &Path) -> String {
    format!(".{}.", image.file_name().unwrap_or_default().to_string_lossy())
}

/// All that is kept under the image's name.
fn all(image: &Path) -> Vec<PathBuf> {
    let prefix = prefix(image);
    let stamp = |name: &str| {
        let stamp = name.strip_prefix(&prefix)?.strip_suffix(SUFFIX)?;
        stamp.chars().all(|c| c.is_ascii_hexdigit()).then_some(())
    };
    let entries = image.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_str().and_then(stamp).is_some());
    ours.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Home;
    use super::*;
    use std::os::unix::fs::symlink;

    /// A machine with an image and the folder of a new one, gone at the end.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("qwd-nvram-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            let machine = Self(path);
            fs::write(machine.image(), "old").unwrap();
            machine
        }

        fn image(&self) -> PathBuf {
            self.0.join("a.img")
        }

        fn home(&self) -> Home {
            Home::find(&self.0, &"a.img".parse().unwrap()).unwrap()
        }

        /// The folder of a new image, with these variables and this state of the module.
        fn work(&self, variables: &str, tpm: &str) -> PathBuf {
            let work = self.0.join(".a.img.work");
            fs::create_dir_all(&work).unwrap();
            fs::write(work.join("disk"), "new").unwrap();
            fs::write(self.0.join("template"), variables).unwrap();
            super::variables(&work, "uefi", &self.0.join("template")).unwrap();
            fs::write(module(&work).unwrap().join(TPM_STATE), tpm).unwrap();
            work
        }

        fn remembers(&self) -> Option<(String, String)> {
            let found = Nvram::find(&self.image())?;
            let read = |path: Option<PathBuf>| fs::read_to_string(path.unwrap()).unwrap();
            Some((read(found.variables("uefi")), read(found.tpm())))
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn both(variables: &str, tpm: &str) -> Option<(String, String)> {
        Some((variables.to_owned(), tpm.to_owned()))
    }

    #[test]
    fn what_is_remembered_comes_into_force_with_its_image() {
        let machine = Machine::new("force");
        let work = machine.work("v1", "t1");
        // The session's user makes files there, whatever root's umask says.
        assert_eq!(fs::metadata(module(&work).unwrap()).unwrap().mode() & 0o777, 0o777);
        machine.home().put(&work.join("disk")).unwrap();
        assert_eq!(machine.remembers(), both("v1", "t1"));
        let kept = Nvram::find(&machine.image()).unwrap();
        let mode = |path: Option<PathBuf>| fs::metadata(path.unwrap()).unwrap().mode() & 0o777;
        assert_eq!((mode(kept.tpm()), mode(kept.variables("uefi"))), (0o600, 0o644));
        assert!(kept.folder.file_name().unwrap().to_str().unwrap().starts_with(".a.img."), "no other image's");
        assert_eq!((mode(Some(kept.folder.clone())), kept.variables("uefi-secure")), (0o700, None));
        // The next one begins with it.
        let work = machine.work("ignored", "ignored");
        work::clear(&work.join(DRAFT)).unwrap();
        take(&machine.image(), &work).unwrap();
        variables(&work, "uefi", &machine.0.join("template")).unwrap();
        machine.home().put(&work.join("disk")).unwrap();
        assert_eq!((machine.remembers(), all(&machine.image()).len()), (both("v1", "t1"), 1));
    }

    #[test]
    fn where_it_stops_between_the_two_each_image_has_its_own() {
        let machine = Machine::new("between");
        machine.home().put(&machine.work("v1", "t1").join("disk")).unwrap();
        let disk = machine.work("v2", "t2").join("disk");
        put(&disk, &machine.image()).unwrap();
        assert_eq!(machine.remembers(), both("v1", "t1"));
        machine.home().put(&disk).unwrap();
        assert_eq!((machine.remembers(), all(&machine.image()).len()), (both("v2", "t2"), 1));
    }

    #[test]
    fn it_goes_with_its_image_and_stays_with_a_copy_made_by_hand() {
        let machine = Machine::new("goes");
        machine.home().put(&machine.work("v1", "t1").join("disk")).unwrap();
        fs::write(machine.image(), "changed by hand").unwrap();
        assert_eq!(machine.remembers(), both("v1", "t1"));
        fs::write(machine.0.join(".a.img.b.nvram"), "somebody's").unwrap();
        fs::write(machine.0.join("new"), "another").unwrap();
        machine.home().put(&machine.0.join("new")).unwrap();
        assert_eq!(machine.remembers(), None);
        machine.home().put(&machine.work("v1", "t1").join("disk")).unwrap();
        machine.home().remove().unwrap();
        assert_eq!(all(&machine.image()), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_is_no_state_of_a_module_is_not_read() {
        let machine = Machine::new("odd");
        let work = machine.work("v1", "t1");
        let state = module(&work).unwrap().join(TPM_STATE);
        fs::remove_file(&state).unwrap();
        symlink("/etc/hostname", &state).unwrap();
        assert!(machine.home().put(&work.join("disk")).is_err());
        fs::remove_file(&state).unwrap();
        File::create(&state).unwrap().set_len(TPM_MAX + 1).unwrap();
        assert!(machine.home().put(&work.join("disk")).is_err());
        fs::remove_file(&state).unwrap();
        File::options().write(true).open(work.join("nvram/uefi")).unwrap().set_len(VARIABLES_MAX + 1).unwrap();
        assert!(machine.home().put(&work.join("disk")).is_err());
        assert_eq!(fs::read_to_string(machine.image()).unwrap(), "old");
    }
}
