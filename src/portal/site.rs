//! Under which name this server was asked for, and whether that is one of its names.
//!
//! A foreign name in `Host` means that somebody's domain points at us: pages of that domain would
//! count as ours in the browser. An address in `Host` is safe, since no domain stands behind it.

use super::http::{BASE, Request};
use super::refusal::Refusal;
use crate::journal;
use crate::proxy_headers::is_loopback;
use std::net::IpAddr;

/// The checked scheme and authority of a request, as `https://desktops.example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    origin: String,
}

impl Site {
    /// Checks the `Host` of a request against `public_url`, or else this host's own names.
    pub fn of(request: &Request, public_url: Option<&str>, own_names: &[String]) -> Result<Self, Refusal> {
        let host = request.header("host")?.unwrap_or_default().to_ascii_lowercase();
        if let Some(url) = public_url {
            let url = url.to_ascii_lowercase();
            let (scheme, authority) = url.split_once("://").unwrap_or(("http", &url));
            if without_default_port(scheme, &host) != without_default_port(scheme, authority) {
                return Err(wrong_name(&host, &url));
            }
            return Ok(Self { origin: format!("{scheme}://{}", without_default_port(scheme, authority)) });
        }
        let scheme = scheme(request)?;
        match name_of(&host) {
            Some(name) if is_own(name, own_names) => {
                Ok(Self { origin: format!("{scheme}://{}", without_default_port(scheme, &host)) })
            }
            _ => Err(unknown_name(&host, own_names)),
        }
    }

    /// As a browser writes it in `Origin`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// True if cookies can be kept to HTTPS.
    pub fn https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Return the host without its port.
    pub fn host(&self) -> &str {
        let authority = self.origin.split_once("://").map_or(self.origin.as_str(), |(_, authority)| authority);
        name_of(authority).unwrap_or(authority)
    }

    /// Return true if links to this site lead nowhere on other computers.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.host())
    }

    /// An absolute link to a path below [`BASE`].
    pub fn link(&self, path: &str) -> String {
        format!("{}{BASE}{path}", self.origin)
    }
}

/// Characters of a host that is quoted.
const SHOWN: usize = 100;

/// The address is set, and another one came: a proxy in front may not pass on what the browser sent.
fn wrong_name(came: &str, expected: &str) -> Refusal {
    let message = format!(
        "This service is at {expected}{BASE}/, and the request came for {}. If that is the address you opened, the web \
         server or a proxy in front of it changes the header Host: the administrator has it pass on the browser's, \
         with its port (nginx: proxy_set_header Host $http_host), or corrects 'public_url' in \
         /etc/qemu-web-desktop/config.toml.",
        quoted(came)
    );
    Refusal::new(421, "misdirected", message)
}

fn unknown_name(came: &str, own_names: &[String]) -> Refusal {
    let names = own_names.iter().map(String::as_str).chain(["localhost"]).collect::<Vec<_>>().join(", ");
    let message = format!(
        "The request came for {}, which is no name of this server: it expects its addresses and {names}. The \
         administrator sets the address that people use as 'public_url' in /etc/qemu-web-desktop/config.toml.",
        quoted(came)
    );
    Refusal::new(421, "misdirected", message)
}

fn quoted(host: &str) -> String {
    if host.is_empty() { "no host at all".to_owned() } else { format!("\"{}\"", journal::plain(host, SHOWN)) }
}

/// Return true if an authority has the name of a URL, whatever the ports.
pub fn is_same_name(authority: &str, url: &str) -> bool {
    let other = url.split_once("://").map_or(url, |(_, authority)| authority);
    name_of(authority).zip(name_of(other)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// What Apache says about its own connection to the client.
fn scheme(request: &Request) -> Result<&'static str, Refusal> {
    Ok(if request.header("x-forwarded-proto")? == Some("https") { "https" } else { "http" })
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// The name or address of an authority whose port, if any, is a number.
fn name_of(authority: &str) -> Option<&str> {
    let (name, port) = match authority.rfind(':') {
        Some(at) if !authority.ends_with(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    };
    let numeric = port.is_none_or(|p| !p.is_empty() && p.parse::<u16>().is_ok());
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_[]:".contains(&b));
    (numeric && plain && !name.is_empty()).then_some(name)
}

fn is_own(name: &str, own_names: &[String]) -> bool {
    // The root of all names may be named, too.
    let name = name.strip_suffix('.').unwrap_or(name);
    let address = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let is_address = match address {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.parse::<std::net::Ipv4Addr>().is_ok(),
    };
    is_address || name == "localhost" || own_names.iter().any(|own| own == name)
}

/// The client as Apache saw it: the last element of `X-Forwarded-For`. `None` if there is none.
pub fn client(request: &Request) -> Option<IpAddr> {
    let all = request.headers.iter().rfind(|(name, _)| name == "x-forwarded-for")?;
    let address: IpAddr = all.1.rsplit(',').next()?.trim().parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::http::Method;

    fn request(headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Request::new(Method::Get, "/qemu-web-desktop/", headers, Vec::new())
    }

    fn origin(host: &str, public_url: Option<&str>) -> Option<String> {
        let names = ["desk".to_owned(), "desk.example.org".to_owned()];
        Site::of(&request(&[("host", host)]), public_url, &names).ok().map(|site| site.origin)
    }

    #[test]
    fn own_names_and_addresses_pass() {
        for host in ["localhost", "localhost:8080", "127.0.0.1", "[::1]:8080", "desk", "DESK.example.org", "192.0.2.7"]
        {
            assert_eq!(origin(host, None), Some(format!("http://{}", host.to_ascii_lowercase())), "{host}");
        }
        assert_eq!(origin("localhost:80", None).unwrap(), "http://localhost");
    }

    #[test]
    fn a_foreign_name_is_refused() {
        for host in [
            "",
            "evil.example",
            "desk.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "other",
            "localhost:x",
            "localhost:",
            "localhost:99999",
            "user@localhost",
            "localhost/x",
            "[localhost]",
            "::1",
        ] {
            assert_eq!(origin(host, None), None, "{host}");
        }
        assert!(Site::of(&request(&[]), None, &[]).is_err());
        assert!(Site::of(&request(&[("host", "localhost"), ("host", "evil.example")]), None, &[]).is_err());
    }

    #[test]
    fn with_public_url_nothing_else_passes() {
        let url = Some("https://Desktops.example.org");
        assert_eq!(origin("desktops.example.org", url).unwrap(), "https://desktops.example.org");
        assert_eq!(origin("desktops.example.org:443", url).unwrap(), "https://desktops.example.org");
        assert_eq!(origin("localhost", url), None);
        assert_eq!(origin("desktops.example.org:8443", url), None);
    }

    #[test]
    fn a_refusal_names_the_host_that_came_and_the_one_expected() {
        let names = ["desk".to_owned()];
        let refused = |host: &str, url| Site::of(&request(&[("host", host)]), url, &names).unwrap_err().message;
        let told = refused("desktops.example.org", Some("https://desktops.example.org:8443"));
        assert!(told.contains("came for \"desktops.example.org\"."), "{told}");
        assert!(told.contains("is at https://desktops.example.org:8443/qemu-web-desktop/,"), "{told}");
        let told = refused("other.example", None);
        assert!(told.contains("\"other.example\"") && told.contains("desk, localhost"), "{told}");
        assert!(refused("", None).contains("no host at all"));
        assert!(refused(&"x".repeat(10_000), None).len() < 600 && refused("a\u{1b}[2J", None).contains("\\u{1b}"));
    }

    #[test]
    fn only_the_last_forwarded_address_is_believed() {
        let client = |v| client(&request(&[("x-forwarded-for", v)]));
        assert!(client("192.0.2.1, 127.0.0.1").unwrap().is_loopback());
        assert!(!client("127.0.0.1, 192.0.2.1").unwrap().is_loopback());
        assert!(client("::ffff:127.0.0.9").unwrap().is_loopback());
        assert_eq!(client("127.0.0.1, unknown"), None);
        assert_eq!(super::client(&request(&[])), None);
    }
}
