//! `resize` and `compact`: a new image of the one that is there takes its place.

use super::{Held, Keeper, Made, Outcome};
use crate::ctl::args::Args;
use crate::ctl::args_images::Growth;
use crate::images::Identity;
use crate::model::{MachineName, Problem};
use std::fs::File;
use std::os::unix::fs::MetadataExt;

/// Gives a machine's disk another size.
pub(in crate::ctl) fn resize(args: &Args, name: &str, size: Growth) -> Result<(), Problem> {
    let name: MachineName = name.parse()?;
    let keeper = Keeper::new(args)?;
    let held = keeper.hold(&name, "resized")?;
    let (source, identity, _) = opened(&held)?;
    let option = match size {
        Growth::By(bytes) => format!("--grow={}", bytes.0),
        Growth::To(bytes) => format!("--size={}", bytes.0),
    };
    let made = keeper.make(&held, source, &["--disk-only".to_owned(), option])?;
    take_place(&held, &made, identity)?;
    let (image_bytes, disk_bytes) = (made.bytes, made.converted.virtual_size);
    drop((made, held));
    keeper.mention_url(&name);
    keeper.report(&Outcome { name: &name, result: "resized", image_bytes, disk_bytes })
}

/// Makes an image as small as what is in it.
pub(in crate::ctl) fn compact(args: &Args, name: &str) -> Result<(), Problem> {
    let name: MachineName = name.parse()?;
    let keeper = Keeper::new(args)?;
    let held = keeper.hold(&name, "compacted")?;
    let (source, identity, before) = opened(&held)?;
    let made = keeper.make(&held, source, &["--disk-only".to_owned()])?;
    let new =
        std::fs::metadata(made.work.disk()).map_err(|e| Problem::failed(format!("The new image is lost: {e}.")))?;
    let after = new.blocks() * 512;
    let smaller = after < before;
    if smaller {
        take_place(&held, &made, identity)?;
    }
    let disk_bytes = made.converted.virtual_size;
    drop((made, held));
    let outcome = Outcome {
        name: &name,
        result: if smaller { "compacted" } else { "unchanged" },
        image_bytes: after.min(before),
        disk_bytes,
    };
    if !smaller {
        return keeper.say(&outcome);
    }
    keeper.mention_url(&name);
    keeper.report(&outcome)
}

/// Puts the new image of the same disk in the old one's place. What the firmware remembers stays.
fn take_place(held: &Held, made: &Made, identity: Identity) -> Result<(), Problem> {
    held.home.unchanged(Some(identity))?;
    made.work.take_nvram(&held.home.present()?.path)?;
    held.home.put(&made.work.disk())
}

/// The image that is in force, by what it is known again, and the bytes that it takes on the disk.
pub(super) fn opened(held: &Held) -> Result<(File, Identity, u64), Problem> {
    let place = held.home.present()?;
    let cannot = |e: std::io::Error| Problem::failed(format!("{} cannot be read: {e}.", place.path.display()));
    let file = File::open(&place.path).map_err(cannot)?;
    let taken = file.metadata().map_err(cannot)?.blocks() * 512;
    Ok((file, place.identity, taken))
}
