//! When a session ends, and how far that can be moved.

use crate::model::{Lifetime, Problem};

/// The end and the latest possible end of a session made at `now`; zero stands for "never".
pub fn initial(now: u64, wanted: Lifetime, most: Lifetime) -> Result<(u64, u64), Problem> {
    if most.0 != 0 && (wanted.0 == 0 || wanted.0 > most.0) {
        return Err(Problem::bad_request(format!("A session can live for {most} at most (snapshot_lifetime).")));
    }
    let end = |life: Lifetime| {
        if life.0 == 0 { Some(0) } else { now.checked_add(life.0) }
    };
    match (end(wanted), end(most)) {
        (Some(expires), Some(cap)) => Ok((expires, cap)),
        _ => Err(Problem::bad_request("That lifetime is too long.")),
    }
}

/// The end after an extension by so many seconds, or why it cannot be.
pub fn extended(expires_at: u64, cap: u64, seconds: u64) -> Result<u64, Problem> {
    if expires_at == 0 {
        return Err(Problem::bad_request("This session has no end, so there is nothing to extend."));
    }
    if seconds == 0 {
        return Err(Problem::bad_request("Extending takes a time of a second or more, such as 2h."));
    }
    let moved = expires_at.checked_add(seconds).filter(|t| cap == 0 || *t <= cap);
    moved.ok_or_else(|| {
        let left = Lifetime(cap.saturating_sub(expires_at));
        Problem::new(
            crate::model::Word::LimitReached,
            format!("This session cannot be extended by that much (snapshot_lifetime): {left} more is the most."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_stays_within_the_bound() {
        assert_eq!(initial(100, Lifetime(10), Lifetime(50)).unwrap(), (110, 150));
        assert!(initial(100, Lifetime(51), Lifetime(50)).is_err());
        assert!(initial(100, Lifetime(0), Lifetime(50)).is_err());
        assert_eq!(initial(100, Lifetime(0), Lifetime(0)).unwrap(), (0, 0));
        assert!(initial(100, Lifetime(u64::MAX), Lifetime(0)).is_err());
    }

    #[test]
    fn an_extension_stays_within_the_bound() {
        assert_eq!(extended(110, 150, 40).unwrap(), 150);
        assert!(extended(110, 150, 41).unwrap_err().message.contains("40s more"));
        assert_eq!(extended(110, 0, 1 << 40).unwrap(), 110 + (1 << 40));
        assert!(extended(110, 0, u64::MAX).is_err());
        assert!(extended(0, 0, 10).is_err());
    }
}
