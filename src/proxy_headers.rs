//! Headers that Apache adds to each request, and the proof that Apache added them.
//!
//! A client can have any header removed on its way through Apache, by naming it in `Connection`, and a program
//! that runs as Apache's user can connect to our sockets. So a request is believed only if it carries the
//! secret of Apache's configuration and every one of these headers: an absent one was lost, an empty one is a fact.

use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The file that Apache's configuration includes and that systemd passes to the portal and the display.
pub const SECRET_FILE: &str = "/var/lib/qemu-web-desktop/proxy/secret.conf";
/// The credential's name in the units.
const CREDENTIAL: &str = "proxy-secret";
/// Digits of the secret.
const SECRET_LEN: usize = 64;

const SECRET: &str = "x-qwd-secret";
const FORWARDED: &str = "x-qwd-forwarded";
const CONNECTION: &str = "x-qwd-connection";
/// The headers that Apache always sets, the secret aside.
const REQUIRED: [&str; 6] =
    [FORWARDED, CONNECTION, "x-forwarded-for", "x-forwarded-proto", "x-remote-user", "x-remote-groups"];
/// The headers by which mod_proxy itself tells of the client.
const OF_APACHE: [&str; 4] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-server", "x-forwarded-proto"];
/// The words of `Connection` that remove no header which anybody believes.
const CONNECTION_WORDS: [&str; 8] =
    ["", "close", "keep-alive", "upgrade", "te", "trailer", "http2-settings", "proxy-connection"];

/// The secret that Apache sends with each request, by its digest.
pub struct ProxySecret(Option<[u8; 32]>);

impl ProxySecret {
    /// Read the credential that systemd passes; without one no request is believed.
    pub fn from_credential() -> Self {
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let text = directory.and_then(|directory| std::fs::read_to_string(directory.join(CREDENTIAL)).ok());
        let secret = Self::parse(&text.unwrap_or_default());
        if secret.0.is_none() {
            log::error!("{}", ProxyError::NoSecret);
        }
        secret
    }

    /// Return the secret in a line of Apache's configuration.
    pub fn parse(text: &str) -> Self {
        let is_secret = |word: &&str| word.len() == SECRET_LEN && word.bytes().all(|b| b.is_ascii_hexdigit());
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        Self(lines.flat_map(|line| line.split('"')).find(is_secret).map(digest))
    }

    /// Return true if there is a secret.
    pub fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// Check that a request comes from Apache with all that Apache says of it. Header names are in lower case.
    pub fn verify(&self, headers: &[(&str, &[u8])]) -> Result<Verified, ProxyError> {
        let expected = self.0.ok_or(ProxyError::NoSecret)?;
        // Digests are compared: how long that takes tells nothing about the secret.
        let sent = the_one(headers, SECRET).map_err(|_| ProxyError::WrongSecret)?;
        if Sha256::digest(sent)[..] != expected {
            return Err(ProxyError::WrongSecret);
        }
        for name in REQUIRED {
            the_one(headers, name)?;
        }
        let connection = String::from_utf8_lossy(the_one(headers, CONNECTION)?).to_ascii_lowercase();
        if connection.split(',').any(|word| !CONNECTION_WORDS.contains(&word.trim())) {
            return Err(ProxyError::RemovedHeader);
        }
        let is_marked = the_one(headers, FORWARDED)? != b"no";
        Ok(Verified { forwarded: is_marked || headers.iter().any(|(name, _)| is_trace(name)) })
    }
}

/// What Apache says of a request that comes from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// True if the request came to Apache through another proxy that left a trace.
    pub forwarded: bool,
}

/// Why a request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// The installation has no secret.
    NoSecret,
    /// The request does not carry it.
    WrongSecret,
    /// Apache always sets this header, once.
    LostHeader(&'static str),
    /// The client had headers removed.
    RemovedHeader,
}

impl ProxyError {
    /// Return the HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::NoSecret => 503,
            Self::WrongSecret => 403,
            Self::LostHeader(_) | Self::RemovedHeader => 400,
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecret => write!(
                f,
                "This service cannot tell requests of its web server from others, because {SECRET_FILE} is missing. \
                 The administrator runs 'dpkg-reconfigure qemu-web-desktop'."
            ),
            Self::WrongSecret => write!(
                f,
                "This request does not come from this service's part of the web server's configuration, or that is \
                 out of date. The administrator finds out with 'sudo qwdctl check'; \
                 'systemctl restart apache2 qwd-portal qwd-display' makes all of them read the same secret."
            ),
            Self::LostHeader(name) => write!(
                f,
                "The header {name}, which the web server adds to each request, is missing or came twice. \
                 Send the request without a Connection header of your own; if that does not help, the \
                 administrator finds out with 'sudo qwdctl check'."
            ),
            Self::RemovedHeader => write!(
                f,
                "The request's Connection header names other headers, which the web server then removes. \
                 Send it without that."
            ),
        }
    }
}

/// Return the header of this name that came exactly once.
fn the_one<'a>(headers: &[(&str, &'a [u8])], wanted: &'static str) -> Result<&'a [u8], ProxyError> {
    let mut found = headers.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| *value);
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(ProxyError::LostHeader(wanted)),
    }
}

/// Return true for a header that only another proxy adds; Apache has removed those that it adds itself.
fn is_trace(name: &str) -> bool {
    let is_forwarded = name.starts_with("x-forwarded") && !OF_APACHE.contains(&name);
    is_forwarded || ["forwarded", "via", "x-real-ip"].contains(&name)
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Return true if the authority of a request names this machine by a loopback name, with or without a port.
pub fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let address = match name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse().map(IpAddr::V6).ok(),
        None => name.parse().map(IpAddr::V4).ok(),
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok())
        && (name.eq_ignore_ascii_case("localhost") || address.is_some_and(|a| a.to_canonical().is_loopback()))
}

/// Return what is wrong with the secret's file below `root`, and what to do; `None` where only root can look.
pub fn find_problem(root: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let path = root.join(SECRET_FILE.trim_start_matches('/'));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return None,
        Err(_) => String::new(),
    };
    if !ProxySecret::parse(&text).is_known() {
        return Some(format!(
            "{SECRET_FILE} is missing or holds no secret, so every page is refused: 'rm -f {SECRET_FILE}; \
             dpkg-reconfigure qemu-web-desktop' makes it anew."
        ));
    }
    let info = path.metadata().ok()?;
    (info.mode() & 0o077 != 0).then(|| {
        format!(
            "{SECRET_FILE} can be read by others than root, who could then speak for the web server: \
             'rm {SECRET_FILE}; dpkg-reconfigure qemu-web-desktop' makes another secret."
        )
    })
}

#[cfg(test)]
pub mod testing {
    //! Requests as Apache passes them, for the tests of the portal and of the display.

    use super::ProxySecret;

    /// The secret of these tests.
    pub const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// What Apache adds to a request of a browser on this machine.
    pub const HEADERS: [(&str, &str); 7] = [
        ("x-qwd-secret", SECRET),
        ("x-qwd-forwarded", "no"),
        ("x-qwd-connection", ""),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-remote-user", ""),
        ("x-remote-groups", ""),
    ];

    /// Return the same as lines of a request.
    pub fn lines() -> String {
        HEADERS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }

    /// Return the secret of these tests as a program reads it.
    pub fn secret() -> ProxySecret {
        ProxySecret::parse(&format!("RequestHeader set X-Qwd-Secret \"{SECRET}\"\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{HEADERS, SECRET, secret};
    use super::*;

    fn verify(headers: &[(&str, &str)]) -> Result<Verified, ProxyError> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        secret().verify(&headers)
    }

    fn with(name: &str, value: &str) -> Result<Verified, ProxyError> {
        let others = HEADERS.into_iter().filter(|(n, _)| *n != name);
        verify(&others.chain([(name, value)]).collect::<Vec<_>>())
    }

    #[test]
    fn a_request_without_the_secret_is_not_believed() {
        assert_eq!(verify(&HEADERS), Ok(Verified { forwarded: false }));
        for wrong in ["", "0", &SECRET[..63], &SECRET.to_uppercase(), &format!("{SECRET}0"), "missing"] {
            assert_eq!(with("x-qwd-secret", wrong), Err(ProxyError::WrongSecret), "{wrong}");
        }
        assert_eq!(verify(&HEADERS[1..]), Err(ProxyError::WrongSecret));
        let twice: Vec<_> = HEADERS.into_iter().chain([("x-qwd-secret", SECRET)]).collect();
        assert_eq!(verify(&twice), Err(ProxyError::WrongSecret));
        let none = ProxySecret::parse("missing");
        assert_eq!(none.verify(&[]), Err(ProxyError::NoSecret));
    }

    #[test]
    fn a_header_of_apaches_that_was_lost_or_came_twice_is_noticed() {
        for (lost, _) in HEADERS.iter().skip(1) {
            let rest: Vec<_> = HEADERS.into_iter().filter(|(name, _)| name != lost).collect();
            assert_eq!(verify(&rest), Err(ProxyError::LostHeader(lost)));
            let twice: Vec<_> = HEADERS.into_iter().chain([(*lost, "x")]).collect();
            assert_eq!(verify(&twice), Err(ProxyError::LostHeader(lost)));
        }
    }

    #[test]
    fn a_connection_header_may_not_name_what_others_believe() {
        for fine in ["close", "Keep-Alive, Upgrade", "TE, close", "Upgrade,HTTP2-Settings", ", ,"] {
            assert!(with("x-qwd-connection", fine).is_ok(), "{fine}");
        }
        for bad in ["X-Remote-Groups", "close, host", "keep-alive,content-length", "Transfer-Encoding", "close x"] {
            assert_eq!(with("x-qwd-connection", bad), Err(ProxyError::RemovedHeader), "{bad}");
        }
    }

    #[test]
    fn traces_of_another_proxy_are_seen() {
        assert!(with("x-qwd-forwarded", "yes").unwrap().forwarded && with("x-qwd-forwarded", "").unwrap().forwarded);
        for name in ["x-forwarded-ssl", "x-forwarded-port", "forwarded", "via", "x-real-ip"] {
            assert!(with(name, "x").unwrap().forwarded, "{name}");
        }
        assert!(!with("x-forwarded-host", "localhost").unwrap().forwarded);
    }

    #[test]
    fn loopback_names_are_told_from_others() {
        for host in ["localhost", "LOCALHOST:8080", "localhost.", "localhost.:80", "127.0.0.1", "127.9.9.9:1", "[::1]"]
        {
            assert!(is_loopback(host), "{host}");
        }
        assert!(is_loopback("[::1]:8443") && is_loopback("[::ffff:127.0.0.1]"));
        for host in [
            "",
            "desk",
            "192.0.2.7",
            "127.0.0.1.example",
            "localhost.example",
            "xlocalhost",
            "localhost:x",
            "localhost:",
            "[::2]",
            "::1",
            "127.1",
            "0.0.0.0",
            "localhost..",
            "user@localhost",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_comment_is_no_secret() {
        assert!(!ProxySecret::parse(&format!("# \"{SECRET}\"\n")).is_known());
        assert!(!ProxySecret::parse("RequestHeader set X-Qwd-Secret \"\"\n").is_known());
    }
}
