//! When a session ends, and how far that can be moved. Zero stands for "never".

use super::allowed::Bound;
use super::sentence::limit;
use crate::model::{Lifetime, Problem};

/// When a session began and ends, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Its start.
    pub created_at: u64,
    /// Its end.
    pub expires_at: u64,
    /// The latest end, decided when it was started; its unit cannot live longer.
    pub latest: u64,
}

/// The end and the latest possible end of a session made at `now`.
pub fn initial(now: u64, wanted: Lifetime, bound: &Bound<Lifetime>) -> Result<(u64, u64), Problem> {
    let Bound { most, key } = bound;
    if most.0 != 0 && (wanted.0 == 0 || wanted > *most) {
        let asked = if wanted.0 == 0 { "a session without end".to_owned() } else { wanted.about() };
        let most = most.about();
        return Err(limit(format!(
            "Your sessions can live for {most} ({key}): you asked for {asked}; {most} would fit."
        )));
    }
    let end = |life: Lifetime| {
        if life.0 == 0 { Some(0) } else { now.checked_add(life.0) }
    };
    match (end(wanted), end(*most)) {
        (Some(expires), Some(latest)) => Ok((expires, latest)),
        _ => Err(Problem::bad_request("That lifetime is too long.")),
    }
}

/// The end after an extension by so many seconds, or why it cannot be. `bound` is the limit in force now
/// for whose session it is, where that is known.
pub fn extended(span: Span, bound: Option<&Bound<Lifetime>>, seconds: u64) -> Result<u64, Problem> {
    if span.expires_at == 0 {
        return Err(Problem::bad_request("This session has no end, so there is nothing to extend."));
    }
    if seconds == 0 {
        return Err(Problem::bad_request("Extending takes a time of a second or more, such as 2h."));
    }
    let latest = latest(span, bound);
    match span.expires_at.checked_add(seconds) {
        None => Err(Problem::bad_request("That lifetime is too long.")),
        Some(end) if latest == 0 || end <= latest => Ok(end),
        Some(_) => {
            let fact = match bound.filter(|bound| end_under(span, bound) == Some(latest)) {
                Some(Bound { most, key }) => format!("Your sessions can live for {} ({key})", most.about()),
                None => format!(
                    "This session can live for {}, as the limits were when it started (session.snapshot_lifetime, or \
                     'lifetime' of its owner's own)",
                    Lifetime(latest.saturating_sub(span.created_at)).about()
                ),
            };
            Err(limit(format!("{fact}: you asked for {} more; {}.", Lifetime(seconds).about(), fitting(latest, span))))
        }
    }
}

/// The latest end that extending can reach: what was decided at the start, and the limit in force now.
pub fn latest(span: Span, bound: Option<&Bound<Lifetime>>) -> u64 {
    let decided = Some(span.latest).filter(|end| *end != 0);
    let now = bound.and_then(|bound| end_under(span, bound));
    decided.into_iter().chain(now).min().unwrap_or(0)
}

fn end_under(span: Span, bound: &Bound<Lifetime>) -> Option<u64> {
    (bound.most.0 != 0).then(|| span.created_at.saturating_add(bound.most.0))
}

fn fitting(latest: u64, span: Span) -> String {
    match latest.saturating_sub(span.expires_at) {
        0 => "nothing more would fit".to_owned(),
        left => format!("{} would fit", Lifetime(left).about()),
    }
}

/// What those who have a session before them should know about its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// It is time to think of it.
    Soon,
    /// It is time to act: a third of the time to warn is left, or less.
    Now,
}

/// The warning that is due at `now`, where people are warned so long `ahead`; zero: never.
pub fn warning(expires_at: u64, ahead: Lifetime, now: u64) -> Option<Warning> {
    let left = expires_at.checked_sub(now).filter(|left| (1..=ahead.0).contains(left))?;
    Some(if left <= ahead.0 / 3 { Warning::Now } else { Warning::Soon })
}

/// Minutes until the end, if a mail about it is due at `now`, where owners get one so long `ahead`;
/// zero: never. A session that lives less than twice as long would get it when it has hardly begun.
pub fn mail_due(created_at: u64, expires_at: u64, ahead: Lifetime, now: u64) -> Option<u64> {
    warning(expires_at, ahead, now)?;
    let is_long = expires_at.saturating_sub(created_at) / 2 >= ahead.0;
    is_long.then(|| (expires_at - now).div_ceil(60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Word;

    #[test]
    fn a_warning_comes_twice_before_the_end() {
        let at = |now| warning(2000, Lifetime(900), now);
        let found = [1099, 1100, 1699, 1700, 1999, 2000, 2001].map(at);
        let (soon, now) = (Some(Warning::Soon), Some(Warning::Now));
        assert_eq!(found, [None, soon, soon, now, now, None, None]);
        assert_eq!(warning(0, Lifetime(900), 0), None);
        assert_eq!(warning(2000, Lifetime(0), 1999), None);
    }

    #[test]
    fn a_mail_is_due_in_time_before_the_end_of_a_session_that_lives_long_enough() {
        let at = |lifetime: u64, now| mail_due(1000, 1000 + lifetime, Lifetime(1800), now);
        assert_eq!([at(7200, 6399), at(7200, 6400), at(7200, 8199), at(7200, 8200)], [None, Some(30), Some(1), None]);
        assert_eq!([at(3600, 2800), at(3599, 2800)], [Some(30), None]);
        assert_eq!(mail_due(1000, 0, Lifetime(1800), 2000), None);
        assert_eq!(mail_due(1000, 9000, Lifetime(0), 8999), None);
    }

    fn bound(most: u64) -> Bound<Lifetime> {
        Bound { most: Lifetime(most), key: "limits.user.alice.lifetime".into() }
    }

    #[test]
    fn a_lifetime_stays_within_the_bound() {
        assert_eq!(initial(100, Lifetime(10), &bound(50)).unwrap(), (110, 150));
        assert_eq!(initial(100, Lifetime(50), &bound(50)).unwrap(), (150, 150));
        for (wanted, asked) in [(51, "51 s"), (0, "a session without end")] {
            let refusal = initial(100, Lifetime(wanted), &bound(50)).unwrap_err();
            assert_eq!(refusal.word, Word::LimitReached);
            assert_eq!(
                refusal.message,
                format!(
                    "Your sessions can live for 50 s (limits.user.alice.lifetime): you asked for {asked}; 50 s would fit."
                )
            );
        }
        assert_eq!(initial(100, Lifetime(0), &bound(0)).unwrap(), (0, 0));
        assert!(initial(100, Lifetime(u64::MAX), &bound(0)).is_err());
    }

    fn span(expires_at: u64, latest: u64) -> Span {
        Span { created_at: 100, expires_at, latest }
    }

    #[test]
    fn an_extension_stays_within_what_was_decided_at_the_start() {
        assert_eq!(extended(span(110, 150), None, 40).unwrap(), 150);
        let refusal = extended(span(110, 150), None, 41).unwrap_err().message;
        assert!(refusal.contains("snapshot_lifetime") && refusal.ends_with("you asked for 41 s more; 40 s would fit."));
        assert_eq!(extended(span(110, 0), None, 1 << 40).unwrap(), 110 + (1 << 40));
        assert!(extended(span(110, 0), None, u64::MAX).is_err());
        assert!(extended(span(0, 0), None, 10).is_err());
        assert!(extended(span(110, 150), None, 0).is_err());
    }

    #[test]
    fn a_limit_lowered_since_holds_and_one_raised_does_not_help() {
        assert_eq!(extended(span(110, 150), Some(&bound(30)), 20).unwrap(), 130);
        let refusal = extended(span(110, 150), Some(&bound(30)), 21).unwrap_err().message;
        assert_eq!(
            refusal,
            "Your sessions can live for 30 s (limits.user.alice.lifetime): you asked for 21 s more; 20 s would fit."
        );
        let refusal = extended(span(110, 150), Some(&bound(5)), 1).unwrap_err().message;
        assert!(refusal.ends_with("nothing more would fit."), "{refusal}");
        for raised in [bound(500), bound(0)] {
            assert_eq!(extended(span(110, 150), Some(&raised), 40).unwrap(), 150);
            assert!(extended(span(110, 150), Some(&raised), 41).unwrap_err().message.contains("when it started"));
        }
    }
}
