//! `import`: makes a machine of an image or a disk that somebody has.

use super::register::register;
use super::{Keeper, Outcome};
use crate::ctl::args::Args;
use crate::ctl::args_images::Import;
use crate::images::command_word;
use crate::model::{MachineName, Problem, Word};
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Makes the machine, and offers it.
pub(in crate::ctl) fn import(args: &Args, wanted: &Import) -> Result<(), Problem> {
    let name: MachineName = wanted.name.parse()?;
    let keeper = Keeper::new(args)?;
    let source = source(&wanted.source)?;
    keeper.make_folder()?;
    let held = keeper.hold(&name, "imported")?;
    if held.home.is_there() && !wanted.replace {
        return Err(Problem::new(
            Word::WrongState,
            format!("There is an image of '{name}' already: --replace puts the new one in its place."),
        ));
    }
    let made = keeper.make(&held, source, &[])?;
    held.home.put(&made.work.disk())?;
    let description = wanted.description.clone().unwrap_or_else(|| described(&wanted.source));
    register(keeper.root(), &name, &description)?;
    // From here on sessions may start, and the launcher may look.
    let (image_bytes, disk_bytes) = (made.bytes, made.converted.virtual_size);
    drop((made, held));
    keeper.mention_url(&name);
    keeper.report(&Outcome { name: &name, result: "imported", image_bytes, disk_bytes })
}

fn described(source: &Path) -> String {
    let file = source.file_name().unwrap_or(source.as_os_str()).to_string_lossy();
    format!("Imported from {}", command_word(&file))
}

/// A file, or a disk that nobody is using: what is mounted changes while it is read.
fn source(path: &Path) -> Result<File, Problem> {
    let cannot = |e: &dyn std::fmt::Display| Problem::failed(format!("{} cannot be read: {e}.", path.display()));
    let kind = std::fs::metadata(path).map_err(|e| cannot(&e))?.file_type();
    let alone = match () {
        () if kind.is_block_device() => OFlags::EXCL,
        () if kind.is_file() => OFlags::empty(),
        () => return Err(Problem::failed(format!("{} is neither a file nor a disk.", path.display()))),
    };
    match open(path, OFlags::RDONLY | OFlags::CLOEXEC | alone, Mode::empty()) {
        Ok(fd) => Ok(File::from(fd)),
        Err(rustix::io::Errno::BUSY) => Err(Problem::new(
            Word::WrongState,
            format!("{} is in use; unmount it first, since what is mounted changes while it is read.", path.display()),
        )),
        Err(e) => Err(cannot(&std::io::Error::from(e))),
    }
}
