//! Where an image comes from, and where a redirection leads: pure.

use crate::model::Problem;
use std::net::IpAddr;
use std::path::PathBuf;
use ureq::http::Uri;

/// The address of an image, as `url=` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From a web server.
    Http(Address),
    /// From a file of this host.
    File(PathBuf),
}

/// An address on a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Without a user's name or password.
    pub(super) uri: Uri,
    /// Name and password, as `user:password`.
    pub(super) login: Option<String>,
    /// Another server sent us there from outside: it must not lead to this host itself.
    pub(super) sent: bool,
}

impl Source {
    /// Reads an address: `http://`, `https://` or `file:///`.
    pub fn parse(url: &str) -> Result<Self, Problem> {
        if let Some(path) = url.strip_prefix("file://") {
            let path = percent_decoded(path.strip_prefix("localhost").unwrap_or(path));
            if !path.starts_with('/') {
                return Err(Problem::failed("A file's address is written file:///PATH, with three slashes."));
            }
            return Ok(Self::File(path.into()));
        }
        Address::parse(url).map(Self::Http).map_err(Problem::failed)
    }

    /// The last part of the address, as a file's name; `None` if there is nothing usable.
    pub(super) fn file_name(&self) -> Option<String> {
        let path = match self {
            Self::Http(address) => percent_decoded(address.uri.path()),
            Self::File(path) => path.to_string_lossy().into_owned(),
        };
        let last = path.rsplit('/').next().unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-+@()".contains(c) { c } else { '_' };
        let name: String = last.chars().map(plain).take(128).collect();
        Some(name).filter(|n| !n.is_empty() && !n.starts_with('.') && !n.ends_with(".part"))
    }
}

impl Address {
    fn parse(url: &str) -> Result<Self, String> {
        let unusable =
            || format!("The address '{}' cannot be used; it begins with http://, https:// or file:///.", shown(url));
        let url = escaped(url.split('#').next().unwrap_or_default()).ok_or_else(unusable)?;
        let (scheme, rest) = url.split_once("://").ok_or_else(unusable)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(unusable());
        }
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(percent_decoded(login)), host),
            None => (None, authority),
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let uri: Uri = format!("{scheme}://{host}{slash}{path}").parse().map_err(|_| unusable())?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(unusable());
        }
        Ok(Self { uri, login, sent: false })
    }

    /// Where `location` leads from here. `guarded` is whether a checksum stands behind it, so that
    /// it does not matter who delivers.
    pub(super) fn redirected(&self, location: &str, guarded: bool) -> Result<Self, String> {
        let next = Self::parse(&resolved(&self.uri, location.trim())).map_err(|_| {
            format!("The server sends us on to '{}', which is not followed: only http and https are.", shown(location))
        })?;
        if self.uri.scheme_str() == Some("https") && next.uri.scheme_str() == Some("http") && !guarded {
            return Err(format!(
                "The server sends us on from https to unprotected http ('{}'); that is followed only if sha256= guards \
                 the image.",
                shown(location)
            ));
        }
        // A password is for the server it was given for.
        let same = next.uri.authority() == self.uri.authority() && next.uri.scheme() == self.uri.scheme();
        let login = next.login.or_else(|| self.login.clone().filter(|_| same));
        let elsewhere = next.uri.host() != self.uri.host() && !self.is_of_this_host();
        Ok(Self { uri: next.uri, login, sent: self.sent || elsewhere })
    }

    /// Whether it says so itself.
    fn is_of_this_host(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        host.eq_ignore_ascii_case("localhost") || address.is_some_and(is_near)
    }
}

/// Whether the address is of this host, or of no network beyond its cable.
pub(super) fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_unspecified() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local(),
    }
}

/// A reference relative to `base` as a whole address (RFC 3986, section 5.2).
fn resolved(base: &Uri, location: &str) -> String {
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map_or("", |a| a.as_str());
    if has_scheme(location) {
        return location.to_owned();
    }
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{scheme}://{rest}");
    }
    let (reference, query) = match location.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (location, String::new()),
    };
    let folder = &base.path()[..base.path().rfind('/').map_or(0, |slash| slash + 1)];
    let path = match reference {
        "" => base.path().to_owned(),
        absolute if absolute.starts_with('/') => without_dots(absolute),
        relative => without_dots(&format!("{folder}{relative}")),
    };
    format!("{scheme}://{authority}{path}{query}")
}

fn has_scheme(text: &str) -> bool {
    let scheme = text.split(['/', '?', '#']).next().unwrap_or_default().split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|s| s.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Removes `.` and `..` from a path.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let folder = if path.ends_with("/.") || path.ends_with("/..") { "/" } else { "" };
    format!("/{}{folder}", kept.join("/"))
}

/// Blanks and characters beyond ASCII as %XX; nothing with control characters.
fn escaped(url: &str) -> Option<String> {
    if url.chars().any(char::is_control) {
        return None;
    }
    let byte = |b: u8| if b > 0x20 && b < 0x7f { char::from(b).to_string() } else { format!("%{b:02X}") };
    Some(url.trim().bytes().map(byte).collect())
}

/// The text with each %XX as the byte it stands for; what is not UTF-8 then becomes `�`.
pub(super) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An address in a sentence: short, printable, without a login.
fn shown(url: &str) -> String {
    let url = super::super::facts::printable(url, 120);
    match (url.find("://"), url.rfind('@')) {
        (Some(start), Some(end)) if start < end => format!("{}{}", &url[..start + 3], &url[end + 1..]),
        _ => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> Address {
        match Source::parse(url).unwrap() {
            Source::Http(address) => address,
            Source::File(_) => panic!("{url} is no web address"),
        }
    }

    #[test]
    fn addresses_of_three_kinds_are_taken() {
        assert_eq!(http("https://x.org/a b.iso#part").uri.to_string(), "https://x.org/a%20b.iso");
        assert_eq!(http("HTTP://x.org").uri.to_string(), "http://x.org/");
        assert_eq!(http("http://u:p%40ss@x.org/a").login.as_deref(), Some("u:p@ss"));
        assert_eq!(http("http://u:p@x.org/a").uri.to_string(), "http://x.org/a");
        assert_eq!(Source::parse("file:///srv/a%20b.iso").unwrap(), Source::File("/srv/a b.iso".into()));
        assert_eq!(Source::parse("file://localhost/a").unwrap(), Source::File("/a".into()));
        for url in ["", "x", "ftp://x/y", "http://", "http:///a", "file://a", "javascript:x", "http://a\nb/"] {
            assert!(Source::parse(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn a_file_is_named_as_its_address_ends() {
        let names =
            ["http://x/d/a-1.iso?x=/y", "http://x/a%2Fb%20c.iso", "http://x/", "http://x/.hidden", "http://x/a.part"]
                .map(|url| Source::parse(url).unwrap().file_name());
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(names, [name("a-1.iso"), name("b_c.iso"), None, None, None]);
    }

    #[test]
    fn redirections_are_resolved() {
        let base = http("https://x.org/d/e/a.iso?q=1");
        for (location, wanted) in [
            ("https://y.org/b", "https://y.org/b"),
            ("//y.org/b", "https://y.org/b"),
            ("/b?r=2", "https://x.org/b?r=2"),
            ("b", "https://x.org/d/e/b"),
            ("../b", "https://x.org/d/b"),
            ("../../../../b", "https://x.org/b"),
            ("?r", "https://x.org/d/e/a.iso?r"),
        ] {
            assert_eq!(base.redirected(location, false).unwrap().uri.to_string(), wanted, "{location}");
        }
    }

    #[test]
    fn redirections_out_of_the_web_are_not_followed() {
        let base = http("http://x.org/a.iso");
        for location in ["file:///etc/shadow", "FILE:///etc/shadow", "ftp://x/y", "data:,x", "gopher://x"] {
            assert!(base.redirected(location, true).unwrap_err().contains("not followed"), "{location}");
        }
    }

    #[test]
    fn who_is_sent_on_from_outside_is_marked() {
        let sent = |base: &str, location: &str| http(base).redirected(location, true).unwrap().sent;
        assert!(sent("http://x.org/a", "http://y.org/b") && sent("http://x.org/a", "http://127.0.0.1/b"));
        assert!(!sent("http://x.org/a", "https://x.org/b") && !sent("http://127.0.0.1:1/a", "http://localhost:2/b"));
        assert!(http("http://x.org/a").redirected("//y.org/", true).unwrap().redirected("/b", true).unwrap().sent);
        for near in ["127.1.2.3", "::1", "0.0.0.0", "169.254.169.254", "fe80::1", "::ffff:127.0.0.1"] {
            assert!(is_near(near.parse().unwrap()), "{near}");
        }
        assert!(!is_near("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn https_is_left_only_if_a_checksum_guards() {
        let base = http("https://x.org/a.iso");
        assert!(base.redirected("http://x.org/b", false).unwrap_err().contains("sha256="));
        assert!(base.redirected("http://x.org/b", true).is_ok());
        assert!(http("http://x.org/a").redirected("https://x.org/b", false).is_ok());
    }

    #[test]
    fn a_password_does_not_follow_to_another_server() {
        let base = http("https://u:p@x.org/a");
        assert_eq!(base.redirected("/b", false).unwrap().login.as_deref(), Some("u:p"));
        assert_eq!(base.redirected("https://y.org/b", false).unwrap().login, None);
        assert_eq!(base.redirected("http://x.org/b", true).unwrap().login, None);
    }
}
