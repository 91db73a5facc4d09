//! Holds what comes to the largest size and to the room there is, also when nobody said how much it is.

use super::disk;
use crate::model::Problem;
use std::path::Path;

/// After so many bytes the room is looked at again: others write to the disk, too.
const STEP: u64 = 16 << 20;

/// Counts the bytes of one download.
pub(super) struct Meter<'a> {
    folder: &'a Path,
    most: u64,
    done: u64,
    checked: u64,
}

impl<'a> Meter<'a> {
    /// `done` bytes are there; `total`, where it is known, is what there will be.
    pub(super) fn new(folder: &'a Path, most: u64, done: u64, total: Option<u64>) -> Result<Self, Problem> {
        let meter = Self { folder, most, done, checked: done };
        meter.allowed(total.unwrap_or(done))?;
        disk::has_room(folder, total.unwrap_or(done).saturating_sub(done))?;
        Ok(meter)
    }

    /// Counts bytes that are about to be written; how many there are then.
    pub(super) fn count(&mut self, bytes: usize) -> Result<u64, Problem> {
        self.done += bytes as u64;
        self.allowed(self.done)?;
        if self.done - self.checked >= STEP {
            self.checked = self.done;
            disk::has_room(self.folder, bytes as u64)?;
        }
        Ok(self.done)
    }

    fn allowed(&self, bytes: u64) -> Result<(), Problem> {
        if bytes <= self.most {
            return Ok(());
        }
        let most = self.most >> 20;
        Err(Problem::failed(format!(
            "The image is larger than {most} MiB, the most that is fetched (download.size_max); it was thrown away."
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Word;

    fn meter(done: u64, total: Option<u64>) -> Result<Meter<'static>, Problem> {
        Meter::new(Path::new("/"), 1000, done, total)
    }

    #[test]
    fn a_length_that_is_told_is_judged_beforehand() {
        assert!(meter(0, Some(1000)).is_ok());
        assert!(meter(0, Some(1001)).is_err_and(|p| p.message.contains("download.size_max")));
        let huge = Meter::new(Path::new("/"), u64::MAX, 0, Some(1 << 60));
        assert!(huge.is_err_and(|p| p.word == Word::NoSpace));
    }

    #[test]
    fn what_never_ends_is_ended() {
        let mut meter = meter(400, None).unwrap();
        assert_eq!(meter.count(600).unwrap(), 1000);
        assert!(meter.count(1).is_err());
    }
}
