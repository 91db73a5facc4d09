//! Pictures of screens, for their owners, and for administrators where the configuration wants them.
//!
//! QEMU writes into memory that we hand it, so that no file is written. What it gives is a stranger's:
//! it is sealed, so that nothing changes it afterwards, bounded, and looked into by others.

use super::caller::Person;
use super::core::Core;
use super::table::{find, is_of};
use super::turns::Kind;
use crate::model::{Problem, SessionId, Word};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, fstat, memfd_create, open};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// No screen of ours is larger: 5120 by 4096 points of three bytes.
const BYTES_MAX: i64 = 64 << 20;
/// A QEMU that takes longer is not worth holding up its viewers.
const PATIENCE: Duration = Duration::from_secs(3);

/// The screen as PPM, in sealed memory.
pub(super) fn picture(core: &Core, person: &Person, id: &SessionId) -> Result<OwnedFd, Problem> {
    let (state, own) = {
        let mut table = core.table();
        let entry = find(&mut table, person, id)?;
        (entry.state(), is_of(&entry.record, person))
    };
    // The setting is for the sake of other people.
    if !own && !core.loaded()?.settings.monitor.pictures {
        let sentence =
            "Pictures of the screens are switched off: 'pictures' in [monitor] of /etc/qemu-web-desktop/config.toml.";
        return Err(Problem::new(Word::NotAllowed, sentence));
    }
    if !state.is_up() {
        return Err(Problem::new(Word::WrongState, "This session has no screen at the moment."));
    }
    let picture = memory().map_err(failed)?;
    let for_qemu = written_only(&picture).map_err(failed)?;
    core.talk_as(Kind::Person, id, PATIENCE, |monitor| monitor.picture(for_qemu))?;
    sealed(picture)
}

fn memory() -> Result<OwnedFd, Errno> {
    memfd_create("qwd-picture", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
}

/// QEMU takes a descriptor for an output only if it is open for writing and nothing else.
fn written_only(file: &OwnedFd) -> Result<OwnedFd, Errno> {
    open(format!("/proc/self/fd/{}", file.as_raw_fd()), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
}

fn failed(errno: Errno) -> Problem {
    Problem::failed(format!("There is no memory for a picture: {errno}."))
}

/// The same, unchangeable from now on; refused where there is nothing in it, or too much.
fn sealed(picture: OwnedFd) -> Result<OwnedFd, Problem> {
    let unusable = || Problem::failed("The session's QEMU gave no usable picture.");
    fcntl_add_seals(&picture, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)
        .map_err(|_| unusable())?;
    let size = fstat(&picture).map_err(|_| unusable())?.st_size;
    if (1..=BYTES_MAX).contains(&size) { Ok(picture) } else { Err(unusable()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::ftruncate;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn what_qemu_wrote_is_read_and_nothing_changes_it_any_more() {
        let picture = memory().unwrap();
        let mut qemu = File::from(written_only(&picture).unwrap());
        assert!(qemu.read(&mut [0]).is_err());
        qemu.write_all(b"P6").unwrap();
        let mut text = String::new();
        File::from(sealed(picture).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "P6");
        assert!(qemu.write_all(b"x").is_err() && qemu.set_len(0).is_err());
    }

    #[test]
    fn nothing_and_too_much_are_no_picture() {
        assert!(sealed(memory().unwrap()).is_err());
        let huge = memory().unwrap();
        ftruncate(&huge, BYTES_MAX as u64 + 1).unwrap();
        assert!(sealed(huge).is_err());
    }
}
