//! The folder in which a new image is made beside the old one, `.NAME.work`: root's alone, so that the file
//! in it may be written by whoever gets it handed in.
//!
//! What is there without anybody who holds the image is the rest of a run that was ended, and is removed by
//! whoever comes next: the next run, or the sweep. But what a session has written to is kept (`kept`).

use super::kept::{Kept, Plan, is_somebodys};
use super::{Hold, Home, disk, nvram};
use crate::model::{MachineName, Problem, Word};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The new image in the folder.
pub(super) const DISK: &str = "disk";

/// With less room than this nothing is installed: 256 MiB.
const LITTLE: u64 = 256 << 20;

/// A new image of a machine, which goes with this unless it was put in force.
pub struct Work {
    folder: PathBuf,
}

impl Work {
    /// Begins with an empty folder. The hold is a sign that nobody else is at work.
    pub fn begin(home: &Home, _: &[Hold]) -> Result<Self, Problem> {
        let folder = home.work();
        if let Some(kept) = Kept::read(&folder).filter(|kept| kept.plan.session.is_some()) {
            return Err(Problem::new(Word::WrongState, kept.left()));
        }
        clear(&folder)?;
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|e| disk::problem("make the folder", &folder, &e))?;
        Ok(Self { folder })
    }

    /// Where the new image is.
    pub fn disk(&self) -> PathBuf {
        self.folder.join(DISK)
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder in it, for what is made on the way to the image.
    pub fn workshop(&self) -> Result<PathBuf, Problem> {
        let path = self.folder.join("parts");
        let made = DirBuilder::new().create(&path);
        // Whatever the umask says: apt fetches as a user of its own. Nobody gets there from outside.
        let made = made.and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o755)));
        made.map_err(|e| disk::problem("make the folder", &path, &e))?;
        Ok(path)
    }

    /// An empty file that anybody may write to who gets at it.
    pub fn create(&self) -> Result<File, Problem> {
        let path = self.disk();
        let make = || {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path)?;
            // Whatever the umask says.
            file.set_permissions(Permissions::from_mode(0o666))?;
            Ok(file)
        };
        make().map_err(|e| disk::problem("write", &path, &e))
    }

    /// Copies what the firmware of the image in that file remembers: it belongs to the new one as well.
    pub fn take_nvram(&self, image: &Path) -> Result<(), Problem> {
        nvram::take(image, &self.folder)
    }

    /// Refuses where a session could not write anything worth keeping.
    pub fn has_room(&self) -> Result<(), Problem> {
        disk::has_room(&self.folder, LITTLE)
    }

    /// Bytes that may be written there.
    pub fn room(&self) -> u64 {
        disk::room(&self.folder)
    }

    /// Brings the image to the disk for good, readable by all and writable by nobody else. Returns its size.
    pub fn settle(&self) -> Result<u64, Problem> {
        settle(&self.folder, &self.disk())
    }

    /// Leaves the folder to a session that writes to the disk in it.
    pub fn keep(self, plan: Plan, cd: Option<&Path>) -> Result<Kept, Problem> {
        let kept = Kept::prepare(&self.folder, plan, cd)?;
        std::mem::forget(self);
        Ok(kept)
    }
}

/// Brings a new image to the disk for good.
pub(super) fn settle(folder: &Path, image: &Path) -> Result<u64, Problem> {
    let settle = || {
        let file = File::open(image)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()?;
        // Nothing in it can be changed any more, and whoever examines it must get there.
        fs::set_permissions(folder, Permissions::from_mode(0o711))?;
        Ok(file.metadata()?.len())
    };
    settle().map_err(|e| disk::problem("write", image, &e))
}

impl Drop for Work {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the sweep.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes a folder with all that is in it; one that is gone is fine.
pub(super) fn clear(folder: &Path) -> Result<(), Problem> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(disk::problem("remove", folder, &e)),
        _ => Ok(()),
    }
}

/// Removes what runs that were ended have left beside the images of these machines, and in the folder of all.
/// A sentence for each.
pub fn stray_works(root: &Path, machines: &Path, names: &[MachineName]) -> Vec<String> {
    let homes = names.iter().filter_map(|name| Home::find(machines, name).ok());
    let beside = homes.map(|home| home.work()).filter(|folder| folder.parent() != Some(machines));
    let here = fs::read_dir(machines).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let works = here.filter(|path| worker(path).is_some()).chain(beside);
    works.filter(|folder| folder.is_dir()).filter_map(|folder| swept(root, &folder)).collect()
}

/// The file name of the image that such a folder belongs to.
fn worker(folder: &Path) -> Option<&str> {
    folder.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(".work")
}

/// `None` where somebody is at work. What is held meanwhile is nobody else's to begin with.
fn swept(root: &Path, folder: &Path) -> Option<String> {
    let image = folder.with_file_name(worker(folder)?);
    if is_somebodys(folder) {
        return None;
    }
    let _hold = Hold::take(root, &image, "cleared up").ok()?;
    // It may have become somebody's while the hold was theirs.
    if is_somebodys(folder) {
        return None;
    }
    Some(match clear(folder) {
        Ok(()) => format!("{} was left by a run that was ended, and was removed.", folder.display()),
        Err(problem) => problem.message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_image_is_made_where_nobody_gets_and_goes_unless_it_is_put_in_force() {
        let root = std::env::temp_dir().join(format!("qwd-work-{}-new", std::process::id()));
        fs::create_dir_all(root.join(".a.img.work")).unwrap();
        fs::write(root.join(".a.img.work/disk"), "the rest of an earlier run").unwrap();
        let home = Home::find(&root, &"a.img".parse().unwrap()).unwrap();
        let holds = [Hold::take(&root, &home.keys()[0], "made").unwrap()];
        let work = Work::begin(&home, &holds).unwrap();
        let folder = work.folder().to_owned();
        assert_eq!((mode(&folder), fs::read_dir(&folder).unwrap().count()), (0o700, 0));
        assert_eq!(mode(&work.workshop().unwrap()), 0o755);
        work.create().unwrap();
        assert!(work.create().is_err(), "nothing is written over");
        assert_eq!(mode(&work.disk()), 0o666);
        fs::write(work.disk(), "new").unwrap();
        assert_eq!(work.settle().unwrap(), 3);
        assert_eq!((mode(&work.disk()), mode(&folder)), (0o644, 0o711));
        drop(work);
        assert!(!folder.exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_was_left_is_removed_and_nothing_else() {
        let root = std::env::temp_dir().join(format!("qwd-work-{}", std::process::id()));
        let machines = root.join("machines");
        fs::create_dir_all(machines.join(".a.img.work")).unwrap();
        fs::write(machines.join(".a.img.work/disk"), "half").unwrap();
        fs::create_dir_all(machines.join("downloads/.a.work")).unwrap();
        fs::create_dir_all(machines.join(".git")).unwrap();
        fs::write(machines.join(".b.work"), "a file of somebody's").unwrap();
        let swept = stray_works(&root, &machines, &[]);
        assert_eq!(swept.len(), 1, "{swept:?}");
        assert!(!machines.join(".a.img.work").exists());
        assert!(machines.join("downloads/.a.work").exists() && machines.join(".git").exists());
        fs::remove_dir_all(root).unwrap();
    }
}
