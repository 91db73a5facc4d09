//! How much room on disks sessions may take, one by one and together.

use super::raw::{Paths, Session};
use super::settings::{Fault, fault, parsed};
use crate::model::Bytes;

/// A share of a file system, or an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsAmount {
    /// Percent of the file system's size.
    Percent(u8),
    /// Bytes, whatever its size is.
    Bytes(Bytes),
}

impl FsAmount {
    /// Return the amount in bytes on a file system of that size in bytes.
    pub fn of(self, size: u64) -> u64 {
        match self {
            Self::Percent(percent) => size / 100 * u64::from(percent),
            Self::Bytes(bytes) => bytes.0,
        }
    }
}

/// The bounds of what sessions write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskLimits {
    /// The most that one session writes beyond its machine's image; `None`: no bound.
    pub session_max: Option<Bytes>,
    /// The most that all sessions write together on one file system.
    pub total_max: FsAmount,
    /// With less free than this, no session starts.
    pub start_reserve: FsAmount,
    /// With less free than this, the sessions that write are paused.
    pub pause_reserve: FsAmount,
}

pub(super) fn disk_limits(session: &Session, paths: &Paths) -> Result<DiskLimits, Fault> {
    let session_max: Bytes = parsed("session.disk_max", &session.disk_max)?;
    if session_max.0 != 0 && session_max.0 < 16 << 20 {
        return Err(fault("session.disk_max", "16M or more; \"0\": no bound"));
    }
    let limits = DiskLimits {
        session_max: Some(session_max).filter(|bytes| bytes.0 != 0),
        total_max: amount("paths.disk_total_max", &paths.disk_total_max)?,
        start_reserve: amount("paths.disk_start_reserve", &paths.disk_start_reserve)?,
        pause_reserve: amount("paths.disk_pause_reserve", &paths.disk_pause_reserve)?,
    };
    let swapped = match (limits.pause_reserve, limits.start_reserve) {
        (FsAmount::Percent(pause), FsAmount::Percent(start)) => pause > start,
        (FsAmount::Bytes(pause), FsAmount::Bytes(start)) => pause > start,
        // That depends on the file system.
        _ => false,
    };
    if swapped {
        return Err(fault("paths.disk_pause_reserve", "no more than paths.disk_start_reserve"));
    }
    Ok(limits)
}

fn amount(key: &'static str, text: &str) -> Result<FsAmount, Fault> {
    let Some(digits) = text.strip_suffix('%') else {
        return Ok(FsAmount::Bytes(parsed(key, text)?));
    };
    match digits.trim().parse() {
        Ok(percent) if percent <= 100 => Ok(FsAmount::Percent(percent)),
        _ => Err(fault(key, "a share such as \"10%\", 100% at most, or an amount such as \"20G\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(total: &str, start: &str, pause: &str) -> Paths {
        Paths {
            disk_total_max: total.into(),
            disk_start_reserve: start.into(),
            disk_pause_reserve: pause.into(),
            ..Paths::default()
        }
    }

    #[test]
    fn shares_and_amounts_are_read() {
        let limits = disk_limits(&Session::default(), &paths("80%", "2G", "512M")).unwrap();
        assert_eq!(limits.total_max.of(1000), 800);
        assert_eq!(limits.start_reserve.of(1000), 2 << 30);
        assert_eq!(limits.session_max, Some(Bytes(20 << 30)));
        let unbounded = Session { disk_max: "0".into(), ..Session::default() };
        assert_eq!(disk_limits(&unbounded, &Paths::default()).unwrap().session_max, None);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let key = |paths: &Paths| disk_limits(&Session::default(), paths).unwrap_err().0;
        assert_eq!(key(&paths("101%", "10%", "5%")), "paths.disk_total_max");
        assert_eq!(key(&paths("80%", "-1%", "5%")), "paths.disk_start_reserve");
        assert_eq!(key(&paths("80%", "10%", "x")), "paths.disk_pause_reserve");
        assert_eq!(key(&paths("80%", "5%", "10%")), "paths.disk_pause_reserve");
        assert_eq!(key(&paths("80%", "1G", "2G")), "paths.disk_pause_reserve");
        let small = Session { disk_max: "1M".into(), ..Session::default() };
        assert_eq!(disk_limits(&small, &Paths::default()).unwrap_err().0, "session.disk_max");
    }
}
