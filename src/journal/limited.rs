//! Lines that a stranger can cause as often as they like: a few a minute for each client and cause, and then one
//! with the count of those that were left out. The table of clients is bounded: beyond it all others count as one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For so long lines are counted together.
const MINUTE: Duration = Duration::from_secs(60);
/// Clients and causes that are told apart at a time.
const TOLD_APART: usize = 1024;

/// Who caused a line, and by what; the cause is of a closed list.
type Key = (String, &'static str);

/// What has been written and left out of one client and cause within the current minute.
#[derive(Debug)]
struct Minute {
    ends: Instant,
    written: u32,
    left_out: u32,
    /// The latest line that was left out.
    last: String,
}

/// A log of such lines.
pub struct LimitedLog {
    write: fn(&str),
    /// Lines of one client and cause in a minute.
    most: u32,
    minutes: Mutex<HashMap<Key, Minute>>,
    changed: Condvar,
}

impl LimitedLog {
    /// Start a log, with a thread of its own that writes the counts. Where there is no thread, none are written.
    pub fn start(most: u32, write: fn(&str)) -> Arc<Self> {
        let log = Arc::new(Self { write, most, minutes: Mutex::default(), changed: Condvar::new() });
        let counter = Arc::clone(&log);
        let started = std::thread::Builder::new().name("log".to_owned()).spawn(move || counter.write_counts());
        drop(started);
        log
    }

    /// Write a line, or count it.
    pub fn note(&self, client: &str, cause: &'static str, line: &str) {
        if self.admit(client, cause, line) {
            (self.write)(line);
        }
    }

    /// Return whether the caller is to write a line, with fields of its own; else count it.
    pub fn admit(&self, client: &str, cause: &'static str, line: &str) -> bool {
        let is_admitted = self.admits(client, cause, line, Instant::now());
        if !is_admitted {
            self.changed.notify_all();
        }
        is_admitted
    }

    fn admits(&self, client: &str, cause: &'static str, line: &str, now: Instant) -> bool {
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        minutes.retain(|_, minute| minute.left_out > 0 || minute.ends > now);
        let key = (client.to_owned(), cause);
        let is_full = minutes.len() >= TOLD_APART && !minutes.contains_key(&key);
        let key = if is_full { (String::new(), cause) } else { key };
        let minute = minutes.entry(key).or_insert_with(|| Minute::from(now));
        if minute.written < self.most {
            minute.written += 1;
            return true;
        }
        minute.left_out = minute.left_out.saturating_add(1);
        line.clone_into(&mut minute.last);
        false
    }

    /// Return the counts of the minutes that are over, each of which begins another minute.
    fn due(&self, now: Instant) -> Vec<String> {
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        minutes.retain(|_, minute| minute.left_out > 0 || minute.ends > now);
        let over = minutes.values_mut().filter(|minute| minute.ends <= now);
        over.map(|minute| std::mem::replace(minute, Minute { written: u32::MAX, ..Minute::from(now) }).count())
            .collect()
    }

    fn write_counts(&self) -> ! {
        loop {
            self.due(Instant::now()).iter().for_each(|line| (self.write)(line));
            let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
            let next = minutes.values().filter(|minute| minute.left_out > 0).map(|minute| minute.ends).min();
            // Looked at anyway: that somebody panicked meanwhile does not matter.
            match next {
                Some(next) => {
                    drop(self.changed.wait_timeout(minutes, next.saturating_duration_since(Instant::now())));
                }
                None => drop(self.changed.wait(minutes)),
            }
        }
    }
}

impl Minute {
    fn from(now: Instant) -> Self {
        Self { ends: now + MINUTE, written: 0, left_out: 0, last: String::new() }
    }

    fn count(self) -> String {
        format!("{} ({} more such lines within a minute were left out.)", self.last, self.left_out)
    }
}

impl std::fmt::Debug for LimitedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LimitedLog").finish_non_exhaustive()
    }
}

/// Return a client as a line names it, and so that the many addresses of one IPv6 network are one client.
pub fn client_name(client: Option<IpAddr>) -> String {
    match client.map(|address| address.to_canonical()) {
        None => "an unknown address".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let network = std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
            format!("{network}/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(most: u32) -> LimitedLog {
        LimitedLog { write: |_| {}, most, minutes: Mutex::default(), changed: Condvar::new() }
    }

    #[test]
    fn a_client_has_a_line_a_minute_and_then_the_count() {
        let (log, start) = (log(1), Instant::now());
        assert!(log.admits("192.0.2.7", "refused", "No.", start));
        assert_eq!((0..11_386).filter(|_| log.admits("192.0.2.7", "refused", "No!", start)).count(), 0);
        assert!(log.admits("192.0.2.7", "other", "No.", start) && log.admits("192.0.2.8", "refused", "No.", start));
        assert!(log.due(start + MINUTE / 2).is_empty());
        assert_eq!(log.due(start + MINUTE), ["No! (11386 more such lines within a minute were left out.)"]);
        // The count was this minute's line.
        assert!(!log.admits("192.0.2.7", "refused", "No.", start + MINUTE));
        assert_eq!(log.due(start + 2 * MINUTE), ["No. (1 more such lines within a minute were left out.)"]);
        assert!(log.due(start + 4 * MINUTE).is_empty());
        assert!(log.admits("192.0.2.7", "refused", "No.", start + 4 * MINUTE));
    }

    #[test]
    fn many_clients_take_bounded_memory_and_lines() {
        let (log, start) = (log(3), Instant::now());
        let written = (0..5000).filter(|n| log.admits(&n.to_string(), "refused", "No.", start)).count();
        assert_eq!(log.minutes.lock().unwrap().len(), TOLD_APART + 1);
        assert_eq!(written, TOLD_APART + 3);
        assert_eq!(log.due(start + MINUTE).len(), 1);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let name = |address: &str| client_name(address.parse().ok());
        assert_eq!(name("2001:db8::1"), name("2001:db8::ffff:1"));
        assert_eq!((name("::ffff:192.0.2.7").as_str(), name("").as_str()), ("192.0.2.7", "an unknown address"));
    }
}
