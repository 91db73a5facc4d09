//! Amounts with a unit: bytes of memory or disk, seconds of lifetime.

use super::{Problem, text_newtype};
use std::{fmt, str::FromStr};

/// A number of bytes. Reads and shows as `512M`, `2G` (powers of 1024).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A duration in whole seconds; zero stands for "without end". Reads and shows as `90s`, `30m`, `4h`, `2d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lifetime(pub u64);

const BYTE_UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];
const TIME_UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl Bytes {
    /// For people, rounded down: `512 MiB`, `1.5 GiB`. What is small or large has tenths.
    pub fn about(self) -> String {
        const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let power = self.0.checked_ilog2().unwrap_or(0) / 10;
        let (whole, tenths) = (self.0 >> (10 * power), (u128::from(self.0) * 10) >> (10 * power));
        let tenth = if whole < 10 || power >= 3 { tenths % 10 } else { 0 };
        let fraction = if tenth == 0 { String::new() } else { format!(".{tenth}") };
        format!("{whole}{fraction} {}", UNITS[power as usize])
    }
}

impl Lifetime {
    /// For people, rounded down to the two largest units: `3 d 2 h`, `2 h 5 min`, `7 min`, `40 s`.
    pub fn about(self) -> String {
        let (days, hours, minutes) = (self.0 / 86_400, self.0 / 3600 % 24, self.0 / 60 % 60);
        let two = |a: u64, a_unit: &str, b: u64, b_unit: &str| match b {
            0 => format!("{a} {a_unit}"),
            b => format!("{a} {a_unit} {b} {b_unit}"),
        };
        match (days, hours, minutes) {
            (0, 0, 0) => format!("{} s", self.0),
            (0, 0, m) => format!("{m} min"),
            (0, h, m) => two(h, "h", m, "min"),
            (d, h, _) => two(d, "d", h, "h"),
        }
    }
}

/// Splits off the unit, multiplies without overflow. `None` for anything that is not `DIGITS[UNIT]`.
fn scaled(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let unit = units.iter().find(|(letter, _)| text.ends_with(*letter));
    let (digits, factor) = unit.map_or((text, 1), |(_, factor)| (&text[..text.len() - 1], *factor));
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn unscaled(value: u64, units: &[(char, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match units.iter().find(|(_, factor)| value != 0 && value % factor == 0) {
        Some((letter, factor)) => write!(f, "{}{letter}", value / factor),
        None => write!(f, "{value}"),
    }
}

impl FromStr for Bytes {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let short = text.strip_suffix("iB").or_else(|| text.strip_suffix('B')).unwrap_or(text);
        scaled(short, &BYTE_UNITS).map(Self).ok_or_else(|| {
            Problem::bad_request(
                "An amount of bytes is a whole number with K, M, G or T behind it, such as 512M or 2G.",
            )
        })
    }
}

impl FromStr for Lifetime {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        scaled(text, &TIME_UNITS).map(Self).ok_or_else(|| {
            Problem::bad_request("A time is a whole number with s, m, h or d behind it, such as 30m, 4h or 2d.")
        })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unscaled(self.0, &BYTE_UNITS, f)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unscaled(self.0, &TIME_UNITS, f)
    }
}

text_newtype!(Bytes);
text_newtype!(Lifetime);

macro_rules! number {
    ($name:ident) => {
        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                Self(number)
            }
        }
        impl From<$name> for u64 {
            fn from(amount: $name) -> Self {
                amount.0
            }
        }
    };
}
number!(Bytes);
number!(Lifetime);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_amounts_with_a_unit() {
        let all =
            [0, 1, 1023, 1024, 1536, 1 << 20, 194_150_400, (1 << 30) - 1, 1 << 30, 3 << 29, (40 << 30) + 7, 3 << 39];
        let told = [
            "0 B", "1 B", "1023 B", "1 KiB", "1.5 KiB", "1 MiB", "185 MiB", "1023 MiB", "1 GiB", "1.5 GiB", "40 GiB",
            "1.5 TiB",
        ];
        assert_eq!(all.map(|amount| Bytes(amount).about()), told);
        assert_eq!(Bytes(u64::MAX).about(), "15.9 EiB");
    }

    #[test]
    fn amounts_read_and_show_alike() {
        for text in ["512M", "2G", "1T", "100"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        for text in ["90s", "30m", "4h", "2d", "0"] {
            assert_eq!(text.parse::<Lifetime>().unwrap().to_string(), text);
        }
        assert_eq!("1GiB".parse::<Bytes>().unwrap(), Bytes(1 << 30));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "G", "-1G", "1.5G", "99999999999999999999G", "18446744073709551615K", "1 G", "+1", "0x10"] {
            assert!(text.parse::<Bytes>().is_err(), "{text:?}");
        }
        for text in ["", "h", "-4h", "4w", "99999999999999999999d", "4H"] {
            assert!(text.parse::<Lifetime>().is_err(), "{text:?}");
        }
    }
}
