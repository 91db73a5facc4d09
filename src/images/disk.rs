//! What a file system says, as sentences, and how much room it has.

use super::facts::printable;
use crate::model::{Problem, Word};
use std::io::{Error, ErrorKind};
use std::path::Path;

/// Room that is left for the rest of the host: 64 MiB.
const SPARE: u64 = 64 << 20;

/// A failed step (`write`, `read`, `make`, …) with a file.
pub(super) fn problem(step: &str, path: &Path, error: &Error) -> Problem {
    let path = printable(&path.display().to_string(), 300);
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Problem::new(
            Word::NoSpace,
            format!(
                "The disk is full: there is no room to {step} {path}. Free some, or set paths.dir_machines to a larger file system."
            ),
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Problem::new(
            Word::NotAllowed,
            format!("It is not permitted to {step} {path} ({error}); images are kept by root ('sudo qwdctl …')."),
        ),
        _ => Problem::failed(format!("It was not possible to {step} {path}: {error}.")),
    }
}

fn free(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that may be written there.
pub(super) fn room(folder: &Path) -> u64 {
    free(folder).map_or(u64::MAX, |free| free.saturating_sub(SPARE))
}

/// Refuses what cannot fit, before it is fetched.
pub(super) fn has_room(folder: &Path, bytes: u64) -> Result<(), Problem> {
    let Some(free) = free(folder) else { return Ok(()) };
    if bytes.saturating_add(SPARE) <= free {
        return Ok(());
    }
    Err(Problem::new(
        Word::NoSpace,
        format!(
            "There is not enough room: {} MiB are needed, but {} MiB are free on the file system of {}.",
            (bytes + SPARE).div_ceil(1 << 20),
            free >> 20,
            folder.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_fit_is_refused_beforehand() {
        assert!(has_room(Path::new("/"), 0).is_ok() || has_room(Path::new("/tmp"), 0).is_ok());
        assert_eq!(has_room(Path::new("/"), 1 << 60).unwrap_err().word, Word::NoSpace);
    }

    #[test]
    fn a_full_disk_is_told_as_such() {
        let full = Error::from_raw_os_error(28);
        let problem = problem("write", Path::new("/x"), &full);
        assert_eq!(problem.word, Word::NoSpace);
        assert!(problem.message.starts_with("The disk is full"));
    }
}
