//! A table of counts that never grows: its memory is taken when it is made. Where its slots do not
//! suffice, the smallest and oldest count makes room, so a flood of new keys pushes out its own.
//!
//! A table may have a file, which holds its slots one after the other. Each change is one write of one
//! slot, without waiting for a disk: the kernel has it when the portal crashes in the next moment, and the
//! file neither grows nor is ever written as a whole again. What it holds of a name or an address is a keyed
//! digest.

use crate::random;
use crate::whole;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Slots that a key may have; whatever falls into the same ones competes for them.
const WAYS: usize = 8;
/// A count that has not changed for so many seconds is forgotten.
const FORGOTTEN: u64 = 6 * 3600;

const MAGIC: &[u8; 8] = b"qwd-cnt1";
const KEY: usize = 32;
/// Magic, number of slots, when the table began anew after damage, key, check.
const HEADER: usize = 8 + 8 + 8 + KEY + 4;
/// Key, seconds, count, check.
const RECORD: usize = 8 + 8 + 4 + 4;

/// A count, and since when it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How often.
    pub count: u32,
    /// Seconds by the clock of the table's users.
    pub since: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    key: u64,
    value: Option<Count>,
}

/// The counts.
pub struct Table {
    /// Random for each table: nobody can choose keys that fall into the same slots.
    key: [u8; KEY],
    slots: Vec<Slot>,
    file: Option<File>,
    /// When it began without counts because its file was damaged; zero: it did not.
    lost: u64,
    forgotten: u64,
    failing: bool,
}

impl Table {
    /// A table with so many slots, rounded up, that ends with the program.
    pub fn new(slots: usize) -> Self {
        // Keys that are not zero: the pages are written now and not when the flood comes.
        let slots = vec![Slot { key: u64::MAX, value: None }; slots.next_multiple_of(WAYS)];
        Self { key: random::bytes(), slots, file: None, lost: 0, forgotten: FORGOTTEN, failing: false }
    }

    /// The same table, whose counts are forgotten so many seconds after the time that stands with them.
    pub fn forgetting_after(self, seconds: u64) -> Self {
        Self { forgotten: seconds, ..self }
    }

    /// Open the table that a file holds, or make both. A file that is damaged is put aside, as
    /// `NAME.damaged`; [`Self::lost`] then says that counts are missing.
    pub fn open(path: &Path, slots: usize, now: u64) -> Self {
        let mut table = Self::new(slots);
        let known = match fs::read(path) {
            Ok(bytes) => table.load(&bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => Some(false),
            Err(_) => None,
        };
        if known.is_none() {
            table.begin_anew(path, slots, now);
        }
        match table.file_at(path, known == Some(true)) {
            Ok(file) => table.file = Some(file),
            Err(e) => log::error!("{} cannot be used, so a restart forgets what it should count: {e}.", path.display()),
        }
        table
    }

    fn file_at(&self, path: &Path, exists: bool) -> io::Result<File> {
        if !exists {
            // As large as it will ever be, so that a full file system does not keep a count out.
            whole::write(path, &self.image(), whole::PRIVATE)?;
        }
        OpenOptions::new().write(true).open(path)
    }

    fn begin_anew(&mut self, path: &Path, slots: usize, now: u64) {
        *self = Self::new(slots);
        self.lost = now.max(1);
        let aside = path.with_extension("damaged");
        let _ = fs::rename(path, &aside);
        log::error!(
            "{} was damaged: failures and mails that it counted are lost, so everybody has fewer attempts for a while. \
             The damaged file is {}: remove it once you know why.",
            path.display(),
            aside.display()
        );
    }

    /// Return when counts were lost, while that matters: for so many seconds.
    pub fn lost(&self, matters: u64, now: u64) -> Option<u64> {
        (self.lost > 0 && now < self.lost.saturating_add(matters)).then_some(self.lost.min(now))
    }

    /// The number under which something is counted, which is made of these parts.
    pub fn key(&self, parts: &[&[u8]]) -> u64 {
        let lengths = parts.iter().flat_map(|part| (part.len() as u64).to_le_bytes());
        let text: Vec<u8> = self.key.iter().copied().chain(lengths).collect();
        let digest = parts.iter().fold(Sha256::new_with_prefix(text), |digest, part| digest.chain_update(part));
        u64::from_le_bytes(first(&digest.finalize()))
    }

    /// What stands under a key. What a clock that was set back has put into the future is of this moment.
    pub fn get(&self, key: u64, now: u64) -> Option<Count> {
        self.slots[self.home(key)]
            .iter()
            .filter(|slot| slot.key == key)
            .find_map(|slot| slot.current(self.forgotten, now))
    }

    /// Sets what stands under a key.
    pub fn put(&mut self, key: u64, value: Count, now: u64) {
        let home = self.home(key);
        let slots = &self.slots[home.clone()];
        let place = slots.iter().position(|slot| slot.key == key).or_else(|| least(slots, self.forgotten, now));
        if let Some(place) = place {
            self.set(home.start + place, Slot { key, value: Some(value) });
        }
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: u64) {
        for at in self.home(key).filter(|at| self.slots[*at].key == key).collect::<Vec<_>>() {
            self.set(at, Slot { key, value: None });
        }
    }

    fn set(&mut self, at: usize, slot: Slot) {
        self.slots[at] = slot;
        let Some(file) = &self.file else { return };
        let written = file.write_all_at(&self.record(at), (HEADER + at * RECORD) as u64);
        // Said once, and again once it has been well in between.
        if let (Err(e), false) = (&written, self.failing) {
            log::error!("Failed sign-ins are counted in memory only, and a restart forgets them: {e}.");
        }
        self.failing = written.is_err();
    }

    fn home(&self, key: u64) -> std::ops::Range<usize> {
        let homes = (self.slots.len() / WAYS) as u64;
        let first = (key % homes.max(1)) as usize * WAYS;
        first..first + WAYS
    }

    /// The whole file.
    fn image(&self) -> Vec<u8> {
        let mut image = self.header();
        image.extend((0..self.slots.len()).flat_map(|at| self.record(at)));
        image
    }

    fn header(&self) -> Vec<u8> {
        let numbers = [self.slots.len() as u64, self.lost].map(u64::to_le_bytes);
        let header = [&MAGIC[..], &numbers[0], &numbers[1], &self.key].concat();
        let check = Sha256::digest(&header);
        [&header[..], &check[..4]].concat()
    }

    /// A slot in the file. Zeros are an empty one.
    fn record(&self, at: usize) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        let Slot { key, value: Some(Count { count, since }) } = self.slots[at] else { return record };
        record[..8].copy_from_slice(&key.to_le_bytes());
        record[8..16].copy_from_slice(&since.to_le_bytes());
        record[16..20].copy_from_slice(&count.to_le_bytes());
        let check = self.check(at, &record);
        record[20..].copy_from_slice(&check);
        record
    }

    fn check(&self, at: usize, record: &[u8]) -> [u8; 4] {
        let digest = Sha256::new_with_prefix(self.key).chain_update((at as u64).to_le_bytes());
        first(&digest.chain_update(&record[..20]).finalize())
    }

    /// Take the counts of a file over; none if it is damaged, or another version's.
    fn load(&mut self, bytes: &[u8]) -> Option<bool> {
        let (header, records) = bytes.split_at_checked(HEADER)?;
        self.lost = u64::from_le_bytes(first(&header[16..]));
        self.key.copy_from_slice(&header[24..24 + KEY]);
        if header != self.header() || records.len() != self.slots.len() * RECORD {
            return None;
        }
        for at in 0..self.slots.len() {
            let record = &records[at * RECORD..][..RECORD];
            if record.iter().all(|byte| *byte == 0) {
                continue;
            }
            let (key, since) = (u64::from_le_bytes(first(record)), u64::from_le_bytes(first(&record[8..])));
            let count = u32::from_le_bytes(first(&record[16..]));
            if record[20..] != self.check(at, record) || !self.home(key).contains(&at) {
                return None;
            }
            self.slots[at] = Slot { key, value: Some(Count { count, since }) };
        }
        Some(true)
    }

    /// Bytes that the table holds on to.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    std::array::from_fn(|at| bytes[at])
}

impl Slot {
    fn current(&self, forgotten: u64, now: u64) -> Option<Count> {
        self.value.filter(|value| now < value.since.saturating_add(forgotten))
    }
}

/// The slot whose count is missed least.
fn least(slots: &[Slot], forgotten: u64, now: u64) -> Option<usize> {
    let weight =
        |slot: &Slot| slot.current(forgotten, now).map_or((false, 0, 0), |value| (true, value.count, value.since));
    slots.iter().enumerate().min_by_key(|(_, slot)| weight(slot)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;
    use std::os::unix::fs::PermissionsExt;

    /// Changes the bytes of a file that has a count at this place.
    type Damage = fn(&mut Vec<u8>, usize);

    fn count(count: u32, since: u64) -> Count {
        Count { count, since }
    }

    #[test]
    fn a_flood_pushes_out_its_own_and_takes_no_memory() {
        let mut table = Table::new(256);
        let before = table.bytes();
        let victim = table.key(&[b"alice"]);
        table.put(victim, count(9, 1), 1);
        for n in 0..10_000_u32 {
            table.put(table.key(&[&n.to_le_bytes()]), count(1, 2), 2);
        }
        assert_eq!(table.get(victim, 2), Some(count(9, 1)));
        assert_eq!(table.bytes(), before);
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let table = Table::new(8);
        assert_ne!(table.key(&[b"ab", b"c"]), table.key(&[b"a", b"bc"]));
        assert_ne!(table.key(&[b"ab"]), Table::new(8).key(&[b"ab"]));
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

    #[test]
    fn counts_outlive_a_crash_at_any_moment_in_a_file_that_does_not_grow() {
        let folder = Scratch::new();
        let path = folder.path().join("pairs");
        let size = || fs::metadata(&path).unwrap().len();
        let mut table = Table::open(&path, 64, 1);
        let (alice, bob) = (table.key(&[b"alice"]), table.key(&[b"bob"]));
        let before = size();
        table.put(alice, count(3, 7), 7);
        table.put(bob, count(4, 8), 8);
        table.remove(bob);
        // Nothing is written at the end: it may never come.
        std::mem::forget(table);
        let mut table = Table::open(&path, 64, 9);
        assert_eq!((table.key(&[b"alice"]), table.get(alice, 9), table.get(bob, 9)), (alice, Some(count(3, 7)), None));
        assert_eq!(table.lost(u64::MAX, 9), None);
        for n in 0..10_000_u32 {
            table.put(table.key(&[&n.to_le_bytes()]), count(1, 9), 9);
        }
        assert_eq!(size(), before);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_known_to_be_lost_also_after_a_restart() {
        let folder = Scratch::new();
        let path = folder.path().join("pairs");
        let whole = |n: u64| {
            let mut table = Table::open(&path, 64, 1);
            table.put(table.key(&[b"alice"]), count(3, 7), 7);
            (table.home(table.key(&[b"alice"])).start as u64 * RECORD as u64 + HEADER as u64 + n) as usize
        };
        let damage: [Damage; 7] = [
            |bytes, _| bytes.clear(),
            |bytes, _| bytes.truncate(HEADER + 5),
            |bytes, _| bytes.push(0),
            |bytes, _| bytes[30] ^= 1,
            |bytes, _| bytes.fill(b'x'),
            |bytes, at| bytes[at] ^= 1,
            |bytes, at| bytes[at + 16] = 0,
        ];
        for (n, change) in damage.iter().enumerate() {
            let _ = fs::remove_file(&path);
            let at = whole(0);
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes, at);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(Table::open(&path, 64, 100).lost(50, 149), Some(100), "{n}");
            let again = Table::open(&path, 64, 120);
            assert_eq!((again.lost(50, 149), again.lost(50, 150)), (Some(100), None), "{n}");
            assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), bytes);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        }
    }
}
