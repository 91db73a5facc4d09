//! Slows failed sign-ins down, without letting one person lock another out.
//!
//! Three counts are kept: failures of a name from one client, names that failed from one client, and
//! clients from which a name failed. The first makes its own pair wait ever longer. The other two slow
//! down who tries many names or comes from many addresses; they make everybody else wait, too, but no
//! longer than [`OTHERS_MAX`], from their own first attempt on. A browser that has signed in under the
//! name before has a count of its own and waits for nobody. To shut an address out is fail2ban's.
//!
//! What is told to wait is neither checked nor counted. Memory is taken at the start.

use super::table::{Count, Table};
use std::net::IpAddr;

/// Failures of one pair that cost nothing: everybody mistypes.
const FREE: u32 = 3;
/// The longest that a pair waits for its own failures, in seconds.
const OWN_MAX: u64 = 900;
/// More failures than this make it no longer.
const OWN_COUNTED: u32 = 12;
/// In so many seconds one failure of a pair is forgiven.
const OWN_FORGIVEN: u64 = 600;
/// Names that may fail from one client: whole institutes share an address.
const NAMES_FREE: u32 = 10;
/// Clients from which a name may fail.
const CLIENTS_FREE: u32 = 5;
/// The longest that anybody waits for the failures of others, in seconds.
const OTHERS_MAX: u64 = 30;
/// More names or clients than this make it no longer.
const OTHERS_COUNTED: u32 = 50;
/// In so many seconds one name or client is forgiven.
const OTHERS_FORGIVEN: u64 = 300;

const PAIRS: usize = 8192;
const CLIENTS: usize = 4096;
const NAMES: usize = 4096;
/// It takes a flood of hundreds in each second to push out one who waits for half a minute.
const WAITING: usize = 16_384;

/// What is remembered of failed sign-ins.
pub struct Throttle {
    pairs: Table,
    clients: Table,
    names: Table,
    /// Pairs that have not failed, since when they wait for the failures of others.
    waiting: Table,
}

/// Who tries.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The name as typed.
    pub name: &'a str,
    /// The address they come from; none if Apache named none.
    pub client: Option<IpAddr>,
    /// The browser, if it has signed in under this name before.
    pub device: Option<&'a [u8]>,
}

/// An attempt that is being made. It counts as failed until it is said that it was not.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pair: u64,
    /// Client and name, if they were counted with it.
    others: Option<(u64, u64)>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            pairs: Table::new(PAIRS),
            clients: Table::new(CLIENTS),
            names: Table::new(NAMES),
            waiting: Table::new(WAITING),
        }
    }
}

impl Throttle {
    /// Counts an attempt before it is made, so that many at once are many; or how many seconds to wait.
    pub fn begin(&mut self, attempt: &Attempt<'_>, now: u64) -> Result<Counted, u64> {
        let name = attempt.name.trim().to_lowercase();
        let network = attempt.client.map(network);
        let (client_key, name_key) = (self.clients.key(network), self.names.key(&name));
        let pair = match attempt.device {
            Some(device) => self.pairs.key((&name, device)),
            None => self.pairs.key((&name, network)),
        };
        let others = match attempt.device {
            Some(_) => 0,
            None => self.others(client_key, name_key, now),
        };
        let before = self.pairs.get(pair, now);
        let failures = before.map_or(0, |count| left(count, OWN_FORGIVEN, now));
        let asked = before.or_else(|| self.waiting.get(pair, now));
        let wait = (asked.map_or(now, |count| count.since) + own(failures).max(others)).saturating_sub(now);
        if wait > 0 {
            if asked.is_none() {
                self.waiting.put(pair, Count { count: 0, since: now }, now);
            }
            // A clock that was set back makes nobody wait longer.
            return Err(wait.min(OWN_MAX));
        }
        self.waiting.remove(pair);
        self.pairs.put(pair, Count { count: (failures + 1).min(OWN_COUNTED), since: now }, now);
        let first = failures == 0 && attempt.device.is_none();
        if first {
            add(&mut self.clients, client_key, now);
            add(&mut self.names, name_key, now);
        }
        Ok(Counted { pair, others: first.then_some((client_key, name_key)) })
    }

    /// It was the right password: the pair has never failed.
    pub fn succeeded(&mut self, counted: &Counted, now: u64) {
        self.pairs.remove(counted.pair);
        self.forgive_others(counted, now);
    }

    /// It was a wrong password. The wait begins now, however long the check took.
    pub fn failed(&mut self, counted: &Counted, now: u64) {
        if let Some(Count { count, .. }) = self.pairs.get(counted.pair, now) {
            self.pairs.put(counted.pair, Count { count, since: now }, now);
        }
    }

    /// Nobody could say whether it was the right password.
    pub fn undecided(&mut self, counted: &Counted, now: u64) {
        take(&mut self.pairs, counted.pair, now);
        self.forgive_others(counted, now);
    }

    fn forgive_others(&mut self, counted: &Counted, now: u64) {
        if let Some((client, name)) = counted.others {
            take(&mut self.clients, client, now);
            take(&mut self.names, name, now);
        }
    }

    /// How long to wait for the failures of others.
    fn others(&self, client: u64, name: u64, now: u64) -> u64 {
        let of = |table: &Table, key, free| {
            let count = table.get(key, now).map_or(0, |count| left(count, OTHERS_FORGIVEN, now));
            u64::from((count + 1).saturating_sub(free)).min(OTHERS_MAX)
        };
        of(&self.clients, client, NAMES_FREE).max(of(&self.names, name, CLIENTS_FREE))
    }
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

/// What one client can easily come from: an IPv4 address, or the 64 bits of an IPv6 network.
pub fn network(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "192.0.2.7";
    const B: &str = "198.51.100.9";

    /// An attempt that fails; Err: the seconds to wait.
    fn fails(throttle: &mut Throttle, name: &str, client: &str, now: u64) -> Result<Counted, u64> {
        throttle.begin(&Attempt { name, client: Some(client.parse().unwrap()), device: None }, now)
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
    fn failures_of_one_person_do_not_keep_another_out() {
        let mut throttle = Throttle::default();
        while fails(&mut throttle, "alice", A, 1000).is_ok() {}
        assert!(fails(&mut throttle, "bob", A, 1000).is_ok());
        assert!(fails(&mut throttle, "alice", B, 1000).is_ok());
        assert!(fails(&mut throttle, "Alice ", A, 1000).is_err());
    }

    #[test]
    fn one_name_that_goes_on_failing_counts_once_for_its_client() {
        let mut throttle = Throttle::default();
        let (mut now, mut failures) = (1000, 0);
        while failures <= NAMES_FREE {
            match fails(&mut throttle, "alice", A, now) {
                Ok(_) => failures += 1,
                Err(wait) => now += wait,
            }
        }
        assert!(fails(&mut throttle, "bob", A, now).is_ok());
        assert!(fails(&mut throttle, "alice", B, now).is_ok());
        // And a browser that is known, not at all.
        for n in 0..2 * NAMES_FREE {
            let (name, client) = (format!("user{n}"), Some(A.parse().unwrap()));
            throttle.begin(&Attempt { name: &name, client, device: Some(b"laptop") }, now).unwrap();
        }
        assert!(fails(&mut throttle, "carol", A, now).is_ok());
    }

    #[test]
    fn however_many_have_failed_others_wait_no_longer_than_a_few_hours() {
        let mut throttle = Throttle::default();
        let client = throttle.clients.key(Some(network(A.parse().unwrap())));
        for _ in 0..1000 {
            add(&mut throttle.clients, client, 1000);
        }
        assert!(fails(&mut throttle, "bob", A, 1000).is_err());
        let later = 1000 + OTHERS_FORGIVEN * u64::from(OTHERS_COUNTED);
        assert!(fails(&mut throttle, "carol", A, later).is_ok());
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
    fn who_tries_many_names_or_comes_from_many_places_is_slowed() {
        let mut throttle = Throttle::default();
        let waits = (0..200).filter_map(|n| fails(&mut throttle, &format!("user{n}"), A, 1000).err());
        assert_eq!(waits.max(), Some(1));
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
        for (name, client) in [("bob", A), ("alice", B)] {
            let wait = fails(&mut throttle, name, client, 1200).unwrap_err();
            assert!((10..=OTHERS_MAX).contains(&wait), "{name}: {wait}");
        }
        for now in 1200..1200 + OTHERS_MAX {
            flood(&mut throttle, now);
        }
        for (name, client) in [("bob", A), ("alice", B)] {
            assert!(fails(&mut throttle, name, client, 1200 + OTHERS_MAX).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_known_browser_waits_for_nobody_but_itself() {
        let mut throttle = Throttle::default();
        for n in 0..400 {
            let _ = fails(&mut throttle, "alice", &format!("10.0.1.{}", n % 256), 1000 + n);
            let _ = fails(&mut throttle, "alice", A, 1000 + n);
        }
        let known = Attempt { name: "alice", client: Some(A.parse().unwrap()), device: Some(b"laptop") };
        for _ in 0..FREE {
            assert!(throttle.begin(&known, 1400).is_ok());
        }
        assert_eq!(throttle.begin(&known, 1400).unwrap_err(), 2);
    }

    #[test]
    fn a_right_password_clears_the_pair_and_no_more() {
        let mut throttle = Throttle::default();
        for n in 0..NAMES_FREE {
            fails(&mut throttle, &format!("user{n}"), A, 1000).unwrap();
        }
        assert!(fails(&mut throttle, "mallory", A, 1000).is_err());
        let own = fails(&mut throttle, "mallory", A, 1001).unwrap();
        throttle.succeeded(&own, 1001);
        assert!(fails(&mut throttle, "user99", A, 1001).is_err());
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
