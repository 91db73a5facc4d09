//! A mail address.

use super::{Problem, UserName, text_newtype};
use std::{fmt, str::FromStr};

/// An address that a mail can be sent to, and that can be a user's name: `NAME@DOMAIN`, in lower case, so
/// that a capital makes no second person. Quoted names, comments and letters beyond ASCII, which RFC 5322 allows, are refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailAddress(String);

impl MailAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the `@`, in lower case.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Where a user gets mail: at their name, if that is an address, else at `NAME@domain`, if there is
    /// a domain. Local accounts that nobody signs in as (`local:NAME`) get none.
    pub fn of(user: &UserName, domain: Option<&str>) -> Option<Self> {
        match (user.as_str().contains('@'), domain) {
            (true, _) => user.as_str().parse().ok(),
            (false, Some(domain)) => format!("{user}@{domain}").parse().ok(),
            (false, None) => None,
        }
    }
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_local(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && !text.ends_with('.')
        && !text.contains("..")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+'".contains(c))
}

impl FromStr for MailAddress {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text.split_once('@') {
            Some((local, domain)) if text.len() <= 128 && is_local(local) && domain.split('.').all(is_label) => {
                Ok(Self(format!("{local}@{domain}").to_ascii_lowercase()))
            }
            _ => Err(Problem::bad_request("A mail address is written like alice@example.org.")),
        }
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_newtype!(MailAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_lower_case() {
        let address: MailAddress = "Alice.B+desk@Mail.Example.ORG".parse().unwrap();
        assert_eq!(address.as_str(), "alice.b+desk@mail.example.org");
        assert_eq!(address.domain(), "mail.example.org");
        assert!("root@localhost".parse::<MailAddress>().is_ok());
        assert!(address.as_str().parse::<UserName>().is_ok());
    }

    #[test]
    fn what_could_become_a_second_header_or_receiver_is_no_address() {
        let long = format!("{}@example.org", "a".repeat(65));
        let hostile = [
            "",
            "@",
            "alice",
            "alice@",
            "@example.org",
            "alice@example.org\r\nBcc: all@example.org",
            "alice@example.org\n",
            "alice@example.org,bob@example.org",
            "Alice <alice@example.org>",
            "alice@bob@example.org",
            "\"a b\"@example.org",
            "-oQ/tmp@example.org",
            "alice@-example.org",
            "alice@example..org",
            "alice@example.org.",
            "alice..b@example.org",
            "alice.@example.org",
            "alice@[192.0.2.1]",
            "alice@exämple.org",
            "al ice@example.org",
            &long,
        ];
        for text in hostile {
            assert!(text.parse::<MailAddress>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn users_get_mail_at_their_name_or_at_the_domain() {
        let of = |name: &str, domain| {
            MailAddress::of(&name.parse().unwrap(), domain).map(|address| address.as_str().to_owned())
        };
        assert_eq!(of("alice@example.org", Some("other.org")), Some("alice@example.org".into()));
        assert_eq!(of("alice", Some("example.org")), Some("alice@example.org".into()));
        assert_eq!(of("alice", None), None);
        assert_eq!(of("local:alice", Some("example.org")), None);
        assert_eq!(of("EXP\\alice", Some("example.org")), None);
    }
}
