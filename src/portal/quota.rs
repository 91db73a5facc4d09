//! How often something may happen within an hour, for each of many. The memory is taken at the start.

use super::table::{Count, Table};
use std::path::Path;

const HOUR: u64 = 3600;
/// More than anybody asks for in earnest within an hour.
const SLOTS: usize = 4096;

/// Counts of the last hour.
pub struct Hourly(Table);

impl Default for Hourly {
    fn default() -> Self {
        Self(Table::new(SLOTS))
    }
}

impl Hourly {
    /// Open the counts that a file holds, or make both.
    pub fn open(path: &Path, now: u64) -> Self {
        Self(Table::open(path, SLOTS, now))
    }

    /// Counts once more; or says after how many seconds there may be more.
    pub fn take(&mut self, of: &[u8], most: u32, now: u64) -> Result<(), u64> {
        let key = self.0.key(&[of]);
        let Count { count, since } = self.current(key, most, now);
        if count >= most {
            return Err((since + HOUR).saturating_sub(now).clamp(1, HOUR));
        }
        self.0.put(key, Count { count: count + 1, since }, now);
        Ok(())
    }

    /// It did not happen after all.
    pub fn give_back(&mut self, of: &[u8], now: u64) {
        let key = self.0.key(&[of]);
        if let Some(Count { count, since }) = self.stored(key, now) {
            self.0.put(key, Count { count: count.saturating_sub(1), since }, now);
        }
    }

    /// The count of the hour. Where the counts before it were lost, one more is left.
    fn current(&self, key: u64, most: u32, now: u64) -> Count {
        let lost = || self.0.lost(HOUR, now).map(|since| Count { count: most.saturating_sub(1), since });
        self.stored(key, now).or_else(lost).unwrap_or(Count { count: 0, since: now })
    }

    fn stored(&self, key: u64, now: u64) -> Option<Count> {
        let count = self.0.get(key, now).filter(|count| now.saturating_sub(count.since) < HOUR)?;
        // A clock that was set back makes nobody wait longer than an hour.
        Some(Count { since: count.since.min(now), ..count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;

    #[test]
    fn so_many_in_an_hour_and_then_again() {
        let mut mails = Hourly::default();
        assert!((0..3).all(|n| mails.take(b"alice", 3, 1000 + n).is_ok()));
        assert_eq!(mails.take(b"alice", 3, 1600), Err(3000));
        assert!(mails.take(b"bob", 3, 1600).is_ok());
        assert!(mails.take(b"alice", 3, 1000 + HOUR).is_ok());
    }

    #[test]
    fn what_did_not_happen_is_given_back() {
        let mut mails = Hourly::default();
        for _ in 0..10 {
            assert!(mails.take(b"alice", 1, 1000).is_ok());
            mails.give_back(b"alice", 1000);
        }
        assert!(mails.take(b"alice", 0, 1000).is_err());
    }

    #[test]
    fn a_restart_makes_no_new_hour_and_a_damaged_file_leaves_one() {
        let folder = Scratch::new();
        let path = folder.path().join("mails");
        let mut mails = Hourly::open(&path, 1000);
        assert!((0..3).all(|_| mails.take(b"alice", 3, 1000).is_ok()));
        std::mem::forget(mails);
        assert_eq!(Hourly::open(&path, 1001).take(b"alice", 3, 1600), Err(3000));
        std::fs::write(&path, "noise").unwrap();
        let mut mails = Hourly::open(&path, 2000);
        assert!(mails.take(b"alice", 3, 2000).is_ok());
        assert_eq!(mails.take(b"alice", 3, 2600), Err(3000));
        assert!((0..3).all(|_| mails.take(b"alice", 3, 2000 + HOUR).is_ok()));
    }
}
