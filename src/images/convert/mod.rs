//! `qwd-convert [--grow N | --size N] [--disk-only] --room N FILE`: makes of standard input, an open image or
//! disk of any kind, an image of ours in FILE, which is there and empty.
//!
//! It reads what a stranger made, so whoever wants it done starts it in a sandbox, as nobody. qemu-img gets
//! the source by a socket (`nbd`) and is told how to read it. What is reported goes to standard error, a line
//! of JSON for each step and one at the end; when nobody reads it any more, the work stops.

mod nbd;
mod qemu;
mod report;

use super::head::{Kind, kind_of};
use super::inspect::ends;
use super::told::{self, Failed};
use super::unpack::{Failure, Sparse, nobody_waits};
use super::{Facts, VIRTUAL_SIZE_MAX};
use clap::Parser;
use qemu::Image;
pub use report::{Converted, Step, read_step};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process::ExitCode;

const CHUNK: usize = 1 << 20;

/// Makes an image of ours from the one on standard input. Started by qwdctl alone.
#[derive(Parser)]
#[command(name = "qwd-convert", version)]
struct Arguments {
    /// Bytes that may be written to the disk.
    #[arg(long)]
    room: u64,
    /// Bytes by which the disk is to grow.
    #[arg(long, conflicts_with = "size")]
    grow: Option<u64>,
    /// Bytes that the disk is to have.
    #[arg(long)]
    size: Option<u64>,
    /// Refuse a CD.
    #[arg(long)]
    disk_only: bool,
    /// Where the image is to be.
    file: PathBuf,
}

/// Runs the program. The status is 0 whenever there is a report, also about an image that is refused.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let made = source().and_then(|source| convert(source, &arguments));
    told::tell(&match made {
        Ok(made) => Step::Done(made),
        Err(failure) => Step::Problem(Failed::new(&failure.sentence, failure.full)),
    });
    ExitCode::SUCCESS
}

fn source() -> Result<File, Failure> {
    rustix::stdio::stdin().try_clone_to_owned().map(File::from).map_err(unreadable)
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::new(format!("The image cannot be read: {error}."))
}

fn convert(source: File, arguments: &Arguments) -> Result<Converted, Failure> {
    let (head, tail, size) = ends(&source).map_err(unreadable)?;
    let kind = kind_of(&head, &tail, size).map_err(Failure::new)?;
    match kind {
        Kind::Plain(Facts { iso: true, .. }) if arguments.disk_only => Err(Failure::new(
            "The machine is a CD, which never changes. disk_size= in machines.conf says how large the disk beside it is.",
        )),
        Kind::Plain(Facts { iso: true, virtual_size, .. }) => {
            copy(&source, size, arguments)?;
            Ok(Converted { iso: true, virtual_size })
        }
        Kind::Plain(facts) => {
            let meta = source.metadata().map_err(unreadable)?;
            // Holes need no room; of a device nothing is known beforehand.
            let needed = if meta.is_file() { meta.blocks().saturating_mul(512) } else { 0 };
            let image = Image::serve(source, size, facts.format)?;
            disk(&image, facts.virtual_size, needed, arguments)
        }
        Kind::Container(format) => {
            let image = Image::serve(source, size, format)?;
            let facts = image.facts()?;
            disk(&image, facts.virtual_size, image.measure()?, arguments)
        }
    }
}

/// A disk becomes qcow2, of the size that it has or is to have.
fn disk(image: &Image, present: u64, needed: u64, arguments: &Arguments) -> Result<Converted, Failure> {
    let wanted = arguments.grow.map(|more| present.saturating_add(more)).or(arguments.size).unwrap_or(present);
    if wanted < present {
        return Err(Failure::new(format!(
            "The disk has {present} bytes, and cannot be made smaller: what its guest has at its end would be lost."
        )));
    }
    if wanted > VIRTUAL_SIZE_MAX {
        return Err(Failure::new("A disk has 64 TiB at most."));
    }
    if needed > arguments.room {
        return Err(Failure::full());
    }
    image.convert(&arguments.file, |percent| told::tell(&Step::Percent(percent)))?;
    if wanted > present {
        qemu::resize(&arguments.file, wanted)?;
    }
    Ok(Converted { iso: false, virtual_size: wanted.next_multiple_of(512) })
}

/// A CD stays as it is.
fn copy(source: &File, size: u64, arguments: &Arguments) -> Result<(), Failure> {
    let unwritable = |e: std::io::Error| match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Failure::full(),
        _ => Failure::new(format!("The image cannot be written: {e}.")),
    };
    let file = OpenOptions::new().write(true).truncate(true).open(&arguments.file).map_err(unwritable)?;
    let mut to = Sparse::new(file);
    let mut chunk = vec![0; CHUNK];
    while to.length() < size {
        let part = (size - to.length()).min(CHUNK as u64) as usize;
        source.read_exact_at(&mut chunk[..part], to.length()).map_err(unreadable)?;
        to.put(&chunk[..part]).map_err(unwritable)?;
        if to.written() > arguments.room {
            return Err(Failure::full());
        }
        if nobody_waits() {
            return Err(Failure::new("Nobody waits for the image any more."));
        }
        told::tell(&Step::Percent(to.length() as f64 * 100.0 / size as f64));
    }
    to.finish().map(drop).map_err(unwritable)
}
