//! From which pages a screen may be opened: the exact `Origin` a browser states for this service.
//!
//! A browser lets every page open a WebSocket to every host, so the server has to look. Where
//! `public_url` is set, that is the one right answer. Else the page must come from the host it asks
//! for, and that host must be one that no stranger's name server can point here: an address, the
//! loopback names, or one of the server's own names.

use crate::proxy_headers::is_loopback;
use std::net::IpAddr;

/// The origins this service is reached by.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// `public_url` of the configuration.
    pub public: Option<String>,
    /// The names of this server.
    pub own_names: Vec<String>,
    /// True while no sign-in method is configured: only browsers on this machine count.
    pub open: bool,
}

/// What the request says about where it comes from and goes to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim<'a> {
    /// The `Origin` header.
    pub origin: Option<&'a str>,
    /// The host the browser asked for.
    pub host: &'a str,
    /// The scheme it used, as Apache says.
    pub scheme: &'a str,
}

impl Origins {
    /// Whether the page that asks is one of ours.
    pub fn admit(&self, claim: Claim<'_>) -> bool {
        let Some(origin) = claim.origin else { return false };
        if self.open && !is_loopback(claim.host) {
            return false;
        }
        match &self.public {
            Some(public) => normal(public) == origin,
            None => self.is_own(claim.host) && normal(&format!("{}://{}", claim.scheme, claim.host)) == origin,
        }
    }

    fn is_own(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        // The root of all names may be named, too.
        let name = name.strip_suffix('.').unwrap_or(&name);
        let address = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        name == "localhost"
            || address.parse::<IpAddr>().is_ok()
            || self.own_names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

/// As a browser writes it: lower case, without the scheme's own port.
fn normal(origin: &str) -> String {
    let lower = origin.to_ascii_lowercase();
    let own_port = if lower.starts_with("https:") { ":443" } else { ":80" };
    lower.strip_suffix(own_port).unwrap_or(&lower).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(origins: &Origins, origin: &str, scheme: &str, host: &str) -> bool {
        origins.admit(Claim { origin: Some(origin), host, scheme })
    }

    fn unconfigured() -> Origins {
        Origins { public: None, own_names: vec!["lab7".to_owned(), "lab7.example.org".to_owned()], open: false }
    }

    #[test]
    fn a_page_of_this_server_may_open_its_screens() {
        for (origin, scheme, host) in [
            ("http://localhost", "http", "localhost"),
            ("http://localhost:8080", "http", "localhost:8080"),
            ("https://127.0.0.1:8443", "https", "127.0.0.1:8443"),
            ("http://[::1]:81", "http", "[::1]:81"),
            ("https://192.0.2.7", "https", "192.0.2.7:443"),
            ("https://lab7", "https", "LAB7"),
            ("http://lab7.example.org", "http", "lab7.example.org:80"),
        ] {
            assert!(admitted(&unconfigured(), origin, scheme, host), "{origin}");
        }
    }

    #[test]
    fn any_other_page_may_not() {
        for (origin, scheme, host) in [
            ("null", "http", "localhost"),
            ("", "http", "localhost"),
            ("http://evil.example", "http", "localhost"),
            ("http://localhost.evil.example", "http", "localhost"),
            ("http://localhost.evil.example", "http", "localhost.evil.example"),
            ("http://evil.example", "http", "evil.example"),
            ("http://lab7.example.org.evil.example", "http", "lab7.example.org.evil.example"),
            ("http://notlocalhost", "http", "notlocalhost"),
            ("http://127.0.0.1.evil.example", "http", "127.0.0.1.evil.example"),
            ("https://localhost", "http", "localhost"),
            ("http://localhost:81", "http", "localhost:80"),
            ("http://localhost/", "http", "localhost"),
            ("http://user@localhost", "http", "localhost"),
            ("http://lab7 ", "http", "lab7"),
            ("http://", "http", ""),
        ] {
            assert!(!admitted(&unconfigured(), origin, scheme, host), "{origin} at {host}");
        }
        assert!(!unconfigured().admit(Claim { origin: None, host: "localhost", scheme: "http" }));
    }

    #[test]
    fn an_open_service_shows_screens_under_loopback_names_only() {
        let open = Origins { open: true, ..unconfigured() };
        assert!(admitted(&open, "http://localhost:81", "http", "localhost:81"));
        assert!(admitted(&open, "http://127.0.0.1", "http", "127.0.0.1"));
        for host in ["lab7", "192.0.2.7", "lab7.example.org"] {
            assert!(!admitted(&open, &format!("http://{host}"), "http", host), "{host}");
        }
    }

    #[test]
    fn the_configured_address_is_the_only_one() {
        let origins = Origins { public: Some("https://Desk.example.org:443".to_owned()), ..unconfigured() };
        assert!(admitted(&origins, "https://desk.example.org", "http", "anything"));
        for origin in ["https://desk.example.org.evil.example", "http://desk.example.org", "https://lab7", "null"] {
            assert!(!admitted(&origins, origin, "https", "lab7"), "{origin}");
        }
    }
}
