//! Answers of servers that are no download, as sentences.

use super::Answer;
use super::date::parsed;
use crate::model::{Problem, Word};
use crate::show;
use std::time::{SystemTime, UNIX_EPOCH};
use ureq::http::Uri;

/// What is longer than a year is not meant.
const WAIT_MAX: u64 = 366 * 86_400;

/// Return why an answer is no download, and what to do.
pub(super) fn refused(answer: &Answer, uri: &Uri) -> Problem {
    let (host, status) = (uri.host().unwrap_or_default(), answer.status().as_u16());
    let after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    explained(status, after, now, host)
}

/// The same of what the answer says; `now` is the Unix time.
fn explained(status: u16, after: Option<&str>, now: u64, host: &str) -> Problem {
    let later = || {
        let wait = after.and_then(|after| seconds(after, now)).filter(|seconds| (1..=WAIT_MAX).contains(seconds));
        wait.map_or("later".to_owned(), |seconds| format!("in {}", show::span(whole_minutes(seconds))))
    };
    let text = match status {
        407 => "The proxy wants a name and password: write service_proxy = \"http://NAME:PASSWORD@HOST:PORT\".".into(),
        202 | 425 => format!("{host} does not have the image ready yet (HTTP status {status}): try again {}.", later()),
        420 | 429 => format!("{host} got too many requests (HTTP status {status}): try again {}.", later()),
        408 | 500.. => format!("{host} has a problem (HTTP status {status}): try again {}.", later()),
        400.. if after.is_some() => {
            format!("{host} refuses the image for now (HTTP status {status}): try again {}.", later())
        }
        401 | 403 => format!("{host} does not let us have the image (HTTP status {status})."),
        404 | 410 => format!("{host} has no such file (HTTP status {status}): correct url= in machines.conf."),
        423 => format!("{host} has locked the image (HTTP status {status}): try again {}.", later()),
        _ => format!("{host} answers with HTTP status {status}, which is no download."),
    };
    let is_later = matches!(status, 202 | 408 | 420 | 423 | 425 | 429 | 500..) || status >= 400 && after.is_some();
    Problem::new(if is_later && status != 407 { Word::Unavailable } else { Word::Failed }, text)
}

/// Return how long `Retry-After` says to wait: seconds, or a time.
fn seconds(after: &str, now: u64) -> Option<u64> {
    after.trim().parse().ok().or_else(|| parsed(after.trim()).map(|time| time.saturating_sub(now)))
}

/// Seconds are of interest only where there are few.
fn whole_minutes(seconds: u64) -> u64 {
    if seconds < 60 { seconds } else { seconds.div_ceil(60).saturating_mul(60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 784_111_777;

    #[test]
    fn later_answers_say_when() {
        for (status, after, wanted) in [
            (429, Some("90"), "got too many requests (HTTP status 429): try again in 2 min."),
            (429, None, "try again later."),
            (503, Some("Sun, 06 Nov 1994 09:49:37 GMT"), "try again in 1 h."),
            (503, Some("Sun, 06 Nov 1994 07:49:37 GMT"), "try again later."),
            (503, Some("0"), "try again later."),
            (503, Some("-5"), "try again later."),
            (503, Some("soon"), "try again later."),
            (503, Some("99999999999999999999999"), "try again later."),
            (503, Some("18446744073709551615"), "try again later."),
            (202, Some("14400"), "not have the image ready yet (HTTP status 202): try again in 4 h."),
            (403, Some("30"), "for now (HTTP status 403): try again in 30 s."),
            (408, None, "try again later."),
            (504, None, "try again later."),
        ] {
            let problem = explained(status, after, NOW, "x.org");
            assert!(problem.message.contains(wanted), "{status} {after:?}: {problem}");
            assert_eq!(problem.word, Word::Unavailable, "{status}");
        }
    }

    #[test]
    fn other_answers_do_not() {
        for (status, wanted) in
            [(403, "does not let us"), (404, "correct url="), (407, "service_proxy"), (300, "no download")]
        {
            let problem = explained(status, None, NOW, "x.org");
            assert!(problem.message.contains(wanted) && !problem.message.contains("again"), "{problem}");
        }
    }
}
