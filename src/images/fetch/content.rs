//! Of what content an answer is, and whether a part of it follows what has come already: pure.
//!
//! Servers change their mind between two requests: the file is another one, a redirection leads elsewhere,
//! `If-Range` is not understood. A part is appended only if everything that is said of it fits.

use super::{Answer, Validators};
use serde::{Deserialize, Serialize};
use ureq::http::Uri;

/// What a server said of a content of which it delivered at least the beginning.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Content {
    pub(super) validators: Validators,
    /// Its length in bytes.
    total: Option<u64>,
    /// How its bytes are encoded.
    encoding: Option<String>,
    /// Where it lies, after all redirections: an entity tag is good for one address only.
    place: Option<String>,
}

/// Which bytes a partial answer has: `bytes FROM-LAST/TOTAL`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    from: u64,
    last: u64,
    total: Option<u64>,
}

impl Content {
    /// Return what a whole answer says of itself.
    pub(super) fn of(answer: &Answer, place: &Uri) -> Self {
        Self {
            validators: validators(answer),
            total: length(answer),
            encoding: encoding(answer),
            place: Some(place_of(place)),
        }
    }

    /// Return what to say as `If-Range`, if anything promises the same bytes.
    pub(super) fn strong_validator(&self) -> Option<&str> {
        // A weak entity tag does not (RFC 9110, section 13.1.5).
        let etag = self.validators.etag.as_deref().filter(|etag| !is_weak(etag));
        etag.or(self.validators.last_modified.as_deref())
    }

    /// Forget the time of change if the content may have changed again within the same second.
    pub(super) fn without_weak_time(mut self, answer: &Answer) -> Self {
        if header(answer, "date").is_none_or(|date| Some(date) == self.validators.last_modified) {
            self.validators.last_modified = None;
        }
        self
    }

    /// Return the length of all if the partial answer goes on after the first `there` bytes of this content.
    /// With a checksum to come (`guarded`), it may come from another server.
    pub(super) fn followed_by(&self, there: u64, answer: &Answer, place: &Uri, guarded: bool) -> Option<u64> {
        let range = range(answer).filter(|range| range.from == there)?;
        let total = range.total.or(self.total).unwrap_or(range.last + 1);
        let fits = self.total.is_none_or(|known| known == total)
            && range.last < total
            && length(answer).is_none_or(|length| length == range.last - range.from + 1)
            && self.is_confirmed_by(&validators(answer))
            && encoding(answer).is_none_or(|encoding| self.encoding.as_ref() == Some(&encoding))
            && (guarded || self.place.as_ref().is_none_or(|known| *known == place_of(place)));
        fits.then_some(total)
    }

    /// Return whether the answer says that these `there` bytes are all: `Content-Range: bytes */TOTAL`.
    pub(super) fn is_complete(&self, there: u64, answer: &Answer) -> bool {
        let range = header(answer, "content-range");
        let all = range.as_deref().and_then(|r| r.strip_prefix("bytes */")).and_then(|all| all.parse().ok());
        all == Some(there)
            && self.total.is_none_or(|known| known == there)
            && !self.validators.contradict(&validators(answer))
    }

    /// What was asked for by `If-Range` must be said again, and nothing else may have changed.
    fn is_confirmed_by(&self, found: &Validators) -> bool {
        let sent = self.strong_validator();
        let again = [&found.etag, &found.last_modified].into_iter().any(|v| v.is_some() && v.as_deref() == sent);
        again && !self.validators.contradict(found)
    }
}

impl Validators {
    /// Return whether one of them is known on both sides, and differs.
    pub(super) fn contradict(&self, found: &Self) -> bool {
        let differ = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
        differ(&self.etag, &found.etag) || differ(&self.last_modified, &found.last_modified)
    }

    /// Return these, and what only the other ones say.
    pub(super) fn or(self, others: Self) -> Self {
        Self { etag: self.etag.or(others.etag), last_modified: self.last_modified.or(others.last_modified) }
    }

    /// Return whether these are of the same content: by the entity tags, else by the time of change.
    pub(super) fn same(&self, found: &Self) -> bool {
        match (&self.etag, &found.etag) {
            (Some(known), Some(found)) => without_weakness(known) == without_weakness(found),
            _ => self.last_modified.is_some() && self.last_modified == found.last_modified,
        }
    }

    /// Return whether an answer that says nothing has changed names another content than this.
    pub(super) fn deny(&self, found: &Self) -> bool {
        let comparable = self.etag.is_some() && found.etag.is_some()
            || self.last_modified.is_some() && found.last_modified.is_some();
        comparable && !self.same(found)
    }
}

/// Return what the answer says by which its content is known again.
pub(super) fn validators(answer: &Answer) -> Validators {
    Validators { etag: header(answer, "etag"), last_modified: header(answer, "last-modified") }
}

/// Return the length of the body, if the answer says it.
pub(super) fn length(answer: &Answer) -> Option<u64> {
    header(answer, "content-length")?.parse().ok()
}

/// Return an encoding that nothing here undoes. What is packed by the others is unpacked afterwards.
pub(super) fn unknown_encoding(answer: &Answer) -> Option<String> {
    encoding(answer).filter(|encoding| !["gzip", "x-gzip", "zstd"].contains(&encoding.as_str()))
}

fn encoding(answer: &Answer) -> Option<String> {
    header(answer, "content-encoding").map(|name| name.to_ascii_lowercase()).filter(|name| name != "identity")
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::trim).filter(|v| v.len() <= 512).map(str::to_owned)
}

fn range(answer: &Answer) -> Option<Range> {
    let text = header(answer, "content-range")?;
    let (bytes, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, last) = bytes.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let range = Range { from: from.parse().ok()?, last: last.parse().ok()?, total };
    (range.from <= range.last && range.last < u64::MAX).then_some(range)
}

/// The query may be a signature that is another one each time.
fn place_of(uri: &Uri) -> String {
    format!("{}{}", uri.authority().map_or("", |a| a.as_str()), uri.path())
}

fn is_weak(etag: &str) -> bool {
    etag.starts_with("W/")
}

fn without_weakness(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::Body;
    use ureq::http::Response;

    fn answer(headers: &[(&str, &str)]) -> Answer {
        let response = headers.iter().fold(Response::builder(), |all, (name, value)| all.header(*name, *value));
        response.body(Body::builder().data("")).unwrap()
    }

    fn here() -> Uri {
        "https://x.org/a.img?signature=1".parse().unwrap()
    }

    fn content(headers: &[(&str, &str)]) -> Content {
        let answer = answer(headers);
        Content::of(&answer, &here()).without_weak_time(&answer)
    }

    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:50:00 GMT");
    const TIME: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    const ETAG: (&str, &str) = ("etag", "\"a\"");
    const LENGTH: (&str, &str) = ("content-length", "100");
    const RANGE: (&str, &str) = ("content-range", "bytes 40-99/100");

    #[test]
    fn only_a_strong_validator_lets_a_download_go_on() {
        let strong = |headers: &[(&str, &str)]| content(headers).strong_validator().map(str::to_owned);
        assert_eq!(strong(&[ETAG, TIME, DATE]).as_deref(), Some("\"a\""));
        assert_eq!(strong(&[("etag", "W/\"a\""), TIME, DATE]).as_deref(), Some(TIME.1));
        assert_eq!(strong(&[("etag", "W/\"a\"")]), None);
        // Within the second of the answer the content may have changed again.
        assert_eq!(strong(&[TIME, ("date", TIME.1)]), None);
        assert_eq!(strong(&[TIME]), None);
    }

    #[test]
    fn a_part_that_fits_is_appended() {
        for (first, part, total) in [
            (&[ETAG, LENGTH][..], &[ETAG, RANGE][..], 100),
            (&[ETAG, LENGTH], &[ETAG, RANGE, ("content-length", "60")], 100),
            (&[ETAG], &[ETAG, ("content-range", "bytes 40-99/*")], 100),
            (&[ETAG, LENGTH], &[ETAG, ("content-range", "bytes 40-49/*")], 100),
            (&[ETAG, TIME, DATE, LENGTH], &[ETAG, TIME, RANGE], 100),
            (&[TIME, DATE, LENGTH], &[TIME, RANGE], 100),
            (&[ETAG, LENGTH, ("content-encoding", "gzip")], &[ETAG, RANGE], 100),
        ] {
            assert_eq!(content(first).followed_by(40, &answer(part), &here(), false), Some(total), "{part:?}");
        }
    }

    #[test]
    fn a_part_of_something_else_is_not() {
        let first = content(&[ETAG, TIME, DATE, LENGTH]);
        for part in [
            &[("etag", "\"b\""), RANGE][..],
            &[("etag", "W/\"a\""), RANGE],
            &[TIME, RANGE],
            &[RANGE],
            &[ETAG],
            &[ETAG, ("last-modified", DATE.1), RANGE],
            &[ETAG, ("content-range", "bytes 0-99/100")],
            &[ETAG, ("content-range", "bytes 41-99/100")],
            &[ETAG, ("content-range", "bytes 40-98/99")],
            &[ETAG, ("content-range", "bytes 40-100/*")],
            &[ETAG, ("content-range", "bytes 40-100/100")],
            &[ETAG, ("content-range", "bytes 40-39/100")],
            &[ETAG, ("content-range", "bytes 40-18446744073709551615/*")],
            &[ETAG, ("content-range", "bytes */100")],
            &[ETAG, ("content-range", "lines 40-99/100")],
            &[ETAG, RANGE, ("content-length", "61")],
            &[ETAG, RANGE, ("content-encoding", "gzip")],
        ] {
            assert_eq!(first.followed_by(40, &answer(part), &here(), false), None, "{part:?}");
        }
        assert_eq!(content(&[TIME, DATE, LENGTH]).followed_by(40, &answer(&[RANGE]), &here(), false), None);
    }

    #[test]
    fn another_server_goes_on_only_if_a_checksum_guards() {
        let (first, part) = (content(&[ETAG, LENGTH]), answer(&[ETAG, RANGE]));
        let followed = |uri: &str, guarded| first.followed_by(40, &part, &uri.parse().unwrap(), guarded).is_some();
        assert!(followed("https://x.org/a.img?signature=2", false));
        assert!(!followed("https://y.org/a.img", false) && followed("https://y.org/a.img", true));
    }

    #[test]
    fn all_has_come_if_nothing_speaks_against_it() {
        let complete = |there, headers: &[(&str, &str)]| content(&[ETAG, LENGTH]).is_complete(there, &answer(headers));
        let all = ("content-range", "bytes */100");
        assert!(complete(100, &[all]) && complete(100, &[all, ETAG]));
        assert!(!complete(99, &[all]) && !complete(100, &[all, ("etag", "\"b\"")]) && !complete(100, &[]));
        assert!(!complete(90, &[("content-range", "bytes */90")]));
    }

    #[test]
    fn the_entity_tag_decides_before_the_time() {
        let known = |etag: Option<&str>, time: Option<&str>| Validators {
            etag: etag.map(str::to_owned),
            last_modified: time.map(str::to_owned),
        };
        let ours = known(Some("\"a\""), Some("t"));
        for (found, same, deny) in [
            (known(Some("\"a\""), Some("u")), true, false),
            (known(Some("W/\"a\""), None), true, false),
            (known(Some("\"b\""), Some("t")), false, true),
            (known(None, Some("t")), true, false),
            (known(None, Some("u")), false, true),
            (known(None, None), false, false),
        ] {
            assert_eq!((ours.same(&found), ours.deny(&found)), (same, deny), "{found:?}");
        }
    }

    #[test]
    fn an_encoding_that_nothing_undoes_is_known() {
        for (encoding, unknown) in [("gzip", false), ("identity", false), ("br", true), ("gzip, br", true)] {
            let answer = answer(&[("content-encoding", encoding)]);
            assert_eq!(unknown_encoding(&answer).is_some(), unknown, "{encoding}");
        }
    }
}
