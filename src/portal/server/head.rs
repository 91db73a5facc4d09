//! The head of a request: found in what has arrived, and taken apart. The values of headers are bytes.

use super::body::Framing;
use crate::portal::http::{Method, Request};
use crate::portal::refusal::Refusal;
use std::str::FromStr;

/// Apache passes on a hundred headers of 8 kB; no browser sends that much.
const HEAD_LIMIT: usize = 64 << 10;
/// Apache's own limit is 8190.
const LINE_LIMIT: usize = 16 << 10;
/// Apache's hundred, and those that it adds.
const HEADERS_LIMIT: usize = 160;

/// A head that is whole.
#[derive(Debug)]
pub struct Head {
    /// All of the request but its body.
    pub request: Request,
    /// How the body ends; `None`: there is none.
    pub framing: Option<Framing>,
    /// The answer has no body.
    pub is_head: bool,
    /// The client sends the body once it has read "100 Continue".
    pub expects_continue: bool,
    /// The length of the head.
    pub length: usize,
}

/// The state of a head that is being read.
#[derive(Debug)]
pub enum Progress {
    /// More is needed.
    Partial,
    /// It is whole.
    Whole(Box<Head>),
    /// It cannot be used. The request is what could be read of it.
    Refused(Box<Request>, Refusal),
}

/// Look for the end of the head among all bytes so far, of which the first `searched` have been looked at.
pub fn read(bytes: &[u8], searched: usize) -> Progress {
    let from = searched.saturating_sub(3);
    let end = bytes[from..].windows(4).position(|end| end == b"\r\n\r\n").map(|at| from + at + 4);
    let refused = |refusal| Progress::Refused(Box::new(opening(bytes)), refusal);
    if bytes.iter().take(LINE_LIMIT + 1).position(|byte| *byte == b'\n').is_none() && bytes.len() > LINE_LIMIT {
        return refused(Refusal::long_target());
    }
    match end {
        Some(end) if end <= HEAD_LIMIT => {
            parse(&bytes[..end]).map_or_else(refused, |head| Progress::Whole(Box::new(head)))
        }
        None if bytes.len() <= HEAD_LIMIT => Progress::Partial,
        _ => refused(Refusal::long_head()),
    }
}

/// The request as its first line says, for an answer to a head that cannot be used.
pub fn opening(bytes: &[u8]) -> Request {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(LINE_LIMIT)]);
    let mut words = line.split(' ');
    let (method, target) = (method(words.next().unwrap_or_default()), words.next().unwrap_or_default());
    Request::new(method, target, Vec::new(), Vec::new())
}

fn parse(bytes: &[u8]) -> Result<Head, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_LIMIT];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(malformed()),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::long_head()),
        Err(httparse::Error::Version) => return Err(Refusal::other_version()),
        Err(_) => return Err(malformed()),
    }
    let headers = parsed.headers.iter().map(|field| (field.name.to_ascii_lowercase(), text(field.value))).collect();
    let verb = parsed.method.unwrap_or_default();
    let request = Request::new(method(verb), parsed.path.unwrap_or_default(), headers, Vec::new());
    let (framing, expects_continue) = (framing(&request)?, expects_continue(&request)?);
    Ok(Head { request, framing, is_head: verb == "HEAD", expects_continue, length: bytes.len() })
}

fn malformed() -> Refusal {
    Refusal::bad_request("The request is malformed.")
}

/// A header's value as text: UTF-8, or else one letter for each byte, as browsers send it. A byte that is not
/// ASCII makes no header unusable, least of all one that nothing here reads.
fn text(value: &[u8]) -> String {
    let value = value.trim_ascii();
    std::str::from_utf8(value).map_or_else(|_| value.iter().copied().map(char::from).collect(), str::to_owned)
}

fn method(name: &str) -> Method {
    match tiny_http::Method::from_str(name) {
        Ok(tiny_http::Method::Get | tiny_http::Method::Head) => Method::Get,
        Ok(tiny_http::Method::Post) => Method::Post,
        Ok(tiny_http::Method::Delete) => Method::Delete,
        _ => Method::Other,
    }
}

fn values<'a>(request: &'a Request, name: &'a str) -> impl Iterator<Item = &'a str> {
    request.headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// How the body ends. More than one answer to that is a way to smuggle a second request.
fn framing(request: &Request) -> Result<Option<Framing>, Refusal> {
    let unclear = || Refusal::bad_request("The length of the request is not clear: send one Content-Length.");
    let is_upgrade = |value: &str| value.to_ascii_lowercase().contains("upgrade");
    if values(request, "connection").any(is_upgrade) {
        // The rest of the connection would be of another protocol.
        return Err(Refusal::bad_request("This address does not change protocols."));
    }
    let lengths: Vec<&str> = values(request, "content-length").collect();
    let encodings: Vec<&str> = values(request, "transfer-encoding").collect();
    match (lengths.as_slice(), encodings.as_slice()) {
        ([], []) => Ok(None),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            let length = length.parse().map_err(|_| unclear())?;
            Ok((length > 0).then_some(Framing::Length(length)))
        }
        ([], [encoding]) if encoding.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
        _ => Err(unclear()),
    }
}

fn expects_continue(request: &Request) -> Result<bool, Refusal> {
    let expected: Vec<&str> = values(request, "expect").collect();
    match expected.as_slice() {
        [] => Ok(false),
        [one] if one.eq_ignore_ascii_case("100-continue") => Ok(true),
        _ => Err(Refusal::other_expectation()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> Result<Head, u16> {
        match read(text, 0) {
            Progress::Whole(head) => Ok(*head),
            Progress::Refused(_, refusal) => Err(refusal.status),
            Progress::Partial => Err(0),
        }
    }

    fn with(headers: &[u8]) -> Result<Head, u16> {
        parsed(&[b"POST /x?y HTTP/1.1\r\nHost: a\r\n".as_slice(), headers, b"\r\n"].concat())
    }

    #[test]
    fn a_value_may_have_any_bytes() {
        let latin = b"Cookie: other=gr\xf6\xdfe; qwd=1\r\nX-Any: \xff\xfe \t\r\n";
        let head = with(&[latin.as_slice(), "X-Remote-User: J\u{fc}rgen M\u{fc}ller\r\n".as_bytes()].concat()).unwrap();
        assert_eq!(head.request.header("cookie").unwrap(), Some("other=größe; qwd=1"));
        assert_eq!(head.request.header("x-any").unwrap(), Some("ÿþ"));
        assert_eq!(head.request.header("x-remote-user").unwrap(), Some("Jürgen Müller"));
        assert_eq!(with(b"X-Any: a\0b\r\n").unwrap_err(), 400);
        assert_eq!(with(b"X-\xff: a\r\n").unwrap_err(), 400);
    }

    #[test]
    fn a_head_is_found_wherever_it_was_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for at in 0..text.len() {
            assert!(matches!(read(&text[..at], at.saturating_sub(1)), Progress::Partial), "{at}");
            assert!(matches!(read(text, at), Progress::Whole(_)), "{at}");
        }
        assert_eq!(parsed(text).unwrap().length, text.len());
    }

    #[test]
    fn the_end_of_a_body_is_one_thing() {
        assert_eq!(with(b"").unwrap().framing, None);
        assert_eq!(with(b"Content-Length: 0\r\n").unwrap().framing, None);
        assert_eq!(with(b"Content-Length: 7\r\n").unwrap().framing, Some(Framing::Length(7)));
        assert_eq!(with(b"Transfer-Encoding: Chunked\r\n").unwrap().framing, Some(Framing::Chunked));
        let odd: [&[u8]; 9] = [
            b"Content-Length: 1\r\nContent-Length: 1\r\n",
            b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: +1\r\n",
            b"Content-Length: \r\n",
            b"Content-Length: 1, 1\r\n",
            b"Content-Length: 99999999999999999999999\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Transfer-Encoding : chunked\r\n",
            b"Connection: Upgrade\r\n",
        ];
        for headers in odd {
            assert_eq!(with(headers).unwrap_err(), 400, "{}", String::from_utf8_lossy(headers));
        }
        assert!(with(b"Expect: 100-Continue\r\n").unwrap().expects_continue);
        assert_eq!(with(b"Expect: the-worst\r\n").unwrap_err(), 417);
    }

    #[test]
    fn what_is_too_long_says_what() {
        let long = "a".repeat(20_000);
        assert_eq!(parsed(format!("GET /{long}").as_bytes()).unwrap_err(), 414);
        assert_eq!(parsed(format!("GET /{long} HTTP/1.1\r\n\r\n").as_bytes()).unwrap_err(), 414);
        assert!(with(format!("Cookie: {long}\r\n").as_bytes()).is_ok());
        assert_eq!(with(format!("Cookie: {}\r\n", long.repeat(4)).as_bytes()).unwrap_err(), 431);
        assert_eq!(with("a: b\r\n".repeat(200).as_bytes()).unwrap_err(), 431);
        let open = format!("GET /api HTTP/1.1\r\nCookie: {}", long.repeat(4));
        assert_eq!(parsed(open.as_bytes()).unwrap_err(), 431);
        assert_eq!(opening(open.as_bytes()).path, "/api");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in
            ["\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\nx\r\n\r\n", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"]
        {
            assert_eq!(parsed(text.as_bytes()).unwrap_err(), 400, "{text:?}");
        }
        assert_eq!(parsed(b"GET / HTTP/2.0\r\n\r\n").unwrap_err(), 505);
        assert!(parsed(b"HEAD / HTTP/1.0\r\n\r\n").unwrap().is_head);
        assert_eq!(parsed(b"BREW / HTTP/1.1\r\n\r\n").unwrap().request.method, Method::Other);
    }
}
