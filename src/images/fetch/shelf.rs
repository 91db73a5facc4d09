//! The files of one download: where they lie, how they come into force.

use super::content::Content;
use super::{Source, Validators, disk};
use crate::model::{MachineName, Problem};
use crate::whole;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The folder of all downloads, in that of the machines.
pub(in crate::images) const DOWNLOADS: &str = "downloads";

/// What is known about an image that has been fetched.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Kept {
    /// Where it came from.
    pub(super) url: String,
    /// Its file in the shelf.
    pub(super) file: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// The size of what was fetched, where that was unpacked.
    #[serde(default)]
    pub(super) fetched: Option<u64>,
    /// The checksum it was compared with.
    #[serde(default)]
    pub(super) sha256: Option<String>,
    /// By what it is known again.
    #[serde(default)]
    pub(super) validators: Validators,
}

/// What a `.part` file is the beginning of.
#[derive(Deserialize, Serialize)]
struct Partial {
    url: String,
    #[serde(flatten)]
    content: Content,
}

/// The folder of one machine's downloads.
pub(super) struct Shelf {
    folder: PathBuf,
    link: PathBuf,
    name: String,
    owned: PathBuf,
}

/// Locks the folder of all downloads, which is made if needed.
pub(super) fn lock(machines: &Path) -> Result<File, Problem> {
    let folder = machines.join(DOWNLOADS);
    make_folder(machines)?;
    make_folder(&folder)?;
    let path = folder.join(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| disk::problem("open", &path, &e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Problem::failed("Another 'qwdctl download' is at work; wait until it is done."))
        }
        Err(e) => Err(disk::problem("lock", &path, &e.into())),
    }
}

/// A folder that everybody may look into, whatever the umask is. Its parents are made like it.
fn make_folder(path: &Path) -> Result<(), Problem> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    let made = fs::create_dir(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)));
    made.map_err(|e| disk::problem("make the folder", path, &e))
}

impl Shelf {
    /// The shelf of a machine, for what `source` will deliver. An image that an administrator has
    /// put there by hand is not touched: that is a problem.
    pub(super) fn open(machines: &Path, name: &MachineName, source: &Source) -> Result<Self, Problem> {
        let owned = Path::new(DOWNLOADS).join(name.as_str());
        let folder = machines.join(&owned);
        make_folder(&folder)?;
        let file = source.file_name().unwrap_or_else(|| name.to_string());
        let shelf = Self { folder, link: machines.join(name.as_str()), name: file, owned };
        shelf.check_link(machines)?;
        Ok(shelf)
    }

    fn check_link(&self, machines: &Path) -> Result<(), Problem> {
        let by_hand = |what: &str| {
            Problem::failed(format!(
                "{} is {what}, not a download of ours, and is left alone. Remove it, or take url= out of machines.conf.",
                self.link.display()
            ))
        };
        match fs::read_link(&self.link) {
            Ok(target) if target.strip_prefix(machines).unwrap_or(&target).starts_with(DOWNLOADS) => Ok(()),
            Ok(_) => Err(by_hand("a link to elsewhere")),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) if e.kind() == ErrorKind::InvalidInput => Err(by_hand("a file")),
            Err(e) => Err(disk::problem("read the link", &self.link, &e)),
        }
    }

    /// The name that the image will have.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What has come so far.
    pub(super) fn part(&self) -> PathBuf {
        self.folder.join(format!("{}.part", self.name))
    }

    /// What is being unpacked from it.
    pub(super) fn unpacked(&self) -> PathBuf {
        self.folder.join(format!("{}.unpacked", self.name))
    }

    fn part_state(&self) -> PathBuf {
        self.folder.join(".part-state")
    }

    /// The image that is there, if it came from this address and is as we left it. One that an
    /// earlier version fetched has no state of ours: then its time stands for it.
    pub(super) fn kept(&self, url: &str) -> Option<Kept> {
        let found = match read_json::<Kept>(&self.folder.join(".state")) {
            Some(kept) => kept,
            None => self.adopted(url)?,
        };
        let size = fs::metadata(self.file(&found.file)).ok().filter(fs::Metadata::is_file)?.len();
        Some(found).filter(|kept| kept.url == url && kept.size == size && !kept.file.contains('/'))
    }

    fn adopted(&self, url: &str) -> Option<Kept> {
        let meta = fs::metadata(self.file(&self.name)).ok()?;
        let last_modified = super::date::date(meta.modified().ok()?);
        let validators = Validators { etag: None, last_modified: Some(last_modified) };
        Some(Kept {
            url: url.to_owned(),
            file: self.name.clone(),
            size: meta.len(),
            fetched: None,
            sha256: None,
            validators,
        })
    }

    /// An empty `.part` file.
    pub(super) fn create_part(&self) -> Result<File, Problem> {
        self.drop_part();
        File::create(self.part()).map_err(|e| disk::problem("write", &self.part(), &e))
    }

    /// Remembers what the `.part` file is the beginning of, so that it can be resumed.
    pub(super) fn remember_part(&self, url: &str, content: Content) -> Result<(), Problem> {
        write_json(&self.part_state(), &Partial { url: url.to_owned(), content })
    }

    /// A `.part` file of this address with something in it, and by what to tell that it still fits.
    pub(super) fn resumable(&self, url: &str) -> Option<(u64, Content)> {
        let partial = read_json::<Partial>(&self.part_state()).filter(|p| p.url == url)?;
        let size = fs::metadata(self.part()).ok()?.len();
        (size > 0).then_some((size, partial.content))
    }

    /// The `.part` file, to be written to at its end.
    pub(super) fn append_part(&self) -> Result<File, Problem> {
        OpenOptions::new().append(true).open(self.part()).map_err(|e| disk::problem("write", &self.part(), &e))
    }

    /// The outcome of a write. A full disk is not left full.
    pub(super) fn written<T>(&self, outcome: std::io::Result<T>) -> Result<T, Problem> {
        outcome.map_err(|e| {
            let problem = disk::problem("write", &self.part(), &e);
            if problem.word == crate::model::Word::NoSpace {
                self.drop_part();
            }
            problem
        })
    }

    /// An empty file to unpack into. One that an interrupted run is still filling is a file without a
    /// name from now on.
    pub(super) fn create_unpacked(&self) -> Result<File, Problem> {
        self.drop_unpacked();
        File::create_new(self.unpacked()).map_err(|e| disk::problem("write", &self.unpacked(), &e))
    }

    /// Forgets what was unpacked.
    pub(super) fn drop_unpacked(&self) {
        let _ = fs::remove_file(self.unpacked());
    }

    /// Forgets what has come.
    pub(super) fn drop_part(&self) {
        // What cannot be removed is overwritten the next time.
        let _ = fs::remove_file(self.part());
        let _ = fs::remove_file(self.part_state());
    }

    /// Brings a file that is complete to the disk for good, readable by all. Returns its size.
    pub(super) fn settle(&self, path: &Path) -> Result<u64, Problem> {
        let settle = || {
            let file = File::open(path)?;
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        self.written(settle())
    }

    /// Puts a new image in the old one's place, and removes the old one and what the new one came from.
    pub(super) fn replace(&self, image: &Path, kept: &Kept) -> Result<(), Problem> {
        // Somebody may have put an image of their own there while this one came.
        self.check_link(self.link.parent().unwrap_or(Path::new("/")))?;
        let before = read_json::<Kept>(&self.folder.join(".state"));
        let target = self.file(&kept.file);
        fs::rename(image, &target).map_err(|e| disk::problem("put in place", &target, &e))?;
        self.drop_part();
        self.put_in_force(kept)?;
        // Sessions that run from the old file have it open, and keep it as long as they live.
        if let Some(old) = before.filter(|old| old.file != kept.file && !old.file.contains('/')) {
            let _ = fs::remove_file(self.file(&old.file));
        }
        Ok(())
    }

    /// Makes the machine's link point at the image, in one step, and writes down what it is.
    pub(super) fn put_in_force(&self, kept: &Kept) -> Result<(), Problem> {
        let failed = |e: std::io::Error| disk::problem("link", &self.link, &e);
        let target = self.owned.join(&kept.file);
        if fs::canonicalize(&self.link).ok() != fs::canonicalize(self.file(&kept.file)).ok() {
            let new = self.folder.join(".link");
            let _ = fs::remove_file(&new);
            symlink(target, &new).and_then(|()| fs::rename(&new, &self.link)).map_err(failed)?;
        }
        write_json(&self.folder.join(".state"), kept)?;
        let sync = |folder: &Path| File::open(folder).and_then(|f| f.sync_all());
        sync(&self.folder).and_then(|()| self.link.parent().map_or(Ok(()), sync)).map_err(failed)
    }
}

/// A record, or nothing if it is missing or damaged: it only saves work.
fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Problem> {
    let text = serde_json::to_vec(value).expect("our records become JSON");
    whole::write(path, &text, whole::PUBLIC.lasting()).map_err(|e| disk::problem("write", path, &e))
}
