//! How many CPUs something keeps busy: a rate, made of two readings of a count that only grows.

use std::collections::HashMap;

/// Closer together, two readings say more about the clock than about the load.
const CLOSEST: u64 = 1_000_000;
/// What was that long ago is not "now".
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
    fn since(self, earlier: Self) -> Option<f64> {
        let between = self.at.checked_sub(earlier.at).filter(|between| (CLOSEST..=FARTHEST).contains(between))?;
        Some(self.used.checked_sub(earlier.used)? as f64 / between as f64)
    }
}

/// The latest readings of many things, two of each: several readers may ask at any moment, and none
/// spoils it for the others.
#[derive(Debug, Default)]
pub struct Readings(HashMap<String, [Reading; 2]>);

impl Readings {
    /// Takes a reading in. CPUs that are busy now; `None` until there is an earlier reading that fits.
    pub fn busy(&mut self, name: &str, now: Reading) -> Option<f64> {
        let Some([newer, older]) = self.0.get_mut(name) else {
            self.0.insert(name.to_owned(), [now; 2]);
            return None;
        };
        let busy = now.since(*newer).or_else(|| now.since(*older));
        // A clock that was set back would keep the old ones for ever.
        if now.at < newer.at || now.at - newer.at >= CLOSEST {
            (*older, *newer) = (*newer, now);
        }
        busy
    }

    /// Forgets all but these.
    pub fn keep(&mut self, names: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| names(name));
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
    fn what_is_gone_is_forgotten() {
        let mut readings = Readings::default();
        readings.busy("a", at(0, 0));
        readings.keep(|name| name != "a");
        assert_eq!(readings.busy("a", at(2000, 1000)), None);
    }
}
