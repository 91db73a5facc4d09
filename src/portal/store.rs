//! A folder of small files, one for each secret that somebody holds, named by the secret's digest.
//!
//! The files outlive a restart of the portal, and nothing in them opens anything. A file is written
//! whole or not at all.

use crate::model::Secret;
use crate::random;
use crate::whole;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folder. Its users see to it that only one of them writes at a time.
pub struct Store(PathBuf);

impl Store {
    /// Uses this folder, and makes it if it is missing.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// Where the value of a secret is kept.
    pub fn path(&self, secret: &Secret) -> PathBuf {
        self.0.join(random::digest(secret))
    }

    /// The value in a file; none if there is no such file, or if it is damaged.
    pub fn read<T: DeserializeOwned>(&self, path: &Path) -> Option<T> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes a value.
    pub fn write(&self, path: &Path, value: &impl Serialize) -> io::Result<()> {
        whole::write(path, &serde_json::to_vec(value)?, whole::PRIVATE)
    }

    /// All values with their files. Files whose values are damaged or not wanted any more are removed.
    pub fn keep<T: DeserializeOwned>(&self, wanted: impl Fn(&T) -> bool) -> Vec<(T, PathBuf)> {
        let files = fs::read_dir(&self.0).into_iter().flatten().filter_map(|e| e.ok().map(|e| e.path()));
        let mut all = Vec::new();
        for path in files {
            // What cannot be read at the moment may be in order.
            let Ok(text) = fs::read(&path) else { continue };
            match serde_json::from_slice::<T>(&text) {
                Ok(value) if wanted(&value) => all.push((value, path)),
                _ => drop(fs::remove_file(path)),
            }
        }
        all
    }
}
