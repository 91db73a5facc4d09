//! Fetching a machine's image, so that nothing half-written or unexamined is ever offered.
//!
//! ```text
//! machines/NAME                      a link to what is in force, replaced in one step
//! machines/downloads/NAME/FILE       the image, under the name the address gives it
//! machines/downloads/NAME/FILE.part  what has come so far; resumed after a break
//! machines/downloads/NAME/FILE.unpacked  the image, while it is being unpacked
//! machines/downloads/NAME/.state     where FILE came from, and by what it is known again
//! ```
//!
//! A failure at any point leaves the old image in force.

mod address;
mod content;
mod copy;
mod date;
mod digest;
mod http;
mod informational;
mod meter;
mod proxy;
mod refused;
mod shelf;

pub use address::Source;
pub use proxy::Proxies;
pub(super) use shelf::DOWNLOADS;

use super::packed::{MAGIC_LEN, Packing, unpacked_name};
use super::{Bounds, Facts, command_word, disk};
use crate::config::MachineEntry;
use crate::model::{Problem, Word};
use shelf::{Kept, Shelf};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a web server answers.
type Answer = ureq::http::Response<ureq::Body>;

/// How far a download is: bytes there, and bytes in all if the server says.
pub type Progress<'a> = &'a mut dyn FnMut(u64, Option<u64>);

/// What is done with a stranger's file, by somebody without any privilege.
pub trait Hands {
    /// Looks into an image that is not offered yet.
    fn examine(&self, image: &Path) -> Result<Facts, Problem>;
    /// Unpacks a file into an empty one; the size of what came out.
    fn unpack(&self, from: File, to: File, bounds: Bounds) -> Result<u64, Problem>;
}

/// How the network is used, and how much may come.
#[derive(Clone, Debug)]
pub struct Network {
    /// The largest download, and the largest image, in bytes.
    pub most: u64,
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
    hands: &dyn Hands,
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
        Source::File(path) => copy::deliver(path, &shelf, kept.as_ref(), network.most, progress)?,
        Source::Http(address) => {
            let (kept, guarded) = (kept.as_ref(), entry.sha256.is_some());
            http::deliver(&http::Download { address, shelf: &shelf, kept, network, guarded }, progress)?
        }
    };
    match (delivery, kept) {
        (Delivery::Whole(validators), _) => {
            let verdict = checked(&shelf.part(), entry).and_then(|()| made_ready(&shelf, network.most, hands));
            // Damaged or wrong as a whole: the next attempt must not build on it.
            let ready = verdict.inspect_err(|_| shelf.drop_part())?;
            accept(&shelf, entry, url, validators, ready)
        }
        (Delivery::Unchanged, Some(kept)) => keep(&shelf, kept, entry),
        (Delivery::Unchanged, None) => Err(Problem::failed("The server says that nothing has changed, unasked.")),
    }
}

/// Whether the image that is there may stay: it is what `sha256=` asks for, also if that is new.
fn trusted(shelf: &Shelf, kept: &Kept, entry: &MachineEntry) -> bool {
    // Of what was unpacked, the bytes that had come are not there any more.
    let same = || kept.fetched.is_none() && digest::of(&shelf.file(&kept.file)).ok() == entry.sha256;
    entry.sha256.is_none() || kept.sha256 == entry.sha256 || same()
}

/// The image stays; its link is put right if somebody has removed it.
fn keep(shelf: &Shelf, kept: Kept, entry: &MachineEntry) -> Result<Fetched, Problem> {
    let size = kept.size;
    shelf.put_in_force(&Kept { sha256: entry.sha256.clone(), ..kept })?;
    Ok(Fetched::Current(size))
}

/// An image that may be offered: unpacked, and examined.
struct Ready {
    path: PathBuf,
    /// The name it will have.
    file: String,
    size: u64,
    /// The size of what had come, where that was packed.
    fetched: Option<u64>,
}

/// Unpacks what has come, if it is packed, and has it examined.
fn made_ready(shelf: &Shelf, most: u64, hands: &dyn Hands) -> Result<Ready, Problem> {
    let part = shelf.part();
    let size = shelf.settle(&part)?;
    if packing(&part)?.is_some() {
        return unpacked(shelf, size, most, hands).inspect_err(|_| shelf.drop_unpacked());
    }
    hands.examine(&part)?;
    Ok(Ready { path: part, file: shelf.name().to_owned(), size, fetched: None })
}

fn packing(part: &Path) -> Result<Option<Packing>, Problem> {
    let mut head = Vec::new();
    let read = File::open(part).and_then(|file| file.take(MAGIC_LEN as u64).read_to_end(&mut head));
    read.map_err(|e| disk::problem("read", part, &e))?;
    Ok(Packing::of(&head))
}

fn unpacked(shelf: &Shelf, fetched: u64, most: u64, hands: &dyn Hands) -> Result<Ready, Problem> {
    let (part, path) = (shelf.part(), shelf.unpacked());
    let from = File::open(&part).map_err(|e| disk::problem("read", &part, &e))?;
    let bounds = Bounds { most, room: disk::room(shelf.folder()) };
    hands.unpack(from, shelf.create_unpacked()?, bounds)?;
    let size = shelf.settle(&path)?;
    hands.examine(&path)?;
    Ok(Ready { path, file: unpacked_name(shelf.name()).to_owned(), size, fetched: Some(fetched) })
}

/// What has come takes the old image's place.
fn accept(
    shelf: &Shelf,
    entry: &MachineEntry,
    url: &str,
    validators: Validators,
    ready: Ready,
) -> Result<Fetched, Problem> {
    let Ready { path, file, size, fetched } = ready;
    let kept = Kept { url: url.to_owned(), file, size, fetched, sha256: entry.sha256.clone(), validators };
    shelf.replace(&path, &kept)?;
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
