//! Fetching a machine's image, so that nothing half-written or unexamined is ever offered.
//!
//! ```text
//! machines/NAME                      a link to what is in force, replaced in one step
//! machines/downloads/NAME/FILE       the image, under the name the address gives it
//! machines/downloads/NAME/FILE.part  what has come so far; resumed after a break
//! machines/downloads/NAME/.state     where FILE came from, and by what it is known again
//! ```
//!
//! A failure at any point leaves the old image in force.

mod address;
mod copy;
mod date;
mod digest;
mod disk;
mod http;
mod proxy;
mod shelf;

pub use address::Source;
pub use proxy::Proxies;

use super::{Facts, command_word};
use crate::config::MachineEntry;
use crate::model::{Problem, Word};
use shelf::{Kept, Shelf};
use std::path::Path;
use std::time::Duration;

/// How far a download is: bytes there, and bytes in all if the server says.
pub type Progress<'a> = &'a mut dyn FnMut(u64, Option<u64>);

/// Looks into an image that is not offered yet.
pub type Examine<'a> = &'a dyn Fn(&Path) -> Result<Facts, Problem>;

/// How the network is used.
#[derive(Clone, Debug)]
pub struct Network {
    /// Without a byte for this long, a download is given up.
    pub timeout: Duration,
    /// Which proxy goes where.
    pub proxies: Proxies,
}

/// What became of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// There is a new image, of so many bytes.
    New(u64),
    /// The image that is there is the present one.
    Current(u64),
}

/// What a server or a file system delivered into the `.part` file.
enum Delivery {
    /// All of it; by these it is known again.
    Whole(Validators),
    /// Nothing: the present image is still the right one.
    Unchanged,
}

/// By what a later request tells whether something has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default)]
struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

/// Held while downloads go on; a second qwdctl is told so.
pub struct Lock {
    _held: std::fs::File,
}

impl Lock {
    /// Takes the lock of the machines' folder, which is made if it is not there.
    pub fn take(machines: &Path) -> Result<Self, Problem> {
        Ok(Self { _held: shelf::lock(machines)? })
    }
}

/// Fetches the image of a machine that has an address, if it is not there or has changed.
pub fn fetch(
    machines: &Path,
    entry: &MachineEntry,
    network: &Network,
    examine: Examine<'_>,
    progress: Progress<'_>,
) -> Result<Fetched, Problem> {
    let url = entry.url.as_deref().ok_or_else(|| {
        Problem::failed(format!(
            "There is no url= for it in machines.conf; put its image at {}.",
            machines.join(entry.name.as_str()).display()
        ))
    })?;
    let source = Source::parse(url)?;
    let shelf = Shelf::open(machines, &entry.name, &source)?;
    let kept = shelf.kept(url).filter(|kept| trusted(&shelf, kept, entry));
    if let (Some(_), Some(kept)) = (&entry.sha256, &kept) {
        // It is what the checksum asks for; no server can say anything to change that.
        return keep(&shelf, kept.clone(), entry);
    }
    let delivery = match &source {
        Source::File(path) => copy::deliver(path, &shelf, kept.as_ref(), progress)?,
        Source::Http(address) => {
            let (kept, guarded) = (kept.as_ref(), entry.sha256.is_some());
            http::deliver(&http::Download { address, shelf: &shelf, kept, network, guarded }, progress)?
        }
    };
    match (delivery, kept) {
        (Delivery::Whole(validators), _) => accept(&shelf, entry, url, validators, examine),
        (Delivery::Unchanged, Some(kept)) => keep(&shelf, kept, entry),
        (Delivery::Unchanged, None) => Err(Problem::failed("The server says that nothing has changed, unasked.")),
    }
}

/// Whether the image that is there may stay: it is what `sha256=` asks for, also if that is new.
fn trusted(shelf: &Shelf, kept: &Kept, entry: &MachineEntry) -> bool {
    entry.sha256.is_none() || kept.sha256 == entry.sha256 || digest::of(&shelf.file(&kept.file)).ok() == entry.sha256
}

/// The image stays; its link is put right if somebody has removed it.
fn keep(shelf: &Shelf, kept: Kept, entry: &MachineEntry) -> Result<Fetched, Problem> {
    let size = kept.size;
    shelf.put_in_force(&Kept { sha256: entry.sha256.clone(), ..kept })?;
    Ok(Fetched::Current(size))
}

/// Checks and examines what has come; only then it takes the old image's place.
fn accept(
    shelf: &Shelf,
    entry: &MachineEntry,
    url: &str,
    validators: Validators,
    examine: Examine<'_>,
) -> Result<Fetched, Problem> {
    let part = shelf.part();
    let size = shelf.settle_part()?;
    let verdict = checked(&part, entry).and_then(|()| examine(&part));
    if let Err(problem) = verdict {
        // Damaged or wrong as a whole: the next attempt must not build on it.
        shelf.drop_part();
        return Err(problem);
    }
    let kept =
        Kept { url: url.to_owned(), file: shelf.name().to_owned(), size, sha256: entry.sha256.clone(), validators };
    shelf.replace(&kept)?;
    Ok(Fetched::New(size))
}

fn checked(part: &Path, entry: &MachineEntry) -> Result<(), Problem> {
    let Some(wanted) = &entry.sha256 else { return Ok(()) };
    let found = digest::of(part).map_err(|e| disk::problem("read", part, &e))?;
    if found == *wanted {
        return Ok(());
    }
    Err(Problem::new(
        Word::Failed,
        format!(
            "What was fetched has the SHA-256 {found}, but machines.conf asks for {wanted}; it was thrown away. If the \
             image has a new version, correct sha256= and say 'qwdctl download {}' again.",
            command_word(entry.name.as_str())
        ),
    ))
}
