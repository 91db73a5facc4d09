//! The words of our letters: plain text, that says at once what it is about.
//!
//! Whoever has a letter sent chooses which one and fills in names; a link leads to this service or the
//! letter is not sent. Pure: the time and the message's id are arguments.

use crate::mail::Letter;
use crate::model::MailAddress;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use std::error::Error;
use std::time::SystemTime;

/// What is the same in all letters.
pub(super) struct Sender<'a> {
    /// Where they come from.
    pub(super) from: &'a MailAddress,
    /// The name of the service.
    pub(super) title: &'a str,
    /// Where the service is reached, if that is configured.
    pub(super) public_url: Option<&'a str>,
}

/// RFC 3834: no answering machine answers it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The whole message, as it goes over the line; or the sentence why there is none.
pub(super) fn write(letter: &Letter, sender: &Sender<'_>, now: SystemTime, id: &str) -> Result<String, String> {
    let title: String = sender.title.chars().filter(|c| !c.is_control()).collect();
    let (subject, text) = match letter {
        Letter::SignInLink { link, code, minutes, .. } => sign_in(&title, fit(link, sender)?, code, *minutes)?,
        Letter::Ending { owner, machine, id, link, minutes, .. } => {
            let subject = format!("Your session of {machine} ends in {}", span(*minutes));
            let text = format!(
                "The session {id} of {machine}, which {owner} has at\n\"{title}\", ends in {}.\n\
                 Everything on its disk is removed then.\n\n\
                 Save your work elsewhere, or see on the session's page whether it\ncan be extended:\n\n{}\n",
                span(*minutes),
                fit(link, sender)?
            );
            (subject, text)
        }
    };
    let closing = "\nThis mail was sent by a program. Nobody reads answers to it.\n";
    let message = Message::builder()
        .from(mailbox(sender.from)?)
        .to(mailbox(letter.to())?)
        .subject(subject)
        .date(now)
        .message_id(Some(format!("<{id}@{}>", sender.from.domain())))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(text + closing)
        .map_err(|e| format!("The mail cannot be written: {e}."))?;
    String::from_utf8(message.formatted()).map_err(|_| "The mail cannot be written in ASCII.".to_owned())
}

fn sign_in(title: &str, link: &str, code: &str, minutes: u64) -> Result<(String, String), String> {
    if !code.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) || code.len() > 64 {
        return Err("The code in the mail is none.".to_owned());
    }
    // Where the secret stands behind "#", the page is there without it.
    let page = link.split('#').next().unwrap_or(link);
    let typed = match code {
        "" => String::new(),
        code => format!("\nIf the link cannot be opened, go to\n\n{page}\n\nand type this code:\n\n{code}\n"),
    };
    let text = format!(
        "Somebody, and we hope it was you, wants to sign in to \"{title}\"\nwith this address.\n\n\
         Open this link within {} to go on:\n\n{link}\n{typed}\n\
         If it was not you, do nothing: who has only your address cannot sign in.\n",
        span(minutes)
    );
    Ok((format!("Sign in to {title}"), text))
}

/// A link that is one, on a line of its own, and to this service.
fn fit<'a>(link: &'a str, sender: &Sender<'_>) -> Result<&'a str, String> {
    let is_link = ["https://", "http://"].iter().any(|scheme| link.starts_with(scheme));
    // Longer lines may be broken on the way (RFC 5322, 2.1.1).
    if !is_link || link.len() > 900 || !link.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("The link in the mail is none.".to_owned());
    }
    let own = sender.public_url.map(|url| format!("{}/", url.to_ascii_lowercase()));
    if own.is_some_and(|own| !link.to_ascii_lowercase().starts_with(&own)) {
        return Err("The link in the mail does not lead to public_url, so it is not sent.".to_owned());
    }
    Ok(link)
}

fn mailbox(address: &MailAddress) -> Result<Mailbox, String> {
    let parsed = address.as_str().parse().map_err(|e| format!("{address} is no mail address: {e}."))?;
    Ok(Mailbox::new(None, parsed))
}

/// A time as people say it.
fn span(minutes: u64) -> String {
    let (number, unit) = match minutes {
        m if m >= 2 * 1440 && m % 1440 == 0 => (m / 1440, "day"),
        m if m >= 60 && m % 60 == 0 => (m / 60, "hour"),
        m => (m, "minute"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    const LINK: &str = "https://desk.example.org/qemu-web-desktop/sign-in#k3y";

    fn link(link: &str, code: &str) -> Letter {
        let to = "alice@example.org".parse().unwrap();
        Letter::SignInLink { to, link: link.into(), code: code.into(), minutes: 30 }
    }

    fn written(letter: &Letter, title: &str, public_url: Option<&str>) -> Result<String, String> {
        let from = "desktops@example.org".parse().unwrap();
        let sender = Sender { from: &from, title, public_url };
        let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        write(letter, &sender, now, "abc")
    }

    #[test]
    fn a_letter_has_the_headers_that_letters_have() {
        let text = written(&link(LINK, "48_2-A13"), "Virtual desktops", None).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: desktops@example.org",
            "To: alice@example.org",
            "Subject: Sign in to Virtual desktops",
            "Date: Mon, 21 Sep 2026 14:13:20 +0000",
            "Message-ID: <abc@example.org>",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(head.lines().any(|l| l == line), "{line} is missing in {head}");
        }
        assert!(body.lines().any(|l| l == LINK) && body.lines().any(|l| l == "48_2-A13"), "{body}");
        assert!(body.contains("within 30 minutes"));
        assert!(body.lines().any(|l| l == "https://desk.example.org/qemu-web-desktop/sign-in"), "{body}");
    }

    #[test]
    fn an_ending_says_what_when_and_where() {
        let letter = Letter::Ending {
            to: "alice@example.org".parse().unwrap(),
            owner: "alice".parse().unwrap(),
            machine: "Debian 13.qcow2".parse().unwrap(),
            id: "abcdefghij".parse().unwrap(),
            link: "https://desk.example.org/qemu-web-desktop/sessions/abcdefghij".into(),
            minutes: 30,
        };
        let text = written(&letter, "Virtual desktops", Some("https://Desk.example.org")).unwrap();
        assert!(text.contains("\r\nSubject: Your session of Debian 13.qcow2 ends in 30 minutes\r\n"));
        assert!(text.contains("\r\nhttps://desk.example.org/qemu-web-desktop/sessions/abcdefghij\r\n"));
    }

    #[test]
    fn a_title_cannot_begin_another_header() {
        let text = written(&link(LINK, ""), "Büro\r\nBcc: all@example.org", None).unwrap();
        let head = text.split_once("\r\n\r\n").unwrap().0;
        assert!(!head.lines().any(|l| l.starts_with("Bcc")), "{head}");
        assert!(head.contains("=?utf-8?"), "{head}");
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_not_sent() {
        let own = Some("https://desk.example.org");
        assert!(written(&link(LINK, ""), "x", own).is_ok());
        for other in [
            "https://desk.example.org.evil.example/x",
            "https://desk.example.org@evil.example/x",
            "https://evil.example/https://desk.example.org/",
            "http://desk.example.org/x",
        ] {
            assert!(written(&link(other, ""), "x", own).is_err(), "{other}");
        }
        let long = format!("https://x/{}", "a".repeat(900));
        for none in
            ["", "javascript:alert(1)", "https://x/\r\n.\r\nMAIL FROM:<x@x>", "https://x/ y", "https://ü/", &long]
        {
            assert!(written(&link(none, ""), "x", None).is_err(), "{none}");
        }
        let secret = crate::random::secret();
        assert!(written(&link(LINK, secret.expose()), "x", None).unwrap().contains(secret.expose()));
        assert!(written(&link(LINK, "12 or https://evil.example"), "x", None).is_err());
    }

    #[test]
    fn times_are_said_as_people_do() {
        let said = [1, 30, 60, 90, 120, 1440, 2880].map(span);
        assert_eq!(said, ["1 minute", "30 minutes", "1 hour", "90 minutes", "2 hours", "24 hours", "2 days"]);
    }
}
