//! A table of counts that never grows: its memory is taken when it is made. Where its places do not
//! suffice, the smallest and oldest count makes room, so a flood of new keys pushes out its own.

use std::hash::{BuildHasher, Hash, RandomState};

/// Places that a key may have; whatever falls into the same ones competes for them.
const WAYS: usize = 8;
/// A count that has not changed for so many seconds is forgotten.
pub const FORGOTTEN: u64 = 6 * 3600;

/// A count, and since when it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How often.
    pub count: u32,
    /// Seconds since 1970.
    pub since: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    key: u64,
    value: Option<Count>,
}

/// The counts.
pub struct Table {
    /// Random for each table: nobody can choose keys that fall into the same places.
    hasher: RandomState,
    slots: Vec<Slot>,
}

impl Table {
    /// A table with so many places, rounded up.
    pub fn new(places: usize) -> Self {
        // Keys that are not zero: the pages are written now and not when the flood comes.
        let slots = vec![Slot { key: u64::MAX, value: None }; places.next_multiple_of(WAYS)];
        Self { hasher: RandomState::new(), slots }
    }

    /// The number under which something is counted.
    pub fn key(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    /// What stands under a key.
    pub fn get(&self, key: u64, now: u64) -> Option<Count> {
        self.slots[self.home(key)].iter().filter(|slot| slot.key == key).find_map(|slot| slot.current(now))
    }

    /// Sets what stands under a key.
    pub fn put(&mut self, key: u64, value: Count, now: u64) {
        let home = self.home(key);
        let slots = &mut self.slots[home];
        let place = slots.iter().position(|slot| slot.key == key).or_else(|| least(slots, now));
        if let Some(place) = place {
            slots[place] = Slot { key, value: Some(value) };
        }
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: u64) {
        let home = self.home(key);
        for slot in self.slots[home].iter_mut().filter(|slot| slot.key == key) {
            slot.value = None;
        }
    }

    fn home(&self, key: u64) -> std::ops::Range<usize> {
        let homes = (self.slots.len() / WAYS) as u64;
        let first = (key % homes.max(1)) as usize * WAYS;
        first..first + WAYS
    }

    /// Bytes that the table holds on to.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

impl Slot {
    fn current(&self, now: u64) -> Option<Count> {
        self.value.filter(|value| now.saturating_sub(value.since) < FORGOTTEN)
    }
}

/// The place whose count is missed least.
fn least(slots: &[Slot], now: u64) -> Option<usize> {
    let weight = |slot: &Slot| slot.current(now).map_or((false, 0, 0), |value| (true, value.count, value.since));
    slots.iter().enumerate().min_by_key(|(_, slot)| weight(slot)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(count: u32, since: u64) -> Count {
        Count { count, since }
    }

    #[test]
    fn a_flood_pushes_out_its_own_and_takes_no_memory() {
        let mut table = Table::new(256);
        let before = table.bytes();
        let victim = table.key("alice");
        table.put(victim, count(9, 1), 1);
        for n in 0..10_000_u32 {
            table.put(table.key(n), count(1, 2), 2);
        }
        assert_eq!(table.get(victim, 2), Some(count(9, 1)));
        assert_eq!(table.bytes(), before);
    }

    #[test]
    fn the_smallest_goes_and_of_two_the_older() {
        let mut table = Table::new(WAYS);
        for n in 0..WAYS as u64 {
            table.put(n, count(2 - (n / 4) as u32, 100 + n), 100);
        }
        table.put(77, count(1, 200), 200);
        assert_eq!((table.get(4, 200), table.get(77, 200)), (None, Some(count(1, 200))));
        assert!((0..4).chain(5..8).all(|n| table.get(n, 200).is_some()));
    }

    #[test]
    fn what_is_old_or_removed_is_gone() {
        let mut table = Table::new(64);
        table.put(1, count(5, 10), 10);
        assert_eq!(table.get(1, 10 + FORGOTTEN - 1), Some(count(5, 10)));
        assert_eq!(table.get(1, 10 + FORGOTTEN), None);
        table.remove(1);
        assert_eq!(table.get(1, 10), None);
    }
}
