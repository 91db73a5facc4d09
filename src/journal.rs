//! The journal: one line for each thing that happened, with the fields that tell a session's story.
//!
//! `journalctl QWD_SESSION=ID` shows what every program said about a session; the message ids are
//! stable, so that `journalctl MESSAGE_ID=…` finds one kind of event.

mod limited;

pub use limited::{LimitedLog, client_name};

use log::Level;
use std::fmt::Display;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Stable message ids, part of the contract.
pub mod id {
    /// A session was admitted and its unit started.
    pub const CREATED: &str = "8b02a3b636b44e6fb6f8a2e6c12da563";
    /// Its screen answers.
    pub const STARTED: &str = "06db2dbd72ed4627b54464bac262e347";
    /// It ended as wished: by its owner, an administrator or its guest.
    pub const STOPPED: &str = "563bf571cdcd438098b38d157167bd29";
    /// Its lifetime was over.
    pub const EXPIRED: &str = "48a78be4eaa14e3c93ec1218b1c2c51b";
    /// A request was refused.
    pub const REFUSED: &str = "269f6487e89c4adc9c2acc0599dfd6a5";
    /// It ended by an accident.
    pub const FAILED: &str = "d4e42bf32ee04d989bae62be4c7d4828";
    /// Somebody could not be signed in.
    pub const LOGIN_FAILED: &str = "0742d3f87e6d4816afc4da0af57e466b";
    /// A viewer came to its screen, or left it.
    pub const VIEWED: &str = "86242ccc7e8545c49fd15a3567bc7c5e";
    /// The configuration on disk cannot be used.
    pub const BAD_CONFIG: &str = "df4af6d7e7be4825899300346047af71";
}

/// Sends the log to the journal; where there is none (a developer's terminal), to standard error.
/// Called once at a program's start.
pub fn init() {
    let journal = systemd_journal_logger::JournalLog::new()
        .map(|log| log.with_syslog_identifier(called()).with_extra_fields(unit_of_root()))
        .and_then(|log| log.install().map_err(std::io::Error::other));
    if journal.is_err() {
        static STDERR: Stderr = Stderr;
        // A logger that is installed already is as good.
        let _ = log::set_logger(&STDERR);
    }
    log::set_max_level(log::LevelFilter::Info);
}

/// The name this program was called by: its file has several.
fn called() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    Path::new(&path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The field by which `journalctl --unit=` finds lines whose program has ended before the journal looked
/// up its unit, as the reaper may on a busy machine. Believed from root alone.
fn unit_of_root() -> Option<(&'static str, String)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    unit_in(&std::fs::read_to_string("/proc/self/cgroup").ok()?).map(|unit| ("OBJECT_SYSTEMD_UNIT", unit))
}

/// The service that /proc/PID/cgroup tells.
fn unit_in(groups: &str) -> Option<String> {
    let last = |line: &str| Some(line.rsplit_once('/')?.1.to_owned());
    groups.lines().filter_map(last).find(|name| name.ends_with(".service"))
}

/// Lets one line a minute into the journal, for what strangers can cause, and counts the others.
#[derive(Debug)]
pub struct OncePerMinute(Mutex<(Option<Instant>, u64)>);

impl OncePerMinute {
    /// A limit that has let no line through yet.
    pub const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Return how many lines were held back since the last one, if the next one is due.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, held_back) = *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < Duration::from_secs(60)) {
            state.1 += 1;
            return None;
        }
        *state = (Some(now), 0);
        Some(held_back)
    }
}

impl Default for OncePerMinute {
    fn default() -> Self {
        Self::new()
    }
}

struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{}: {}", record.level().as_str().to_ascii_lowercase(), record.args());
    }
    fn flush(&self) {}
}

/// Text from outside for a line of the journal: letters as they are, but on one line, with quotes and what nobody sees
/// escaped, and cut to so many characters.
pub fn plain(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(longest) {
        // It ends no quotation in a line: those have double quotes.
        if c == '\'' {
            shown.push(c);
        } else {
            shown.extend(c.escape_debug());
        }
    }
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    shown
}

/// Whom and what a line is about.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    /// The session's id.
    pub session: &'a str,
    /// Its owner.
    pub owner: &'a str,
    /// Its machine.
    pub machine: &'a str,
}

impl Story<'_> {
    /// Writes a line about this session, with a message id of [`id`].
    pub fn tell(&self, level: Level, message_id: &str, text: impl Display) {
        log::log!(level, MESSAGE_ID = message_id, QWD_SESSION = self.session, QWD_OWNER = self.owner,
            QWD_MACHINE = self.machine; "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::{OncePerMinute, unit_in};
    use std::time::{Duration, Instant};

    #[test]
    fn one_line_a_minute_tells_how_many_were_held_back() {
        let (limit, start) = (OncePerMinute::new(), Instant::now());
        let due = |seconds| limit.due_at(start + Duration::from_secs(seconds));
        assert_eq!([due(0), due(1), due(59), due(60), due(61)], [Some(0), None, None, Some(2), None]);
    }

    #[test]
    fn the_unit_is_told_by_either_version_of_control_groups() {
        let second = "0::/system.slice/system-qwd\\x2dended.slice/qwd-ended@abcdefghij.service\n";
        assert_eq!(unit_in(second).as_deref(), Some("qwd-ended@abcdefghij.service"));
        let first = "3:memory:/\n1:name=systemd:/system.slice/qwd-cleanup.service\n0::/\n";
        assert_eq!(unit_in(first).as_deref(), Some("qwd-cleanup.service"));
        assert_eq!(unit_in("0::/user.slice/user-0.slice/session-3.scope\n"), None);
        assert_eq!(unit_in(""), None);
    }
}
