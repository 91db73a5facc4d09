//! What is known of images by their content: what they are, or why no session can use them.
//!
//! A refusal is written down as well, so that a launcher that left when it was idle, and came back, does not offer
//! the image again. After a boot, the first session or 'qwdctl refresh' finds out anew.

use crate::images::{Facts, Identity};
use crate::model::{Problem, Word};
use crate::whole;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Refusals below the root, for root's eyes only.
const FILE: &str = "run/qemu-web-desktop/refused-images.json";
/// Most refusals that are kept; the oldest are forgotten.
const REFUSALS_MAX: usize = 500;
/// Largest file that is read: more than so many refusals take.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    image: Identity,
    problem: String,
}

#[derive(Default)]
struct Known {
    facts: HashMap<Identity, Facts>,
    /// The latest last.
    refusals: Vec<Refusal>,
}

/// Verdicts on images.
pub(super) struct Verdicts {
    file: PathBuf,
    known: Mutex<Known>,
}

impl Verdicts {
    /// Read the refusals below `root` that an earlier launcher wrote down.
    pub(super) fn load(root: &Path) -> Self {
        let file = root.join(FILE);
        let known = Known { refusals: read(&file), ..Known::default() };
        Self { file, known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Return what the image of this content is, or the problem for which it was refused; `None` before anybody looked.
    pub(super) fn get(&self, image: &Identity) -> Option<Result<Facts, Problem>> {
        let known = self.known();
        known.facts.get(image).map(|facts| Ok(*facts)).or_else(|| known.refusal(image).map(Err))
    }

    /// Return the problem for which the image was refused.
    pub(super) fn refusal(&self, image: &Identity) -> Option<Problem> {
        self.known().refusal(image)
    }

    /// Keep what was found. A problem that lies elsewhere than in the image is not kept.
    pub(super) fn put(&self, image: Identity, found: &Result<Facts, Problem>) {
        let mut known = self.known();
        match found {
            Ok(facts) => {
                known.facts.insert(image, *facts);
                let before = known.refusals.len();
                known.refusals.retain(|refusal| refusal.image != image);
                if known.refusals.len() == before {
                    return;
                }
            }
            Err(problem) if problem.word == Word::MachineUnusable => {
                known.facts.remove(&image);
                known.refusals.retain(|refusal| refusal.image != image);
                known.refusals.push(Refusal { image, problem: problem.message.clone() });
                let excess = known.refusals.len().saturating_sub(REFUSALS_MAX);
                known.refusals.drain(..excess);
            }
            Err(_) => return,
        }
        self.write(&known.refusals);
    }

    fn write(&self, refusals: &[Refusal]) {
        let text = serde_json::to_vec(refusals).expect("plain records become JSON");
        if let Err(e) = whole::write(&self.file, &text, whole::PRIVATE) {
            log::warn!("{} cannot be written: {e}.", self.file.display());
        }
    }
}

impl Known {
    fn refusal(&self, image: &Identity) -> Option<Problem> {
        let found = self.refusals.iter().find(|refusal| refusal.image == *image);
        found.map(|refusal| Problem::new(Word::MachineUnusable, refusal.problem.clone()))
    }
}

/// A file that is missing or damaged only costs another look.
fn read(file: &Path) -> Vec<Refusal> {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text));
    read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Format;
    use std::fs;

    fn image(inode: u64) -> Identity {
        Identity { dev: 1, inode, size: 3, mtime_ns: 1_900_000_000_123_456_789 }
    }

    fn refused(text: &str) -> Result<Facts, Problem> {
        Err(Problem::new(Word::MachineUnusable, text))
    }

    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("qwd-verdicts-{}-{name}", std::process::id()));
            fs::create_dir_all(root.join("run/qemu-web-desktop")).unwrap();
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_refusal_outlives_the_launcher_until_the_image_is_good() {
        let root = Root::new("outlives");
        let verdicts = Verdicts::load(&root.0);
        verdicts.put(image(1), &refused("Cut short."));
        let again = Verdicts::load(&root.0);
        assert_eq!(again.get(&image(1)).unwrap().unwrap_err().message, "Cut short.");
        assert_eq!(again.get(&image(2)), None);
        again.put(image(1), &Ok(Facts { format: Format::Raw, iso: true, virtual_size: 512 }));
        assert!(again.get(&image(1)).unwrap().is_ok());
        assert_eq!(Verdicts::load(&root.0).refusal(&image(1)), None);
    }

    #[test]
    fn what_is_not_the_images_fault_is_not_kept() {
        let root = Root::new("elsewhere");
        let verdicts = Verdicts::load(&root.0);
        verdicts.put(image(1), &Err(Problem::failed("qemu-img is missing.")));
        assert_eq!(verdicts.get(&image(1)), None);
    }

    #[test]
    fn refusals_are_bounded_and_a_damaged_file_is_none() {
        let root = Root::new("bounded");
        let verdicts = Verdicts::load(&root.0);
        (0..REFUSALS_MAX as u64 + 3).for_each(|inode| verdicts.put(image(inode), &refused("No.")));
        assert_eq!(verdicts.refusal(&image(2)), None);
        assert!(verdicts.refusal(&image(3)).is_some());
        assert_eq!(Verdicts::load(&root.0).known().refusals.len(), REFUSALS_MAX);
        fs::write(root.0.join(FILE), "[{").unwrap();
        assert_eq!(Verdicts::load(&root.0).known().refusals.len(), 0);
    }
}
