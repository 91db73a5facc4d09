//! How often something may happen within an hour, for each of many. The memory is taken at the start.

use super::table::{Count, Table};
use std::hash::Hash;

const HOUR: u64 = 3600;
/// More than anybody asks for in earnest within an hour.
const PLACES: usize = 4096;

/// Counts of the last hour.
pub struct Hourly(Table);

impl Default for Hourly {
    fn default() -> Self {
        Self(Table::new(PLACES))
    }
}

impl Hourly {
    /// Counts once more; or says after how many seconds there may be more.
    pub fn take(&mut self, of: impl Hash, most: u32, now: u64) -> Result<(), u64> {
        let key = self.0.key(of);
        let Count { count, since } = self.current(key, now).unwrap_or(Count { count: 0, since: now });
        if count >= most {
            return Err((since + HOUR).saturating_sub(now).clamp(1, HOUR));
        }
        self.0.put(key, Count { count: count + 1, since }, now);
        Ok(())
    }

    /// It did not happen after all.
    pub fn give_back(&mut self, of: impl Hash, now: u64) {
        let key = self.0.key(of);
        if let Some(Count { count, since }) = self.current(key, now) {
            self.0.put(key, Count { count: count.saturating_sub(1), since }, now);
        }
    }

    fn current(&self, key: u64, now: u64) -> Option<Count> {
        self.0.get(key, now).filter(|count| now.saturating_sub(count.since) < HOUR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_an_hour_and_then_again() {
        let mut mails = Hourly::default();
        assert!((0..3).all(|n| mails.take("alice", 3, 1000 + n).is_ok()));
        assert_eq!(mails.take("alice", 3, 1600), Err(3000));
        assert!(mails.take("bob", 3, 1600).is_ok());
        assert!(mails.take("alice", 3, 1000 + HOUR).is_ok());
    }

    #[test]
    fn what_did_not_happen_is_given_back() {
        let mut mails = Hourly::default();
        for _ in 0..10 {
            assert!(mails.take("alice", 1, 1000).is_ok());
            mails.give_back("alice", 1000);
        }
        assert!(mails.take("alice", 0, 1000).is_err());
    }
}
