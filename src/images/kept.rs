//! A disk that one session writes to and that is to be kept: a copy of a machine's master, or the disk of a
//! new machine on which an installation runs.
//!
//! ```text
//! machines/.NAME.work/work.json   what it is for, and which session writes to it
//! machines/.NAME.work/disk        the disk
//! machines/.NAME.work/cd          a link to the CD that installs
//! machines/.NAME.work/nvram/      what its firmware remembers (`nvram`)
//! ```
//!
//! qwdctl prepares the folder, the launcher names the session in it, and what runs at the session's end puts
//! the disk in force, or leaves it for the administrator to say what is to become of it. A folder that names
//! no session is the rest of a run that was ended.

use super::{Home, Identity, disk, nvram, work};
use crate::model::{MachineName, Problem};
use crate::whole;
use serde::{Deserialize, Serialize};
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const STATE: &str = "work.json";
const CD: &str = "cd";

/// What the session does to the disk.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It changes a copy of the machine's image.
    Master,
    /// It installs a machine on an empty disk.
    Install,
}

/// What is written down about it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the session does.
    pub purpose: Purpose,
    /// The machine, whose name the session's has, too.
    pub machine: String,
    /// The folder of the machines.
    pub machines: PathBuf,
    /// Size of the disk, in bytes.
    pub disk_bytes: u64,
    /// By what the image is known again of which it is a copy.
    pub base: Option<Identity>,
    /// The machine's section of machines.conf was made for it, and goes with it.
    pub registered: bool,
    /// The session that writes to it, once there is one.
    pub session: Option<String>,
}

/// The folder of such a disk, with what is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    folder: PathBuf,
    /// What is written down.
    pub plan: Plan,
}

impl Kept {
    /// That of the machine, if there is one that can be read.
    pub fn find(machines: &Path, name: &MachineName) -> Option<Self> {
        Self::read(&Home::find(machines, name).ok()?.work())
    }

    /// What is written down in that folder, if anything is.
    pub fn read(folder: &Path) -> Option<Self> {
        let plan = serde_json::from_slice(&fs::read(folder.join(STATE)).ok()?).ok()?;
        Some(Self { folder: folder.to_owned(), plan })
    }

    /// Writes the plan into a folder whose disk is ready, and lets a session write to that.
    pub(super) fn prepare(folder: &Path, plan: Plan, cd: Option<&Path>) -> Result<Self, Problem> {
        let failed = |e: std::io::Error| disk::problem("write", folder, &e);
        let kept = Self { folder: folder.to_owned(), plan };
        let open = || {
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
            fs::set_permissions(kept.disk(), Permissions::from_mode(0o666))?;
            cd.map_or(Ok(()), |cd| std::os::unix::fs::symlink(cd, folder.join(CD)))
        };
        open().map_err(failed)?;
        kept.write()?;
        Ok(kept)
    }

    fn write(&self) -> Result<(), Problem> {
        let path = self.folder.join(STATE);
        let text = serde_json::to_vec(&self.plan).expect("our records become JSON");
        whole::write(&path, &text, whole::PRIVATE.lasting()).map_err(|e| disk::problem("write", &path, &e))
    }

    /// Names the session that writes to the disk from now on.
    pub fn give_to(&mut self, session: &str) -> Result<(), Problem> {
        self.plan.session = Some(session.to_owned());
        self.write()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The disk.
    pub fn disk(&self) -> PathBuf {
        self.folder.join(work::DISK)
    }

    /// The CD that installs, if there is one.
    pub fn cd(&self) -> Option<PathBuf> {
        fs::read_link(self.folder.join(CD)).ok()
    }

    /// The variables of a firmware of that kind, which begin as that file where there are none yet.
    pub fn variables(&self, firmware: &str, template: &Path) -> Result<PathBuf, Problem> {
        let made = nvram::variables(&self.folder, firmware, template);
        made.map_err(|e| disk::problem("copy", template, &e))
    }

    /// The folder in which a trusted platform module keeps its state.
    pub fn module(&self) -> Result<PathBuf, Problem> {
        nvram::module(&self.folder).map_err(|e| disk::problem("write", &self.folder, &e))
    }

    /// The machine.
    pub fn name(&self) -> Result<MachineName, Problem> {
        self.plan.machine.parse()
    }

    /// Puts the disk in force and removes the folder. Twice is fine: a disk that is gone is in force.
    pub fn put(&self) -> Result<(), Problem> {
        let home = Home::find(&self.plan.machines, &self.name()?)?;
        if self.disk().exists() {
            home.unchanged(self.plan.base)?;
            work::settle(&self.folder, &self.disk())?;
            home.put(&self.disk())?;
        }
        self.discard()
    }

    /// Lets nobody write to the disk any more.
    pub fn settle(&self) -> Result<(), Problem> {
        work::settle(&self.folder, &self.disk()).map(drop)
    }

    /// Removes the folder, whatever is in it.
    pub fn discard(&self) -> Result<(), Problem> {
        work::clear(&self.folder)
    }

    /// What an administrator is told who finds it without its session.
    pub fn left(&self) -> String {
        let word = super::command_word(&self.plan.machine);
        let what = match self.plan.purpose {
            Purpose::Master => "The copy that was worked on",
            Purpose::Install => "The disk that it was being installed on",
        };
        format!(
            "{what} is kept in {}: 'qwdctl adopt {word}' puts it in force, 'qwdctl discard {word}' removes it.",
            self.folder.display()
        )
    }
}

/// Whether somebody's work is kept in that folder, or in progress.
pub(super) fn is_somebodys(folder: &Path) -> bool {
    match fs::read(folder.join(STATE)) {
        Ok(text) => serde_json::from_slice::<Plan>(&text).is_ok_and(|plan| plan.session.is_some()),
        Err(e) => e.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Hold, Work, locate, stray_works};
    use super::*;

    const ID: &str = "abcdefghij";

    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("qwd-kept-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("machines")).unwrap();
            fs::write(path.join("machines/a.img"), "old").unwrap();
            Self(path)
        }

        fn machines(&self) -> PathBuf {
            self.0.join("machines")
        }

        fn image(&self) -> String {
            fs::read_to_string(self.machines().join("a.img")).unwrap()
        }

        fn kept(&self) -> Kept {
            let name: MachineName = "a.img".parse().unwrap();
            let home = Home::find(&self.machines(), &name).unwrap();
            let holds = [Hold::take(&self.0, &home.keys()[0], "copied").unwrap()];
            let work = Work::begin(&home, &holds).unwrap();
            work.create().unwrap();
            fs::write(work.disk(), "new").unwrap();
            let base = Some(locate(&self.machines(), &name, false).unwrap().identity);
            let plan = Plan {
                purpose: Purpose::Master,
                machine: name.to_string(),
                machines: self.machines(),
                disk_bytes: 3,
                base,
                registered: false,
                session: None,
            };
            work.keep(plan, None).unwrap()
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_copy_takes_the_masters_place_and_twice_is_fine() {
        let root = Root::new("put");
        let mut kept = root.kept();
        kept.give_to(ID).unwrap();
        let found = Kept::find(&root.machines(), &"a.img".parse().unwrap()).unwrap();
        assert_eq!(found, kept);
        found.put().unwrap();
        found.put().unwrap();
        assert_eq!(root.image(), "new");
        assert!(!kept.folder().exists());
        assert_eq!(fs::metadata(root.machines().join("a.img")).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_master_that_was_replaced_meanwhile_stays_and_so_does_the_copy() {
        let root = Root::new("meanwhile");
        let kept = root.kept();
        fs::write(root.0.join("other"), "other").unwrap();
        fs::rename(root.0.join("other"), root.machines().join("a.img")).unwrap();
        assert!(kept.put().unwrap_err().message.contains("replaced by somebody else"));
        assert_eq!(root.image(), "other");
        assert!(kept.disk().exists());
    }

    #[test]
    fn what_no_session_was_named_for_goes_with_the_sweep_and_the_rest_stays() {
        let root = Root::new("sweep");
        let mut kept = root.kept();
        assert_eq!(stray_works(&root.0, &root.machines(), &[]).len(), 1);
        assert!(!kept.folder().exists());
        kept = root.kept();
        kept.give_to(ID).unwrap();
        assert!(stray_works(&root.0, &root.machines(), &[]).is_empty());
        assert!(kept.disk().exists() && kept.left().contains("'qwdctl adopt a.img'"));
    }
}
