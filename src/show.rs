//! Amounts, times and states as people read them.

use crate::model::{Bytes, Lifetime, State};

/// `2 GiB`, `512 MiB`.
pub fn bytes(bytes: u64) -> String {
    Bytes(bytes).about()
}

/// `12 hours`, `1 day`; zero is "no end".
pub fn lifetime(seconds: u64) -> String {
    if seconds == 0 {
        return "no end".to_owned();
    }
    let text = Lifetime(seconds).to_string();
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "d" => "day",
        "h" => "hour",
        "m" => "minute",
        _ => "second",
    };
    format!("{number} {unit}{}", if number == "1" { "" } else { "s" })
}

/// The load of a host of so many CPUs as uptime(1) has it, `8.9 (2 CPUs)`, of one where 1 is all CPUs busy.
pub fn load(ratio: f64, cpus: u32) -> String {
    let noun = if cpus == 1 { "CPU" } else { "CPUs" };
    format!("{:.1} ({cpus} {noun})", ratio * f64::from(cpus))
}

/// So many seconds, as [`Lifetime::about`] has them.
pub fn span(seconds: u64) -> String {
    Lifetime(seconds).about()
}

/// The time left until `end`; zero is "no end".
pub fn left(end: u64, now: u64) -> String {
    match end {
        0 => "no end".to_owned(),
        end if end <= now => "ended".to_owned(),
        end => span(end - now),
    }
}

/// The same as a phrase of its own: `2 h 5 min left`.
pub fn remaining(end: u64, now: u64) -> String {
    let left = left(end, now);
    if end > now { left + " left" } else { left }
}

/// A session's state in words.
pub fn state(state: State) -> &'static str {
    match state {
        State::Queued => "Waiting",
        State::Starting => "Starting",
        State::Running => "Running",
        State::Paused => "Paused",
        State::Suspended => "Suspended",
        State::Stopping => "Shutting down",
        State::Ended => "Ended",
        State::Failed => "Failed",
    }
}

/// An ISO 8601 time in UTC, for `<time datetime>`.
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, with years that begin in March, so that the leap day comes last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, after_march) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + after_march;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The same for people whose browser runs no script to tell it in their own time zone.
pub fn moment(seconds: u64) -> String {
    let utc = utc(seconds);
    format!("{} UTC", utc.get(..16).unwrap_or(&utc).replace('T', " "))
}

/// The same to the second.
pub fn second(seconds: u64) -> String {
    format!("{} UTC", utc(seconds).trim_end_matches('Z').replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_as_uptime_has_it() {
        assert_eq!((load(4.44, 2).as_str(), load(0.25, 1).as_str()), ("8.9 (2 CPUs)", "0.2 (1 CPU)"));
    }

    #[test]
    fn amounts_read_well() {
        assert_eq!((lifetime(86_400).as_str(), lifetime(43_200).as_str()), ("1 day", "12 hours"));
        assert_eq!(
            (lifetime(5400).as_str(), lifetime(1).as_str(), lifetime(0).as_str()),
            ("90 minutes", "1 second", "no end")
        );
        assert_eq!([left(0, 5), left(4, 5), left(5, 5), left(65, 5)], ["no end", "ended", "ended", "1 min"]);
        assert_eq!([remaining(0, 5), remaining(5, 5), remaining(65, 5)], ["no end", "ended", "1 min left"]);
        for (seconds, text) in
            [(40, "40 s"), (420, "7 min"), (7500, "2 h 5 min"), (7200, "2 h"), (86_400, "1 d"), (90_000, "1 d 1 h")]
        {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn every_state_has_words_of_its_own() {
        use State::{Ended, Failed, Paused, Queued, Running, Starting, Stopping, Suspended};
        let words = [Queued, Starting, Running, Paused, Suspended, Stopping, Ended, Failed].map(state);
        let known = ["Waiting", "Starting", "Running", "Paused", "Suspended", "Shutting down", "Ended", "Failed"];
        assert_eq!(words, known);
    }

    #[test]
    fn dates_are_right_in_leap_years_too() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
        // Every day of a leap year.
        let lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let days = (1..).zip(lengths).flat_map(|(month, length)| (1..=length).map(move |day| (month, day)));
        for (number, (month, day)) in (19_723..).zip(days) {
            assert_eq!(utc(number * 86_400), format!("2024-{month:02}-{day:02}T00:00:00Z"));
        }
        assert_eq!(moment(951_782_460), "2000-02-29 00:01 UTC");
        assert_eq!(second(951_782_461), "2000-02-29 00:01:01 UTC");
    }
}
