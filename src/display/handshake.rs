//! The request that opens a screen: read with limits, judged, answered.
//!
//! Pure but for [`read`]. The ticket travels as an offered subprotocol, `qwd.ticket.SECRET`; the
//! answer names `qwd.v1` only. Nothing the viewer sent is repeated to it.

use super::origin::{Claim, Origins};
use crate::model::Secret;
use crate::proxy_headers::{ProxySecret, Verified};
use rustix::io::Errno;
use std::io::Read;
use std::net::{IpAddr, Shutdown};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderMap;

const NO_UPGRADE: &str = "This address speaks WebSocket only. If it was asked for one, a proxy in front of this server has \
    left the Upgrade header out: see PROXIES in qwd-portal(8).";
/// Where Apache sends screens.
pub const PATH: &str = "/qemu-web-desktop/display";
const PROTOCOL: &str = "qwd.v1";
const TICKET: &str = "qwd.ticket.";
/// Offered alone, by a page that wants to know whether WebSockets get through to here.
const CHECK: &str = "qwd.check";
/// Cookies and what proxies add included; the portal takes as much.
const REQUEST_MAX: usize = 64 << 10;
/// So much of what follows a refused request is read.
const DRAIN_MAX: usize = 1 << 20;

/// An answer that is not a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The sentence in the body and in the journal.
    pub sentence: String,
}

/// A request whose form and origin are in order.
#[derive(Debug)]
pub struct Accepted {
    /// Still to be redeemed; `None`: the page only wants to know whether WebSockets get through.
    pub ticket: Option<Secret>,
    /// The answer, to be sent once it is.
    pub answer: Vec<u8>,
}

impl Refusal {
    /// Return the kind of refusal, as the journal tells them apart.
    pub fn kind(&self) -> &'static str {
        match self.status {
            403 => "forbidden",
            503 => "full",
            _ => "malformed",
        }
    }

    /// A refusal from its status and sentence.
    pub fn new(status: u16, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }

    /// The whole HTTP answer.
    pub fn answer(&self) -> Vec<u8> {
        let reason = match self.status {
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            426 => "Upgrade Required",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let upgrade = if self.status == 426 { "Upgrade: websocket\r\n" } else { "" };
        format!(
            "HTTP/1.1 {} {reason}\r\n{upgrade}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{}\n",
            self.status,
            self.sentence.len() + 1,
            self.sentence,
        )
        .into_bytes()
    }
}

/// Reads the head of a request. `None`: the other side left, or took longer than `patience`.
pub fn read(stream: &mut UnixStream, patience: Duration) -> Option<Result<Vec<u8>, Refusal>> {
    let until = Instant::now() + patience;
    let mut bytes = vec![0; REQUEST_MAX];
    let mut length = 0_usize;
    loop {
        let searched = length.saturating_sub(3);
        length += read_some(stream, &mut bytes[length..], until)?;
        if bytes[searched..length].windows(4).any(|end| end == b"\r\n\r\n") {
            bytes.truncate(length);
            return Some(Ok(bytes));
        }
        if length == REQUEST_MAX {
            return Some(Err(Refusal::new(431, "The request is too long.")));
        }
    }
}

/// Read what else arrives and throw it away, until the other side has left or been read long enough.
pub fn drain(stream: &mut UnixStream, patience: Duration) {
    let until = Instant::now() + patience;
    let (mut bytes, mut length) = ([0; 4096], 0);
    if stream.shutdown(Shutdown::Write).is_ok() {
        while length < DRAIN_MAX {
            let Some(more) = read_some(stream, &mut bytes, until) else { return };
            length += more;
        }
    }
}

/// `None`: there is no more, or not in time.
fn read_some(stream: &mut UnixStream, bytes: &mut [u8], until: Instant) -> Option<usize> {
    let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
    stream.set_read_timeout(Some(left)).ok()?;
    match stream.read(bytes) {
        Ok(0) => None,
        Ok(more) => Some(more),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INTR) => Some(0),
        Err(_) => None,
    }
}

/// Judges a request's form, path, origin and subprotocols.
pub fn judge(head: &[u8], origins: &Origins, secret: &ProxySecret) -> Result<Accepted, Refusal> {
    let malformed = || Refusal::new(400, "This is not a request for a screen.");
    let request = match Request::try_parse(head) {
        Ok(Some((length, request))) if length == head.len() => request,
        Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::WrongHttpMethod)) => {
            return Err(Refusal::new(405, "A screen is opened with GET."));
        }
        _ => return Err(malformed()),
    };
    let verified = verify(request.headers(), secret)?;
    if request.uri().path() != PATH || request.uri().query().is_some() {
        return Err(Refusal::new(404, "There is nothing here; screens are opened from the session's page."));
    }
    let mut response = create_response(&request).map_err(|_| Refusal::new(426, NO_UPGRADE))?;
    let client = client_in(request.headers());
    if origins.open && (verified.forwarded || !client.is_some_and(|address| address.is_loopback())) {
        return Err(Refusal::new(
            403,
            "No sign-in method is configured, so screens are shown to browsers on the same machine only, and not \
             through another proxy.",
        ));
    }
    if !origins.admit(claim(request.headers())) {
        return Err(Refusal::new(
            403,
            "The page that asks for this screen is not one of this server's: set public_url in \
             /etc/qemu-web-desktop/config.toml to the address that people use.",
        ));
    }
    let offered = offered(request.headers());
    let is_check = offered == [CHECK];
    let ticket = if is_check { None } else { Some(ticket(&offered)?) };
    let chosen = tungstenite::http::HeaderValue::from_static(if is_check { CHECK } else { PROTOCOL });
    response.headers_mut().insert("Sec-WebSocket-Protocol", chosen);
    let mut answer = Vec::new();
    write_response(&mut answer, &response).map_err(|_| malformed())?;
    Ok(Accepted { ticket, answer })
}

/// Return the client of a request, whatever else is wrong with it.
pub fn client(head: &[u8]) -> Option<IpAddr> {
    let (_, request) = Request::try_parse(head).ok().flatten()?;
    client_in(request.headers())
}

/// Refuse a request that does not come from Apache, or not with all that Apache says of it.
fn verify(headers: &HeaderMap, secret: &ProxySecret) -> Result<Verified, Refusal> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    secret.verify(&headers).map_err(|error| Refusal::new(error.status(), error.to_string()))
}

fn client_in(headers: &HeaderMap) -> Option<IpAddr> {
    let address = last(headers, "X-Forwarded-For").and_then(|a| a.parse::<IpAddr>().ok());
    address.map(|a| a.to_canonical())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Apache appends what it knows to such a list; what stands before that came from the client.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let list = headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
    list.and_then(|list| list.rsplit(',').next()).map(str::trim)
}

fn claim(headers: &HeaderMap) -> Claim<'_> {
    let origin = if headers.get_all("Origin").iter().count() == 1 { text(headers, "Origin") } else { None };
    Claim {
        origin,
        host: last(headers, "X-Forwarded-Host").or_else(|| text(headers, "Host")).unwrap_or_default(),
        scheme: if text(headers, "X-Forwarded-Proto") == Some("https") { "https" } else { "http" },
    }
}

/// The offered subprotocols.
fn offered(headers: &HeaderMap) -> Vec<&str> {
    let lists = headers.get_all("Sec-WebSocket-Protocol").iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).collect()
}

/// The one ticket among the offered subprotocols.
fn ticket(offered: &[&str]) -> Result<Secret, Refusal> {
    let mut tickets = offered.iter().filter_map(|name| name.strip_prefix(TICKET));
    match (offered.contains(&PROTOCOL), tickets.next(), tickets.next()) {
        (true, Some(ticket), None) => ticket.parse().map_err(|p: crate::model::Problem| Refusal::new(403, p.message)),
        _ => Err(Refusal::new(403, "A screen takes a ticket, which the session's page asks for.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy_headers::testing;

    const SECRET: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP-";

    fn request(changes: &[(&str, &str)]) -> Vec<u8> {
        let offer = format!("qwd.v1, qwd.ticket.{SECRET}");
        let mut lines = vec![
            ("Host", "localhost"),
            ("Origin", "http://localhost"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", &offer),
        ];
        lines.extend(testing::HEADERS);
        for change in changes {
            lines.retain(|(name, _)| !name.eq_ignore_ascii_case(change.0));
        }
        lines.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        let lines: String = lines.into_iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("GET {PATH} HTTP/1.1\r\n{lines}\r\n").into_bytes()
    }

    fn judged(changes: &[(&str, &str)]) -> Result<Accepted, Refusal> {
        judge(&request(changes), &Origins::default(), &testing::secret())
    }

    #[test]
    fn a_good_request_is_answered_without_its_ticket() {
        let accepted = judged(&[]).unwrap();
        assert_eq!(accepted.ticket.unwrap().expose(), SECRET);
        let answer = String::from_utf8(accepted.answer).unwrap().to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        assert!(answer.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{answer}");
        assert!(answer.contains("\r\nsec-websocket-protocol: qwd.v1\r\n"), "{answer}");
        assert!(!answer.contains("ticket"), "{answer}");
    }

    #[test]
    fn a_page_from_elsewhere_is_refused() {
        for origin in ["", "null", "http://evil.example", "http://localhost.evil.example", "https://localhost"] {
            assert_eq!(judged(&[("Origin", origin)]).unwrap_err().status, 403, "{origin:?}");
        }
        let both = [("Origin", "http://localhost"), ("Origin", "http://evil.example")];
        assert_eq!(judged(&both).unwrap_err().status, 403);
        // A stranger's name that leads here.
        let rebound = [("Origin", "http://evil.example"), ("Host", "evil.example")];
        assert_eq!(judged(&rebound).unwrap_err().status, 403);
    }

    #[test]
    fn only_what_apache_says_of_the_host_counts() {
        let honest =
            [("X-Forwarded-Host", "evil.example, localhost:8443"), ("X-Forwarded-Proto", "https"), ("Host", "x")];
        assert!(judged(&[&honest[..], &[("Origin", "https://localhost:8443")]].concat()).is_ok());
        let forged = [("X-Forwarded-Host", "localhost, evil.example")];
        assert_eq!(judged(&forged).unwrap_err().status, 403);
    }

    #[test]
    fn only_what_apache_says_of_the_client_counts() {
        let client = |list| client(&request(&[("X-Forwarded-For", list)])).map(|a| a.to_string());
        assert_eq!(client("192.0.2.1, 198.51.100.7").as_deref(), Some("198.51.100.7"));
        assert_eq!(client("::ffff:127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(client("192.0.2.1, somebody"), None);
    }

    #[test]
    fn a_request_that_is_not_apaches_is_refused_whatever_else_it_says() {
        for (lost, _) in testing::HEADERS {
            let status = if lost == "x-qwd-secret" { 403 } else { 400 };
            assert_eq!(judged(&[(lost, "")]).map(|_| ()).unwrap_err().status, status, "{lost}");
        }
        assert_eq!(judged(&[("x-qwd-connection", "Upgrade, X-Forwarded-For")]).unwrap_err().status, 400);
        assert!(judged(&[("x-qwd-connection", "keep-alive, Upgrade")]).is_ok());
    }

    #[test]
    fn an_open_service_shows_screens_to_browsers_on_this_machine_only() {
        let open = Origins { open: true, ..Origins::default() };
        let judged = |changes: &[(&str, &str)]| judge(&request(changes), &open, &testing::secret()).map(|_| ());
        assert_eq!(judged(&[]), Ok(()));
        for change in [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-qwd-forwarded", "yes"),
            ("Via", "1.1 relay"),
            ("X-Forwarded-Ssl", "on"),
            ("Host", "192.0.2.7"),
            ("Origin", "http://127.0.0.1"),
        ] {
            assert_eq!(judged(&[change]).unwrap_err().status, 403, "{change:?}");
        }
        let elsewhere = [("Host", "192.0.2.7"), ("Origin", "http://192.0.2.7")];
        assert_eq!(judged(&elsewhere).unwrap_err().status, 403);
    }

    #[test]
    fn exactly_one_well_formed_ticket_is_taken() {
        let two = format!("qwd.v1, qwd.ticket.{SECRET}, qwd.ticket.{SECRET}");
        let no_version = format!("qwd.ticket.{SECRET}");
        for offer in ["", "qwd.v1", "binary", "qwd.v1, qwd.ticket.", "qwd.v1, qwd.ticket.short", &two, &no_version] {
            let refusal = judged(&[("Sec-WebSocket-Protocol", offer)]).unwrap_err();
            assert_eq!(refusal.status, 403, "{offer:?}");
            assert!(!String::from_utf8(refusal.answer()).unwrap().contains("short"), "the ticket is not repeated");
        }
        let split = [("Sec-WebSocket-Protocol", "qwd.v1"), ("Sec-WebSocket-Protocol", no_version.as_str())];
        assert!(judged(&split).is_ok(), "a proxy may split the list");
    }

    #[test]
    fn a_page_may_ask_without_a_ticket_whether_websockets_get_through() {
        let accepted = judged(&[("Sec-WebSocket-Protocol", "qwd.check")]).unwrap();
        let answer = String::from_utf8(accepted.answer).unwrap().to_ascii_lowercase();
        assert!(accepted.ticket.is_none() && answer.contains("\r\nsec-websocket-protocol: qwd.check\r\n"), "{answer}");
        let foreign = [("Sec-WebSocket-Protocol", "qwd.check"), ("Origin", "http://evil.example")];
        assert_eq!(judged(&foreign).unwrap_err().status, 403);
        for offer in ["qwd.check, qwd.v1", "qwd.check, qwd.check"] {
            assert_eq!(judged(&[("Sec-WebSocket-Protocol", offer)]).unwrap_err().status, 403, "{offer}");
        }
    }

    #[test]
    fn what_is_no_upgrade_is_told_so() {
        assert_eq!(judged(&[("Upgrade", "")]).unwrap_err().status, 426);
        assert_eq!(judged(&[("Sec-WebSocket-Version", "8")]).unwrap_err().status, 426);
        let text = String::from_utf8(request(&[])).unwrap();
        for (path, status) in [("/", 404), ("/qemu-web-desktop/display/", 404), ("/qemu-web-desktop/display?t=1", 404)]
        {
            let head = text.replace(PATH, path);
            assert_eq!(
                judge(head.as_bytes(), &Origins::default(), &testing::secret()).unwrap_err().status,
                status,
                "{path}"
            );
        }
        let posted = text.replace("GET ", "POST ");
        assert_eq!(judge(posted.as_bytes(), &Origins::default(), &testing::secret()).unwrap_err().status, 405);
        let followed = text.clone() + "RFB 003.008\n";
        assert_eq!(judge(followed.as_bytes(), &Origins::default(), &testing::secret()).unwrap_err().status, 400);
    }

    #[test]
    fn a_refusal_says_its_status_and_what_to_do() {
        let lines = |status| {
            let answer = String::from_utf8(Refusal::new(status, "No.").answer()).unwrap();
            answer.split("\r\n").map(str::to_owned).collect::<Vec<_>>()
        };
        for (status, reason) in [
            (400, "Bad Request"),
            (403, "Forbidden"),
            (404, "Not Found"),
            (405, "Method Not Allowed"),
            (431, "Request Header Fields Too Large"),
            (503, "Service Unavailable"),
        ] {
            let lines = lines(status);
            assert_eq!(lines[0], format!("HTTP/1.1 {status} {reason}"));
            assert_eq!(lines[lines.len() - 2..], ["", "No.\n"]);
            assert!(lines.contains(&"Content-Length: 4".to_owned()), "{lines:?}");
            assert!(!lines.iter().any(|line| line.starts_with("Upgrade")), "{lines:?}");
        }
        assert_eq!(lines(426)[..2], ["HTTP/1.1 426 Upgrade Required", "Upgrade: websocket"]);
    }

    #[test]
    fn what_follows_a_refused_request_is_read_for_a_while() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let sender = std::thread::spawn(move || {
            let sent = std::io::Write::write_all(&mut &theirs, &vec![b'a'; DRAIN_MAX / 2]);
            (sent.is_ok(), (&theirs).read(&mut [0; 1]).unwrap())
        });
        drain(&mut ours, Duration::from_secs(60));
        assert_eq!(sender.join().unwrap(), (true, 0));
        let (mut ours, _theirs) = UnixStream::pair().unwrap();
        drain(&mut ours, Duration::from_millis(20));
    }

    #[test]
    fn a_request_without_end_is_given_up() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut &theirs, b"GET / HTTP/1.1\r\nHost: ").unwrap();
        assert!(read(&mut ours, Duration::from_millis(20)).is_none());
        std::io::Write::write_all(&mut &theirs, &[b'a'; REQUEST_MAX]).unwrap();
        assert_eq!(read(&mut ours, Duration::from_secs(10)).unwrap().unwrap_err().status, 431);
        drop(theirs);
    }
}
