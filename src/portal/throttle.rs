//! Slows failed sign-ins down.
//!
//! Three counts are kept: failures of a name from one client, failures of one client whatever the name, and
//! clients from which a name failed. The first makes its own pair wait ever longer. The second lets a client
//! fail a few times, and then one attempt after the other, however many it makes at once. The third slows
//! down who comes from many addresses: it makes everybody else who uses the name wait, too, but no longer than
//! [`OTHERS_MAX`], from their own first attempt on. A browser that has signed in under the name before has a
//! count of its own and does not wait for other people. All such browsers of a name together may fail as often as
//! one client, since everybody can have as many as they like; and what they fail is counted for their client, too,
//! though only until the next failure would make its others wait. To shut an address out is fail2ban's.
//!
//! An IPv6 client is counted in steps, since one can have a whole /48: as 64, 56 and 48 bits, of which the larger
//! may fail oftener.
//!
//! What is told to wait is neither checked nor counted. Memory is taken at the start. An attempt is in the
//! file before it is made, so no crash forgets it; see [`super::table`].

use super::table::{Count, Table};
pub use crate::model::network_of as network;
use crate::model::{CLIENT_STEPS, ClientNetworks};
use std::net::IpAddr;
use std::path::Path;

/// Failures of one pair that cost nothing: everybody mistypes.
const FREE: u32 = 3;
/// The longest that a pair waits for its own failures, in seconds.
const OWN_MAX: u64 = 900;
/// More failures than this make it no longer.
const OWN_COUNTED: u32 = 12;
/// In so many seconds one failure of a pair is forgiven.
const OWN_FORGIVEN: u64 = 600;
/// Failures of a client that cost nothing: whole institutes share an address.
const CLIENT_FREE: u64 = 10;
/// In so many seconds one failure of a client is forgiven.
const CLIENT_FORGIVEN: u64 = 30;
/// How much oftener than one client the networks of each step may fail.
const ALLOWANCES: [u64; CLIENT_STEPS] = [1, 2, 5];
/// The longest until all failures of a client are forgiven.
const OWED_MAX: u64 = CLIENT_FREE * CLIENT_FORGIVEN;
/// Clients from which a name may fail.
const CLIENTS_FREE: u32 = 5;
/// The longest that anybody waits for the failures of others, in seconds.
const OTHERS_MAX: u64 = 30;
/// More clients than this make it no longer.
const OTHERS_COUNTED: u32 = 50;
/// In so many seconds one client is forgiven.
const OTHERS_FORGIVEN: u64 = 300;

const PAIRS: usize = 8192;
const CLIENTS: usize = 4096;
const NAMES: usize = 4096;
/// It takes a flood of hundreds in each second to push out one who waits for half a minute.
const WAITING: usize = 16_384;

/// Failures of a client, by step.
pub type Failures = [u64; CLIENT_STEPS];

/// Under which key something is counted among the clients, and the seconds in which one failure is forgiven.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    key: u64,
    forgiven: u64,
}

/// What is remembered of failed sign-ins.
pub struct Throttle {
    pairs: Table,
    /// `since` is when all failures of the client will have been forgiven.
    clients: Table,
    names: Table,
    /// Pairs that have not failed, since when they wait for the failures of others. A restart may forget
    /// them: then they wait once more.
    waiting: Table,
}

/// Who tries.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The names that failures are counted under: one, or two where nothing says which of them is the person.
    pub names: &'a [String],
    /// The address they come from; none if Apache named none.
    pub client: Option<IpAddr>,
    /// The browser, if it has signed in under this name before.
    pub device: Option<&'a [u8]>,
}

/// An attempt that is being made. It counts as failed until it is said that it was not.
#[derive(Clone, Debug)]
pub struct Counted {
    pairs: Vec<u64>,
    /// As what it is counted among the clients.
    clients: Vec<Bucket>,
    /// Those of whose pairs it is the first.
    names: Vec<u64>,
}

/// How it stands with a name and a client, or a device.
struct Pair {
    key: u64,
    name: u64,
    failures: u32,
    is_first: bool,
    has_asked: bool,
    /// In seconds, for its own failures and for those of others.
    wait: u64,
}

impl Default for Throttle {
    fn default() -> Self {
        let [pairs, clients, names, waiting] = [PAIRS, CLIENTS, NAMES, WAITING].map(Table::new);
        Self { pairs, clients: clients.forgetting_after(0), names, waiting }
    }
}

impl Throttle {
    /// Open what the files of a directory remember.
    pub fn open(directory: &Path, now: u64) -> Self {
        Self {
            pairs: Table::open(&directory.join("pairs"), PAIRS, now),
            clients: Table::open(&directory.join("clients"), CLIENTS, now).forgetting_after(0),
            names: Table::open(&directory.join("names"), NAMES, now),
            ..Self::default()
        }
    }

    /// Counts an attempt before it is made, so that many at once are many; or how many seconds to wait.
    pub fn begin(&mut self, attempt: &Attempt<'_>, now: u64) -> Result<Counted, u64> {
        let buckets = self.buckets(attempt.client);
        let devices = attempt.device.map(|_| {
            let parts: Vec<&[u8]> = [b"devices".as_slice()].into_iter().chain(in_parts(attempt.names)).collect();
            self.bucket(&parts, 0)
        });
        buckets.iter().chain(&devices).for_each(|bucket| self.settle(*bucket, now));
        let client = match devices {
            Some(bucket) => self.client_wait(bucket, now),
            None => buckets.iter().map(|bucket| self.client_wait(*bucket, now)).max().unwrap_or(0),
        };
        let pairs: Vec<Pair> = attempt.names.iter().map(|name| self.pair(attempt, name, now)).collect();
        let wait = pairs.iter().map(|pair| pair.wait).max().unwrap_or(0).max(client);
        if wait > 0 {
            for pair in pairs.iter().filter(|pair| !pair.has_asked) {
                self.waiting.put(pair.key, Count { count: 0, since: now }, now);
            }
            return Err(wait.min(OWN_MAX));
        }
        let counts = |bucket: &Bucket| devices.is_none() || self.client_wait_after(*bucket, now) == 0;
        let clients: Vec<Bucket> = devices.into_iter().chain(buckets.into_iter().filter(counts)).collect();
        clients.iter().for_each(|bucket| self.add_to_client(*bucket, now));
        for pair in &pairs {
            self.waiting.remove(pair.key);
            self.pairs.put(pair.key, Count { count: (pair.failures + 1).min(OWN_COUNTED), since: now }, now);
        }
        let names: Vec<u64> = pairs.iter().filter(|pair| pair.is_first && devices.is_none()).map(|p| p.name).collect();
        names.iter().for_each(|key| add(&mut self.names, *key, now));
        Ok(Counted { pairs: pairs.iter().map(|pair| pair.key).collect(), clients, names })
    }

    /// Return how it stands with one of the names of an attempt.
    fn pair(&mut self, attempt: &Attempt<'_>, name: &str, now: u64) -> Pair {
        let key = match attempt.device {
            Some(device) => self.pairs.key(&[b"device", name.as_bytes(), device]),
            None => self.pairs.key(&[b"client", name.as_bytes(), &in_bytes(attempt.client)]),
        };
        let name = self.names.key(&[name.as_bytes()]);
        let others = if attempt.device.is_some() { 0 } else { self.others(name, now) };
        let before = self.stored(key, now);
        let failures = before.map_or(0, |count| left(count, OWN_FORGIVEN, now));
        let is_first = failures == 0 || self.pairs.get(key, now).is_none();
        let asked = before.or_else(|| self.waiting.get(key, now));
        let own = own(failures).max(others);
        let wait = asked.map_or(own, |count| (count.since + own).saturating_sub(now));
        Pair { key, name, failures, is_first, has_asked: asked.is_some(), wait }
    }

    /// It was the right password: the pair has never failed. Of two, one may be somebody else's, whose failures
    /// nobody has cleared.
    pub fn succeeded(&mut self, counted: &Counted, now: u64) {
        match counted.pairs[..] {
            [pair] => self.pairs.remove(pair),
            ref pairs => pairs.iter().for_each(|pair| take(&mut self.pairs, *pair, now)),
        }
        self.forgive_others(counted, now);
    }

    /// It was a wrong password. The wait begins now, however long the check took.
    pub fn failed(&mut self, counted: &Counted, now: u64) {
        for pair in &counted.pairs {
            if let Some(Count { count, .. }) = self.pairs.get(*pair, now) {
                self.pairs.put(*pair, Count { count, since: now }, now);
            }
        }
    }

    /// Nobody could say whether it was the right password.
    pub fn undecided(&mut self, counted: &Counted, now: u64) {
        counted.pairs.iter().for_each(|pair| take(&mut self.pairs, *pair, now));
        self.forgive_others(counted, now);
    }

    /// Return how many failures of a client are not forgiven yet; an attempt that is being made is one.
    pub fn failures(&self, client: Option<IpAddr>, now: u64) -> Failures {
        let mut failures = [0; CLIENT_STEPS];
        for (failures, bucket) in failures.iter_mut().zip(self.buckets(client)) {
            *failures = self.owed(bucket, now).div_ceil(bucket.forgiven);
        }
        failures
    }

    fn buckets(&self, client: Option<IpAddr>) -> Vec<Bucket> {
        client_keys(client).iter().enumerate().map(|(step, (key, _))| self.bucket(&[key], step)).collect()
    }

    fn bucket(&self, parts: &[&[u8]], step: usize) -> Bucket {
        Bucket { key: self.clients.key(parts), forgiven: CLIENT_FORGIVEN / ALLOWANCES[step] }
    }

    fn forgive_others(&mut self, counted: &Counted, now: u64) {
        for bucket in &counted.clients {
            let owed = self.owed(*bucket, now).saturating_sub(bucket.forgiven);
            self.owe(*bucket, owed, now);
        }
        counted.names.iter().for_each(|name| take(&mut self.names, *name, now));
    }

    /// The count of a pair. Where counts have been lost, each pair has used up its free failures.
    fn stored(&mut self, pair: u64, now: u64) -> Option<Count> {
        let lost = self.pairs.lost(OWN_FORGIVEN * u64::from(FREE), now);
        let count = self.pairs.get(pair, now);
        match count.filter(|count| count.since > now) {
            // The clock was set back: the wait begins now, and ends.
            Some(Count { count, .. }) => {
                self.pairs.put(pair, Count { count, since: now }, now);
                Some(Count { count, since: now })
            }
            None => count.or(lost.map(|since| Count { count: FREE, since })),
        }
    }

    /// Have a client's failures forgiven from now on, where a clock was set back.
    fn settle(&mut self, bucket: Bucket, now: u64) {
        if self.clients.get(bucket.key, now).is_some_and(|count| count.since > now + OWED_MAX) {
            self.owe(bucket, OWED_MAX, now);
        }
    }

    /// How long until all failures of a client are forgiven.
    fn owed(&self, bucket: Bucket, now: u64) -> u64 {
        let lost = self.clients.lost(OWED_MAX, now).map(|since| since + OWED_MAX);
        let until = self.clients.get(bucket.key, now).map(|count| count.since);
        until.into_iter().chain(lost).max().map_or(0, |until| until.saturating_sub(now)).min(OWED_MAX)
    }

    fn owe(&mut self, bucket: Bucket, owed: u64, now: u64) {
        let count = u32::try_from(owed.div_ceil(bucket.forgiven)).unwrap_or(u32::MAX);
        self.clients.put(bucket.key, Count { count, since: now + owed }, now);
    }

    fn add_to_client(&mut self, bucket: Bucket, now: u64) {
        let owed = self.owed(bucket, now) + bucket.forgiven;
        self.owe(bucket, owed, now);
    }

    /// How long until a client may fail once more.
    fn client_wait(&self, bucket: Bucket, now: u64) -> u64 {
        self.owed(bucket, now).saturating_sub(OWED_MAX - bucket.forgiven)
    }

    /// Return the same as it would be after one more failure.
    fn client_wait_after(&self, bucket: Bucket, now: u64) -> u64 {
        (self.owed(bucket, now) + bucket.forgiven).saturating_sub(OWED_MAX - bucket.forgiven)
    }

    /// Return the number that stands for the names of an account.
    pub fn account(&self, names: &[String]) -> u64 {
        self.names.key(&in_parts(names).collect::<Vec<_>>())
    }

    /// How long to wait for the failures of others.
    fn others(&self, name: u64, now: u64) -> u64 {
        let count = self.names.get(name, now).map_or(0, |count| left(count, OTHERS_FORGIVEN, now));
        u64::from((count + 1).saturating_sub(CLIENTS_FREE)).min(OTHERS_MAX)
    }
}

fn in_parts(names: &[String]) -> impl Iterator<Item = &[u8]> {
    names.iter().map(|name| name.as_bytes())
}

/// The key of a client in tables.
fn in_bytes(client: Option<IpAddr>) -> Vec<u8> {
    client.map(network).into_iter().flat_map(u64::to_le_bytes).collect()
}

/// Return what a client is counted as: the key of each of its networks, the smallest first, and how much oftener than
/// one client that one may do something.
pub fn client_keys(client: Option<IpAddr>) -> Vec<(Vec<u8>, u64)> {
    let larger = ClientNetworks::of(client).larger().map(|(step, bits)| {
        let key = bits.to_le_bytes().into_iter().chain([step as u8]).collect();
        (key, ALLOWANCES[step])
    });
    [(in_bytes(client), ALLOWANCES[0])].into_iter().chain(larger).collect()
}

/// How long a pair waits after so many failures.
fn own(failures: u32) -> u64 {
    match failures.checked_sub(FREE) {
        None => 0,
        Some(more) => (2 << more).min(OWN_MAX),
    }
}

/// What is left of a count after some of it has been forgiven.
fn left(count: Count, forgiven: u64, now: u64) -> u32 {
    let less = now.saturating_sub(count.since) / forgiven;
    count.count.saturating_sub(u32::try_from(less).unwrap_or(u32::MAX))
}

fn add(table: &mut Table, key: u64, now: u64) {
    let before = table.get(key, now).map_or(0, |count| left(count, OTHERS_FORGIVEN, now));
    table.put(key, Count { count: (before + 1).min(OTHERS_COUNTED), since: now }, now);
}

fn take(table: &mut Table, key: u64, now: u64) {
    if let Some(Count { count, since }) = table.get(key, now) {
        table.put(key, Count { count: count.saturating_sub(1), since }, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;

    const A: &str = "192.0.2.7";
    const B: &str = "198.51.100.9";

    /// An attempt that fails; Err: the seconds to wait.
    fn fails(throttle: &mut Throttle, name: &str, client: &str, now: u64) -> Result<Counted, u64> {
        throttle.begin(&Attempt { names: &[name.to_owned()], client: Some(client.parse().unwrap()), device: None }, now)
    }

    #[test]
    fn a_pair_that_goes_on_failing_waits_ever_longer() {
        let mut throttle = Throttle::default();
        let (mut now, mut waits) = (1000, Vec::new());
        for _ in 0..14 {
            if let Err(wait) = fails(&mut throttle, "alice", A, now) {
                waits.push(wait);
                now += wait;
                fails(&mut throttle, "alice", A, now).unwrap();
            }
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    }

    #[test]
    fn a_name_that_may_be_two_counts_for_both_and_clears_neither() {
        let mut throttle = Throttle::default();
        let both = ["exp".to_owned(), "alice".to_owned()];
        let attempt = Attempt { names: &both, client: A.parse().ok(), device: None };
        let first = throttle.begin(&attempt, 1000).unwrap();
        throttle.begin(&attempt, 1000).unwrap();
        for name in &both {
            assert!(fails(&mut throttle, name, A, 1000).is_ok() && fails(&mut throttle, name, A, 1000).is_err());
        }
        assert_eq!(throttle.begin(&attempt, 1000).unwrap_err(), 2);
        // A right password takes back its own attempt.
        throttle.succeeded(&first, 1000);
        for name in &both {
            assert!(fails(&mut throttle, name, A, 1000).is_ok() && fails(&mut throttle, name, A, 1000).is_err());
        }
    }

    #[test]
    fn failures_of_one_person_do_not_keep_another_out() {
        let mut throttle = Throttle::default();
        while fails(&mut throttle, "alice", A, 1000).is_ok() {}
        assert!(fails(&mut throttle, "bob", A, 1000).is_ok());
        assert!(fails(&mut throttle, "alice", B, 1000).is_ok());
    }

    #[test]
    fn a_client_may_fail_a_few_times_and_then_once_in_half_a_minute() {
        let mut throttle = Throttle::default();
        let mut guesses = 0;
        for now in 1000..1000 + 10 * CLIENT_FORGIVEN {
            // Names that were never tried before, all at once and in each second.
            for n in 0..240 {
                let wait = fails(&mut throttle, &format!("user{now}-{n}"), A, now).err();
                guesses += u32::from(wait.is_none());
                assert!(wait.unwrap_or_default() <= OTHERS_MAX);
            }
        }
        assert_eq!(guesses, 10 + 9);
        assert!(fails(&mut throttle, "user1000-0", B, 1000).is_ok());
        let later = 1000 + 20 * CLIENT_FORGIVEN;
        assert_eq!(throttle.failures(A.parse().ok(), later)[0], 0);
        assert_eq!((0..20).filter(|n| fails(&mut throttle, &format!("later{n}"), A, later).is_ok()).count(), 10);
    }

    #[test]
    fn right_passwords_cost_a_client_nothing() {
        let mut throttle = Throttle::default();
        for n in 0..100 {
            let name = format!("student{n}");
            let counted = fails(&mut throttle, &name, A, 1000).unwrap();
            assert_eq!(throttle.failures(A.parse().ok(), 1000)[0], 1);
            throttle.succeeded(&counted, 1000);
        }
        assert_eq!(throttle.failures(A.parse().ok(), 1000)[0], 0);
        // The same goes for browsers that are known.
        for n in 0..20 {
            let (name, client) = (format!("user{n}"), Some(A.parse().unwrap()));
            let counted = throttle.begin(&Attempt { names: &[name], client, device: Some(b"laptop") }, 1000).unwrap();
            throttle.succeeded(&counted, 1000);
        }
        assert_eq!(throttle.failures(A.parse().ok(), 1000)[0], 0);
    }

    /// How many attempts with devices of their own are not told to wait.
    fn with_devices(throttle: &mut Throttle, name: &str, client: &str, now: u64) -> usize {
        let devices = (0..100_u32).map(|n| (u64::from(n) ^ now).to_le_bytes());
        devices
            .filter(|device| {
                let attempt = Attempt { names: &[name.to_owned()], client: client.parse().ok(), device: Some(device) };
                throttle.begin(&attempt, now).is_ok()
            })
            .count()
    }

    #[test]
    fn many_known_browsers_of_one_account_fail_as_often_as_one_client() {
        let mut throttle = Throttle::default();
        let guesses = (0..10).map(|n| with_devices(&mut throttle, "mallory", &format!("10.0.0.{n}"), 1000));
        assert_eq!(guesses.sum::<usize>() as u64, CLIENT_FREE);
        assert_eq!(with_devices(&mut throttle, "mallory", B, 1000 + CLIENT_FORGIVEN), 1);
        // A right password clears no more than its own attempt.
        let known = Attempt { names: &["mallory".to_owned()], client: B.parse().ok(), device: Some(b"laptop") };
        let right = throttle.begin(&known, 1000 + 2 * CLIENT_FORGIVEN).unwrap();
        throttle.succeeded(&right, 1000 + 2 * CLIENT_FORGIVEN);
        assert_eq!(with_devices(&mut throttle, "mallory", B, 1000 + 2 * CLIENT_FORGIVEN), 1);
    }

    #[test]
    fn what_a_known_browser_fails_counts_for_its_client_and_makes_no_other_wait() {
        let mut throttle = Throttle::default();
        assert_eq!(with_devices(&mut throttle, "mallory", A, 1000) as u64, CLIENT_FREE);
        assert_eq!(with_devices(&mut throttle, "malice", A, 1000) as u64, CLIENT_FREE);
        assert_eq!(throttle.failures(A.parse().ok(), 1000)[0], CLIENT_FREE - 1);
        assert!(fails(&mut throttle, "alice", A, 1000).is_ok());
        assert!(fails(&mut throttle, "alice", A, 1000).is_err());
    }

    #[test]
    fn clients_that_were_forgiven_make_room_for_those_that_fail() {
        let mut throttle = Throttle::default();
        for n in 0..4 * CLIENTS as u32 {
            let client = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
            for name in ["a", "b", "c"] {
                let _ = fails(&mut throttle, &format!("{name}{n}"), &client, 1000);
            }
        }
        let later = 1000 + 3 * CLIENT_FORGIVEN;
        for n in 0..100_u32 {
            let client = format!("192.0.2.{n}");
            fails(&mut throttle, &format!("x{n}"), &client, later).unwrap();
        }
        let counted =
            (0..100).filter(|n| throttle.failures(format!("192.0.2.{n}").parse().ok(), later)[0] == 1).count();
        assert_eq!(counted, 100);
    }

    #[test]
    fn a_restart_forgets_nothing() {
        let folder = Scratch::new();
        let mut throttle = Throttle::open(folder.path(), 1000);
        while fails(&mut throttle, "alice", A, 1000).is_ok() {}
        std::mem::forget(throttle);
        let mut throttle = Throttle::open(folder.path(), 1001);
        assert_eq!(fails(&mut throttle, "alice", A, 1001).unwrap_err(), 1);
        for n in 0..CLIENT_FREE {
            let _ = fails(&mut throttle, &format!("user{n}"), A, 1001);
        }
        drop(throttle);
        let mut throttle = Throttle::open(folder.path(), 1002);
        assert!(fails(&mut throttle, "bob", A, 1002).unwrap_err() > 20);
        assert!(fails(&mut throttle, "bob", B, 1002).is_ok());
    }

    #[test]
    fn a_damaged_file_makes_it_stricter_for_a_while() {
        let folder = Scratch::new();
        drop(Throttle::open(folder.path(), 1000));
        for name in ["pairs", "clients", "names"] {
            std::fs::write(folder.path().join(name), "noise").unwrap();
        }
        let mut throttle = Throttle::open(folder.path(), 2000);
        let guesses = |throttle: &mut Throttle, client: &str, now: u64| {
            (0..50).filter(|n| fails(throttle, &format!("u{n}"), client, now).is_ok()).count()
        };
        assert_eq!(guesses(&mut throttle, A, 2000), 0);
        assert_eq!(guesses(&mut throttle, A, 2000 + CLIENT_FORGIVEN), 1);
        // A name has the free failures behind it, wherever they came from.
        let later = 2000 + CLIENT_FREE * CLIENT_FORGIVEN;
        fails(&mut throttle, "alice", B, later).unwrap();
        assert_eq!(fails(&mut throttle, "alice", B, later).unwrap_err(), 4);
        let last = 2000 + OWN_FORGIVEN * u64::from(FREE);
        assert_eq!((0..9).filter(|_| fails(&mut throttle, "carol", B, last).is_ok()).count(), FREE as usize);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_for_days() {
        let mut throttle = Throttle::default();
        let day = 86_400;
        while fails(&mut throttle, "alice", A, 10 * day).is_ok() {}
        for n in 0..CLIENT_FREE {
            let _ = fails(&mut throttle, &format!("user{n}"), A, 10 * day);
        }
        let wait = fails(&mut throttle, "alice", A, 9 * day).unwrap_err();
        assert!(wait <= OTHERS_MAX, "{wait}");
        assert!(fails(&mut throttle, "alice", A, 9 * day + wait).is_ok());
    }

    #[test]
    fn an_attempt_that_is_told_to_wait_is_not_counted() {
        let mut throttle = Throttle::default();
        while fails(&mut throttle, "alice", A, 1000).is_ok() {}
        for _ in 0..1000 {
            assert_eq!(fails(&mut throttle, "alice", A, 1000).unwrap_err(), 2);
        }
        assert!(fails(&mut throttle, "alice", A, 1002).is_ok());
    }

    #[test]
    fn who_comes_from_many_places_is_slowed() {
        let mut throttle = Throttle::default();
        let waits = (0..200).filter_map(|n| fails(&mut throttle, "alice", &format!("10.0.0.{n}"), 1000 + n / 9).err());
        assert!(waits.count() > 50);
    }

    #[test]
    fn who_has_not_failed_waits_for_others_once_and_not_long() {
        let mut throttle = Throttle::default();
        // Everybody of the flood comes back as soon as they may, and goes on for good.
        let flood = |throttle: &mut Throttle, now: u64| {
            for n in 0..400 {
                let _ = fails(throttle, &format!("user{}", n + (now / 40) * 400), A, now);
                let _ = fails(throttle, "alice", &format!("10.{}.{}.{}", now / 40, n / 256, n % 256), now);
            }
        };
        for now in 1000..1200 {
            flood(&mut throttle, now);
        }
        let wait = fails(&mut throttle, "alice", B, 1200).unwrap_err();
        assert!((10..=OTHERS_MAX).contains(&wait), "{wait}");
        for now in 1200..1200 + OTHERS_MAX {
            flood(&mut throttle, now);
        }
        assert!(fails(&mut throttle, "alice", B, 1200 + OTHERS_MAX).is_ok());
        // At the address of the flood, somebody else gets in turn.
        assert!(fails(&mut throttle, "bob", A, 1200).unwrap_err() <= OTHERS_MAX);
    }

    #[test]
    fn a_known_browser_waits_for_nobody_but_itself() {
        let mut throttle = Throttle::default();
        for n in 0..400 {
            let _ = fails(&mut throttle, "alice", &format!("10.0.1.{}", n % 256), 1000 + n);
            let _ = fails(&mut throttle, "alice", A, 1000 + n);
        }
        let known = Attempt { names: &["alice".to_owned()], client: Some(A.parse().unwrap()), device: Some(b"laptop") };
        for _ in 0..FREE {
            assert!(throttle.begin(&known, 1400).is_ok());
        }
        assert_eq!(throttle.begin(&known, 1400).unwrap_err(), 2);
    }

    #[test]
    fn a_right_password_clears_the_pair_and_no_more() {
        let mut throttle = Throttle::default();
        for n in 0..CLIENT_FREE {
            fails(&mut throttle, &format!("user{n}"), A, 1000).unwrap();
        }
        assert!(fails(&mut throttle, "mallory", A, 1000).is_err());
        let own = fails(&mut throttle, "mallory", A, 1030).unwrap();
        throttle.succeeded(&own, 1030);
        assert!(fails(&mut throttle, "user99", A, 1030).is_ok());
        assert!(fails(&mut throttle, "user98", A, 1030).is_err());
        for _ in 0..3 * FREE {
            let own = fails(&mut throttle, "bob", B, 1001).unwrap();
            throttle.succeeded(&own, 1001);
        }
    }

    #[test]
    fn a_slow_check_does_not_shorten_the_wait() {
        let mut throttle = Throttle::default();
        for _ in 0..FREE {
            let counted = fails(&mut throttle, "alice", A, 1000).unwrap();
            throttle.failed(&counted, 1000);
        }
        let counted = fails(&mut throttle, "alice", A, 1002).unwrap();
        throttle.failed(&counted, 1030);
        assert_eq!(fails(&mut throttle, "alice", A, 1030).unwrap_err(), 4);
    }

    #[test]
    fn what_nobody_could_check_is_no_failure() {
        let mut throttle = Throttle::default();
        for _ in 0..100 {
            let counted = fails(&mut throttle, "alice", A, 1000).unwrap();
            throttle.undecided(&counted, 1000);
        }
        assert!(fails(&mut throttle, "alice", A, 1000).is_ok());
    }

    #[test]
    fn attempts_at_the_same_moment_are_all_counted() {
        let mut throttle = Throttle::default();
        let at_once: Vec<_> = (0..16).map(|_| fails(&mut throttle, "alice", A, 1000)).collect();
        assert_eq!(at_once.iter().filter(|attempt| attempt.is_ok()).count(), FREE as usize);
    }

    #[test]
    fn failures_are_forgiven_with_time() {
        let mut throttle = Throttle::default();
        while fails(&mut throttle, "alice", A, 1000).is_ok() {}
        let later = 1000 + OWN_FORGIVEN * u64::from(FREE);
        for _ in 0..FREE {
            assert!(fails(&mut throttle, "alice", A, later).is_ok());
        }
        // A clock that goes back makes nobody wait for ever.
        assert!(fails(&mut throttle, "alice", A, 1).unwrap_err() <= OWN_MAX);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }

    #[test]
    fn a_large_ipv6_network_is_a_few_clients() {
        let guesses = |throttle: &mut Throttle, network: &str, now: u64| {
            let address = |n: u32| network.replace('*', &format!("{n:02x}"));
            (0..256).filter(|n| fails(throttle, &format!("{now}-{n}"), &address(*n), now).is_ok()).count() as u64
        };
        let mut throttle = Throttle::default();
        assert_eq!(guesses(&mut throttle, "2001:db8:1:1:*::1", 1000), CLIENT_FREE);
        assert_eq!(guesses(&mut throttle, "2001:db8:2:1*::1", 1000), 2 * CLIENT_FREE);
        assert_eq!(guesses(&mut throttle, "2001:db8:3:*00::1", 1000), 5 * CLIENT_FREE);
        assert_eq!(guesses(&mut throttle, "2001:db8:3:*00::1", 1000 + CLIENT_FORGIVEN), 5);
        // What was right is no failure of any of them.
        let counted = fails(&mut throttle, "alice", "2001:db8:4::1", 1000).unwrap();
        throttle.succeeded(&counted, 1000);
        assert_eq!(throttle.failures("2001:db8:4::1".parse().ok(), 1000), [0; CLIENT_STEPS]);
    }

    #[test]
    fn ten_thousand_strangers_take_no_memory() {
        let mut throttle = Throttle::default();
        let bytes = |t: &Throttle| t.pairs.bytes() + t.clients.bytes() + t.names.bytes() + t.waiting.bytes();
        let before = bytes(&throttle);
        let mut now = 1000;
        while now < 1010 {
            now += fails(&mut throttle, "alice", A, now).err().unwrap_or_default();
        }
        while fails(&mut throttle, "alice", A, now).is_ok() {}
        for n in 0..10_000_u32 {
            let client = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
            let _ = fails(&mut throttle, &format!("user{n}"), &client, now);
        }
        assert_eq!(bytes(&throttle), before);
        assert!(before < 2 << 20);
        // Who was slowed before is not freed by the flood.
        assert!(fails(&mut throttle, "alice", A, now).is_err());
    }
}
