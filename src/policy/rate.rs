//! How many CPUs something keeps busy: a rate, made of two readings of a count that only grows.

use std::collections::HashMap;

/// Closer together, two readings say more about the clock than about the load.
const CLOSEST: u64 = 1_000_000;
/// What was that long ago is not "now", unless one is known to look as seldom.
const FARTHEST: u64 = 60_000_000;

/// CPU time used until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The moment, in microseconds.
    pub at: u64,
    /// The time, in microseconds.
    pub used: u64,
}

impl Reading {
    /// CPUs kept busy since an earlier reading, if that is neither too near nor too far.
    fn since(self, earlier: Self, farthest: u64) -> Option<f64> {
        let between = self.at.checked_sub(earlier.at).filter(|between| (CLOSEST..=farthest).contains(between))?;
        Some(self.used.checked_sub(earlier.used)? as f64 / between as f64)
    }
}

/// The latest readings of many things, two of each: several readers may ask at any moment, and none
/// spoils it for the others.
#[derive(Debug)]
pub struct Readings {
    kept: HashMap<String, [Reading; 2]>,
    farthest: u64,
}

impl Default for Readings {
    fn default() -> Self {
        Self { kept: HashMap::new(), farthest: FARTHEST }
    }
}

impl Readings {
    /// For one who looks no more often than every so many seconds.
    pub fn every(seconds: u64) -> Self {
        Self { farthest: FARTHEST.max(seconds.saturating_mul(2_000_000)), ..Self::default() }
    }

    /// Takes a reading in. CPUs that are busy now; `None` until there is an earlier reading that fits.
    pub fn busy(&mut self, name: &str, now: Reading) -> Option<f64> {
        let Some([newer, older]) = self.kept.get_mut(name) else {
            self.kept.insert(name.to_owned(), [now; 2]);
            return None;
        };
        let busy = now.since(*newer, self.farthest).or_else(|| now.since(*older, self.farthest));
        // A clock that was set back would keep the old ones for ever.
        if now.at < newer.at || now.at - newer.at >= CLOSEST {
            (*older, *newer) = (*newer, now);
        }
        busy
    }

    /// Forgets all but these.
    pub fn keep(&mut self, names: impl Fn(&str) -> bool) {
        self.kept.retain(|name, _| names(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64, used: u64) -> Reading {
        Reading { at: milliseconds * 1000, used: used * 1000 }
    }

    #[test]
    fn two_readings_make_a_rate() {
        let mut readings = Readings::default();
        assert_eq!(readings.busy("a", at(1000, 500)), None);
        assert_eq!(readings.busy("b", at(1000, 0)), None);
        assert_eq!(readings.busy("a", at(3000, 1500)), Some(0.5));
        assert_eq!(readings.busy("a", at(5000, 5500)), Some(2.0));
    }

    #[test]
    fn many_readers_see_the_same_rate() {
        let mut readings = Readings::default();
        readings.busy("a", at(0, 0));
        assert_eq!(readings.busy("a", at(2000, 1000)), Some(0.5));
        // One who comes at nearly the same moment is told the rate since the reading before.
        assert_eq!(readings.busy("a", at(2100, 1050)), Some(0.5));
        assert_eq!(readings.busy("a", at(2900, 1450)), Some(0.5));
        assert_eq!(readings.busy("a", at(4000, 3000)), Some(1.0));
    }

    #[test]
    fn what_is_long_ago_or_ran_backwards_is_no_rate() {
        let mut readings = Readings::default();
        readings.busy("a", at(0, 0));
        assert_eq!(readings.busy("a", at(90_000, 50_000)), None);
        assert_eq!(readings.busy("a", at(92_000, 49_000)), None);
        assert_eq!(readings.busy("a", at(10_000, 60_000)), None);
        assert_eq!(readings.busy("a", at(12_000, 61_000)), Some(0.5));
    }

    #[test]
    fn one_who_looks_seldom_sees_a_rate_all_the_same() {
        let mut readings = Readings::every(600);
        readings.busy("a", at(0, 0));
        assert_eq!(readings.busy("a", at(600_100, 300_050)), Some(0.5));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut readings = Readings::default();
        readings.busy("a", at(0, 0));
        readings.keep(|name| name != "a");
        assert_eq!(readings.busy("a", at(2000, 1000)), None);
    }
}
