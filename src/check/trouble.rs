//! Why a server could not be asked: each reason apart from the others, as a sentence with its remedy.
//!
//! None of them means that a password is wrong. What a server wrote is quoted only where no password
//! had been sent to it yet.

use super::peer::Target;
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use std::io;

/// Why a server could not be asked.
#[derive(Debug, PartialEq)]
pub enum Trouble {
    /// Its name has no address.
    Unresolved,
    /// Its name is still being looked for.
    SlowNames,
    /// Nothing listens on its port.
    Refused,
    /// The network does not lead there, for this reason.
    Unreachable(String),
    /// No answer in time.
    Silent,
    /// It ended the connection in the middle.
    Closed,
    /// It turned us away with this answer, before anything was asked.
    TurnedAway(String),
    /// It does not offer STARTTLS, or somebody in between hides that.
    NoStartTls,
    /// It does not speak TLS where TLS was expected.
    NoTls,
    /// It speaks this at best, which is too old.
    OldTls(&'static str),
    /// It speaks no version of TLS that is new enough.
    TlsVersion,
    /// Its certificate's authority is not known.
    Untrusted,
    /// Its certificate is for other names.
    OtherName(Vec<String>),
    /// Its certificate was good once.
    Expired,
    /// Its certificate is not good yet.
    NotYetValid,
    /// Its certificate is not accepted for another reason.
    Certificate(String),
    /// The handshake failed for another reason.
    Handshake(String),
    /// What it says is not in this language.
    Garbled(&'static str),
    /// It does not do what is needed: this.
    Unable(String),
    /// Something here must be mended first: this.
    Ours(String),
}

impl Trouble {
    /// The sentence about it.
    pub fn tell(&self, at: &Target) -> String {
        let (host, port, section) = (&at.server.host, at.server.port, at.section);
        match self {
            Self::Unresolved => format!(
                "The name {host} has no address: see that {section}.server is right and that names are found on this \
                 server ('getent hosts {host}')."
            ),
            Self::SlowNames => format!(
                "The address of {host} was not found within {} s: see that the name servers of this server answer \
                 ('getent hosts {host}').",
                at.server.timeout.as_secs()
            ),
            Self::Refused => format!(
                "{host} refuses connections to port {port}: see that the server runs there, and that {section}.port is right."
            ),
            Self::Unreachable(why) => format!("{host} cannot be reached on port {port}: {why}."),
            Self::Silent => format!(
                "{host} did not answer on port {port} within {} s, which is {section}.timeout.",
                at.server.timeout.as_secs()
            ),
            Self::Closed => format!("{host} ended the connection to port {port} without an answer."),
            Self::TurnedAway(answer) => format!("{host} takes no questions on port {port} now: it says \"{answer}\"."),
            Self::NoStartTls => format!(
                "{host} does not offer STARTTLS on port {port}, so nobody's password is sent there: switch it on at the \
                 server, or set {section}.encryption = \"tls\"; if it is on, somebody in between hides it."
            ),
            Self::NoTls => format!(
                "{host} does not speak TLS on port {port}: see that {section}.port and {section}.encryption are right."
            ),
            Self::OldTls(version) => {
                format!(
                    "{host} offers {version} only, and TLS 1.2 is the least this service accepts: renew the server."
                )
            }
            Self::TlsVersion => {
                format!(
                    "{host} offers no TLS that this service accepts, of which TLS 1.2 is the least: renew the server."
                )
            }
            Self::Untrusted => format!(
                "The certificate of {host} comes from an authority that is not trusted here: name the file with the \
                 authority's own certificate in {section}.ca_file."
            ),
            Self::OtherName(names) => format!(
                "The certificate of {host} is for other names ({}): name the server by one of them in {section}.server.",
                names.join(", ")
            ),
            Self::Expired => format!("The certificate of {host} has expired: renew it there."),
            Self::NotYetValid => format!("The certificate of {host} is not valid yet: see that the clocks are right."),
            Self::Certificate(why) => format!("The certificate of {host} is not accepted: {why}."),
            Self::Handshake(why) => format!("TLS with {host} on port {port} failed: {why}."),
            Self::Garbled(language) => {
                format!("What {host} says on port {port} is not {language}: see that {section}.port is right.")
            }
            Self::Unable(why) => format!("{host} cannot check passwords on port {port}: {why}."),
            Self::Ours(sentence) => sentence.clone(),
        }
    }

    /// Whether the server may simply be too old.
    pub(super) fn may_be_age(&self) -> bool {
        matches!(self, Self::TlsVersion | Self::Closed | Self::Handshake(_))
    }
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Self {
        use io::ErrorKind as Kind;
        if let Some(tls) = e.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
            return tls.into();
        }
        match e.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::TimedOut | Kind::WouldBlock => Self::Silent,
            Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Self::Closed,
            _ => Self::Unreachable(e.to_string()),
        }
    }
}

impl From<&TlsError> for Trouble {
    fn from(e: &TlsError) -> Self {
        match e {
            TlsError::InvalidCertificate(why) => why.into(),
            TlsError::AlertReceived(AlertDescription::ProtocolVersion) | TlsError::PeerIncompatible(_) => {
                Self::TlsVersion
            }
            TlsError::InvalidMessage(_) => Self::NoTls,
            other => Self::Handshake(other.to_string()),
        }
    }
}

impl From<&CertificateError> for Trouble {
    fn from(e: &CertificateError) -> Self {
        match e {
            CertificateError::UnknownIssuer => Self::Untrusted,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName => Self::OtherName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::OtherName(presented.iter().map(|name| bare(name)).collect())
            }
            other => Self::Certificate(other.to_string()),
        }
    }
}

/// `DnsName("mail.example.org")` as it is written elsewhere.
fn bare(name: &str) -> String {
    name.split('"').nth(1).unwrap_or(name).to_owned()
}

/// What a server wrote, fit for a line of the journal.
pub(super) fn quoted(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_trouble_has_its_own_sentence_and_names_the_server() {
        let all = [
            Trouble::Unresolved,
            Trouble::SlowNames,
            Trouble::Refused,
            Trouble::Unreachable("no route to host".into()),
            Trouble::Silent,
            Trouble::Closed,
            Trouble::TurnedAway("421 busy".into()),
            Trouble::NoStartTls,
            Trouble::NoTls,
            Trouble::OldTls("TLS 1.0"),
            Trouble::TlsVersion,
            Trouble::Untrusted,
            Trouble::OtherName(vec!["smtp.example.org".into()]),
            Trouble::Expired,
            Trouble::NotYetValid,
            Trouble::Certificate("revoked".into()),
            Trouble::Handshake("bad record".into()),
            Trouble::Garbled("IMAP"),
            Trouble::Unable("no".into()),
        ];
        let at = Target::to("mail.example.org", 993, Duration::from_secs(10));
        let mut sentences: Vec<String> = all.iter().map(|t| t.tell(&at)).collect();
        assert!(sentences.iter().all(|s| s.contains("mail.example.org") && s.ends_with('.')), "{sentences:#?}");
        sentences.sort();
        sentences.dedup();
        assert_eq!(sentences.len(), all.len());
    }

    #[test]
    fn names_of_a_certificate_are_shown_as_names() {
        assert_eq!(bare("DnsName(\"mail.example.org\")"), "mail.example.org");
        assert_eq!(bare("IpAddress(192.0.2.1)"), "IpAddress(192.0.2.1)");
    }

    #[test]
    fn what_a_server_writes_stays_on_one_line() {
        assert_eq!(quoted("421 go\r\naway\u{1b}[2J \r\n"), "421 goaway[2J");
        assert_eq!(quoted(&"x".repeat(1000)).len(), 200);
    }
}
