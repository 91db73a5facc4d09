//! Where a machine's image lies, where a new one is made, and how it comes into force: in one step.
//!
//! ```text
//! machines/NAME                 a file, or a link to one
//! machines/.NAME.STAMP.nvram/   what its firmware remembers (`nvram`)
//! machines/.NAME.work/          what is being made; on the file system of what it will replace
//! ```
//!
//! A link that `qwdctl download` has made is replaced by a file of one's own, which a later download leaves
//! alone; a link of the administrator's stays, and the file that it leads to is replaced.

use super::fetch::DOWNLOADS;
use super::{Identity, Place, disk, locate, nvram, work};
use crate::model::{MachineName, Problem, Word};
use crate::whole;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The place of one machine's image.
#[derive(Debug)]
pub struct Home {
    machines: PathBuf,
    name: MachineName,
    /// The file itself, if there is one.
    present: Option<Place>,
    /// It was downloaded.
    fetched: bool,
    /// What a new image is renamed to.
    target: PathBuf,
}

impl Home {
    /// The place of that machine's image in the folder of all, also if there is none yet.
    pub fn find(machines: &Path, name: &MachineName) -> Result<Self, Problem> {
        let link = machines.join(name.as_str());
        if name.as_str() == DOWNLOADS {
            return Err(Problem::bad_request(format!("{} is the folder of what was downloaded.", link.display())));
        }
        let present = match fs::metadata(&link) {
            // Nothing, or a link that leads nowhere.
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            _ => Some(locate(machines, name, false)?),
        };
        Ok(Self::of(machines, name, present))
    }

    /// The same, where it is known already what there is.
    pub fn of(machines: &Path, name: &MachineName, present: Option<Place>) -> Self {
        let link = machines.join(name.as_str());
        let leads = fs::read_link(&link);
        let fetched = leads.is_ok_and(|to| to.strip_prefix(machines).unwrap_or(&to).starts_with(DOWNLOADS));
        let target = match &present {
            Some(place) if !fetched => place.path.clone(),
            _ => link,
        };
        Self { machines: machines.to_owned(), name: name.clone(), present, fetched, target }
    }

    /// The machine.
    pub fn name(&self) -> &MachineName {
        &self.name
    }

    /// The image that is in force, or why there is none to be changed.
    pub fn present(&self) -> Result<&Place, Problem> {
        self.present.as_ref().ok_or_else(|| {
            Problem::new(Word::NoSuchMachine, format!("There is no image of '{}' on this server.", self.name))
        })
    }

    /// Whether there is an image.
    pub fn is_there(&self) -> bool {
        self.present.is_some()
    }

    /// What must be held by whoever changes the image: its name, and the file that other names may lead to.
    pub fn keys(&self) -> Vec<PathBuf> {
        let named = self.machines.join(self.name.as_str());
        let file = self.present.as_ref().map(|place| place.path.clone()).filter(|path| *path != named);
        std::iter::once(named).chain(file).collect()
    }

    /// The folder in which a new image is made.
    pub fn work(&self) -> PathBuf {
        let file = self.target.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        self.target.with_file_name(format!(".{file}.work"))
    }

    /// `Ok` if the image that is in force is still the one that this was found with.
    pub fn unchanged(&self, identity: Option<Identity>) -> Result<(), Problem> {
        let now = locate(&self.machines, &self.name, false).ok().map(|place| place.identity);
        if now == identity {
            return Ok(());
        }
        Err(Problem::new(
            Word::WrongState,
            format!("The image of '{}' has been replaced by somebody else meanwhile.", self.name),
        ))
    }

    /// Puts a file of the same file system in force, in one step, with what its firmware remembers. What a download
    /// had left is removed.
    pub fn put(&self, new: &Path) -> Result<(), Problem> {
        let failed = |e: std::io::Error| disk::problem("put in place", &self.target, &e);
        nvram::put(new, &self.target)?;
        fs::rename(new, &self.target).and_then(|()| whole::sync_folder(&self.target)).map_err(failed)?;
        nvram::clear(&self.target)?;
        if self.fetched {
            self.drop_download();
        }
        Ok(())
    }

    /// Removes the image, and all that is kept of it. A file that a link of the administrator's leads to
    /// stays; its path is told.
    pub fn remove(&self) -> Result<Option<PathBuf>, Problem> {
        let link = self.machines.join(self.name.as_str());
        match fs::remove_file(&link) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(disk::problem("remove", &link, &e)),
            _ => {}
        }
        self.drop_download();
        work::clear(&self.work())?;
        if !self.target.exists() {
            nvram::clear(&self.target)?;
        }
        Ok(self.present.as_ref().map(|place| place.path.clone()).filter(|path| path.exists()))
    }

    fn drop_download(&self) {
        // What cannot be removed takes room, and nothing else.
        let _ = fs::remove_dir_all(self.machines.join(DOWNLOADS).join(self.name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder of machines with a new file in it, gone at the end.
    struct Machines(PathBuf);

    impl Machines {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("qwd-home-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("downloads/a.img")).unwrap();
            fs::write(path.join("new"), "new").unwrap();
            Self(path)
        }

        fn home(&self) -> Home {
            Home::find(&self.0, &"a.img".parse().unwrap()).unwrap()
        }

        fn image(&self) -> String {
            fs::read_to_string(self.0.join("a.img")).unwrap()
        }
    }

    impl Drop for Machines {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_new_image_takes_the_place_of_a_file_or_of_nothing() {
        let folder = Machines::new("file");
        for old in [None, Some("old")] {
            old.iter().for_each(|old| fs::write(folder.0.join("a.img"), old).unwrap());
            fs::write(folder.0.join("new"), "new").unwrap();
            let home = folder.home();
            assert_eq!((home.is_there(), home.keys().len()), (old.is_some(), 1));
            home.put(&folder.0.join("new")).unwrap();
            assert_eq!(folder.image(), "new");
        }
    }

    #[test]
    fn what_was_downloaded_makes_way_and_a_link_of_the_administrators_stays() {
        let folder = Machines::new("links");
        fs::write(folder.0.join("downloads/a.img/x.img"), "old").unwrap();
        symlink("downloads/a.img/x.img", folder.0.join("a.img")).unwrap();
        folder.home().put(&folder.0.join("new")).unwrap();
        assert_eq!(folder.image(), "new");
        assert!(!folder.0.join("a.img").is_symlink() && !folder.0.join("downloads/a.img").exists());
        fs::create_dir(folder.0.join("else")).unwrap();
        fs::rename(folder.0.join("a.img"), folder.0.join("else/b.img")).unwrap();
        symlink("else/b.img", folder.0.join("a.img")).unwrap();
        fs::write(folder.0.join("new"), "newer").unwrap();
        let home = folder.home();
        assert!(home.work().ends_with("else/.b.img.work"));
        assert_eq!(home.keys().len(), 2);
        home.put(&folder.0.join("new")).unwrap();
        assert!(folder.0.join("a.img").is_symlink());
        assert_eq!(folder.image(), "newer");
        assert!(folder.home().remove().unwrap().unwrap().ends_with("else/b.img"));
        assert!(!folder.home().is_there() && folder.0.join("else/b.img").exists());
    }

    #[test]
    fn an_image_that_was_replaced_meanwhile_is_noticed() {
        let folder = Machines::new("meanwhile");
        fs::write(folder.0.join("a.img"), "old").unwrap();
        let home = folder.home();
        let before = home.present().unwrap().identity;
        home.unchanged(Some(before)).unwrap();
        home.put(&folder.0.join("new")).unwrap();
        assert_eq!(home.unchanged(Some(before)).unwrap_err().word, Word::WrongState);
        assert!(Home::find(&folder.0, &"downloads".parse().unwrap()).is_err());
    }
}
