//! Why a server could not be asked: each reason apart from the others, as a sentence with its remedy.
//!
//! None of them means that a password is wrong. What a server wrote is quoted only where no password
//! had been sent to it yet.

use super::peer::Target;
use super::tls::is_authority;
use crate::config::Encryption;
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
    /// Its certificate is an authority's, which signs itself.
    SelfSigned,
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
            Self::SelfSigned => format!(
                "The certificate of {host} is an authority's own, which is accepted only where it is named: save it by \
                 'openssl s_client -connect {host}:{port}{} </dev/null | openssl x509 >FILE', compare it with the \
                 server's, and set {section}.ca_file = \"FILE\".",
                self.start_tls(at)
            ),
            Self::OtherName(names) if names.is_empty() => format!(
                "The certificate of {host} names no host: renew it there, with subjectAltName=DNS:{host}, or name its \
                 own file in {section}.ca_file if it signs itself."
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

    /// The option by which openssl asks for TLS.
    fn start_tls(&self, at: &Target) -> String {
        let protocol = at.section.rsplit('.').next().unwrap_or_default();
        let protocol = if protocol == "mail" { "smtp" } else { protocol };
        if at.server.encryption == Encryption::StartTls { format!(" -starttls {protocol}") } else { String::new() }
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
            TlsError::AlertReceived(alert) => {
                Self::Handshake(format!("the server answers with the alert \"{}\"", words(&format!("{alert:?}"))))
            }
            TlsError::NoCertificatesPresented => Self::Certificate("it shows none".into()),
            TlsError::NoApplicationProtocol => {
                Self::Handshake("the server offers no protocol that is known here".into())
            }
            TlsError::FailedToGetCurrentTime => Self::Handshake("the time is not known here".into()),
            TlsError::FailedToGetRandomBytes => Self::Handshake("there are no random numbers here".into()),
            // The rest speaks of what its library calls things.
            _ => Self::Handshake(
                "the server does not keep to the rules of TLS, or somebody in between changes what it says".into(),
            ),
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
            why if is_authority(why) => Self::SelfSigned,
            CertificateError::BadEncoding => Self::Certificate("it is damaged".into()),
            CertificateError::BadSignature => Self::Certificate("its signature is wrong".into()),
            CertificateError::Revoked => Self::Certificate("it has been revoked".into()),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::Certificate("it is not meant for servers (extendedKeyUsage has no serverAuth)".into())
            }
            CertificateError::UnhandledCriticalExtension => {
                Self::Certificate("it has a critical extension that is not known here".into())
            }
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                Self::Certificate("its key or its signature is of a kind that is not accepted, such as SHA-1".into())
            }
            _ => Self::Certificate(
                "it is not of the form that the certificates of servers have (X.509 version 3)".into(),
            ),
        }
    }
}

/// A name that a library has as `DnsName("mail.example.org")`, as it is written elsewhere.
fn bare(name: &str) -> String {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inside.trim_matches('"').to_owned()
}

/// `HandshakeFailure` as "handshake failure".
fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars().take(60) {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
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
            Trouble::SelfSigned,
            Trouble::OtherName(Vec::new()),
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
        assert_eq!(bare("IpAddress(192.0.2.1)"), "192.0.2.1");
        assert_eq!(bare("DirectoryName"), "DirectoryName");
    }

    #[test]
    fn no_text_of_a_library_is_repeated() {
        let other = |text: &str| {
            CertificateError::Other(rustls::OtherError(std::sync::Arc::new(io::Error::other(text.to_owned()))))
        };
        let errors = [
            TlsError::AlertReceived(AlertDescription::HandshakeFailure),
            TlsError::PeerMisbehaved(rustls::PeerMisbehaved::IllegalMiddleboxChangeCipherSpec),
            TlsError::InappropriateMessage { expect_types: Vec::new(), got_type: rustls::ContentType::Alert },
            TlsError::General("OtherError(x)".into()),
            TlsError::InvalidCertificate(other("UnsupportedCertVersion")),
            TlsError::InvalidCertificate(other("CaUsedAsEndEntity")),
            TlsError::InvalidCertificate(CertificateError::BadEncoding),
            TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure),
        ];
        let at = Target::to("mail.example.org", 993, Duration::from_secs(10));
        for error in &errors {
            let sentence = Trouble::from(error).tell(&at);
            let camel = sentence.split(|c: char| !c.is_alphanumeric()).find(|word| {
                word.chars().skip(1).zip(word.chars().skip(2)).any(|(a, b)| a.is_lowercase() && b.is_uppercase())
            });
            assert!(camel.is_none_or(|word| ["extendedKeyUsage", "serverAuth"].contains(&word)), "{sentence}");
        }
        assert!(Trouble::from(&errors[0]).tell(&at).contains("\"handshake failure\""));
    }

    #[test]
    fn what_a_server_writes_stays_on_one_line() {
        assert_eq!(quoted("421 go\r\naway\u{1b}[2J \r\n"), "421 goaway[2J");
        assert_eq!(quoted(&"x".repeat(1000)).len(), 200);
    }
}
