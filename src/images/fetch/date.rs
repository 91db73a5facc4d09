//! Times as HTTP writes them (RFC 9110, section 5.6.7).

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Sun, 06 Nov 1994 08:49:37 GMT`. Times before 1970 become 1970.
pub(super) fn date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (mut year, mut left) = (1970, days);
    while left >= days_of(year) {
        left -= days_of(year);
        year += 1;
    }
    let mut month = 0;
    while left >= month_days(year, month) {
        left -= month_days(year, month);
        month += 1;
    }
    let (weekday, name, day) = (DAYS[(days % 7) as usize], MONTHS[month], left + 1);
    format!("{weekday}, {day:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Return the Unix time of a text in that form; `None` for the obsolete forms and anything else.
pub(super) fn parsed(text: &str) -> Option<u64> {
    let mut words = text.strip_suffix(" GMT")?.split_once(", ")?.1.split([' ', ':']);
    let mut next = || words.next();
    let within = |word: &str, least: u64, most: u64| word.parse().ok().filter(|n| (least..=most).contains(n));
    let day = within(next()?, 1, 31)?;
    let name = next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let (year, hour) = (within(next()?, 1970, 9999)?, within(next()?, 0, 23)?);
    let (minute, second) = (within(next()?, 0, 59)?, within(next()?, 0, 60)?);
    let days = (1970..year).map(days_of).sum::<u64>() + (0..month).map(|m| month_days(year, m)).sum::<u64>() + day - 1;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn is_leap(year: u64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_days(year: u64, month: usize) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_servers_write_them() {
        let all = [0, 784_111_777, 951_782_400, 1_709_251_199, 4_102_444_799]
            .map(|seconds| date(UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!(
            all,
            [
                "Thu, 01 Jan 1970 00:00:00 GMT",
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Tue, 29 Feb 2000 00:00:00 GMT",
                "Thu, 29 Feb 2024 23:59:59 GMT",
                "Thu, 31 Dec 2099 23:59:59 GMT"
            ]
        );
        for seconds in [0, 784_111_777, 951_782_400, 1_709_251_199, 4_102_444_799] {
            assert_eq!(parsed(&date(UNIX_EPOCH + Duration::from_secs(seconds))), Some(seconds));
        }
    }

    #[test]
    fn what_is_no_such_time_is_none() {
        for text in [
            "",
            "soon",
            "Sun, 06 Nov 1994 08:49:37",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 99999999999 08:49:37 GMT",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }
}
