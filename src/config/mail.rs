//! The validated settings of mails.

use super::raw;
use super::settings::{Fault, absolute, fault, optional, parsed};
use super::sign_in::{MAIL_KEYS, Ports, SUBMISSION, Server, is_domain, server};
use crate::model::{Lifetime, MailAddress};
use std::path::PathBuf;

/// How mails are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The mail server.
    pub server: Server,
    /// Name to sign in with there, and the file of its password.
    pub account: Option<(String, PathBuf)>,
    /// The sender's address.
    pub from: MailAddress,
    /// Domain of users whose names have none.
    pub domain: Option<String>,
    /// How long before its end the owner of a session gets a mail; zero: never.
    pub warn_before_end: Lifetime,
}

/// `needed`: something else that is configured sends mails.
pub(super) fn mail(raw: &raw::Mail, needed: bool) -> Result<Option<Mail>, Fault> {
    let warn_before_end = warn_before_end(&raw.warn_before_end)?;
    if raw.server.is_empty() {
        let text = "mails are to be sent, for signing in or before a session's end, so the mail server must be named";
        let unused = !needed && warn_before_end.0 == 0;
        return if unused { Ok(None) } else { Err(("mail.server", text.to_owned())) };
    }
    let from =
        raw.from.parse().map_err(|_| fault("mail.from", "the sender's address, such as desktops@example.org"))?;
    // A server on this machine is usually there to take mails as they are.
    let ports = if raw.encryption == "plain" { Ports(25, 25) } else { SUBMISSION };
    let account = match optional(&raw.user) {
        Some(user) => Some((user.to_owned(), absolute("mail.password_file", &raw.password_file)?)),
        None => None,
    };
    if !raw.domain.is_empty() && !is_domain(&raw.domain) {
        return Err(fault("mail.domain", "a domain such as example.org"));
    }
    let domain = optional(&raw.domain).map(str::to_owned);
    Ok(Some(Mail { server: server(MAIL_KEYS, &raw.as_server(), ports)?, account, from, domain, warn_before_end }))
}

fn warn_before_end(text: &str) -> Result<Lifetime, Fault> {
    let time: Lifetime = parsed("mail.warn_before_end", text)?;
    if (1..60).contains(&time.0) { Err(fault("mail.warn_before_end", "a minute or more, or \"0\"")) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_by_email_needs_a_mail_server_and_a_sender() {
        assert_eq!(mail(&raw::Mail::default(), true).unwrap_err().0, "mail.server");
        assert_eq!(mail(&raw::Mail::default(), false), Ok(None));
        let raw = raw::Mail { server: "mail.example.org".into(), ..Default::default() };
        assert_eq!(mail(&raw, false).unwrap_err().0, "mail.from");
        let raw = raw::Mail { from: "desktops@example.org".into(), user: "desktops".into(), ..raw };
        assert_eq!(mail(&raw, false).unwrap_err().0, "mail.password_file");
        let raw = raw::Mail { password_file: "/etc/qemu-web-desktop/mail.password".into(), ..raw };
        assert_eq!(mail(&raw, false).unwrap().unwrap().server.port, 587);
    }

    #[test]
    fn warnings_need_a_mail_server_and_a_minute() {
        let with = |time: &str| raw::Mail { warn_before_end: time.into(), ..Default::default() };
        assert_eq!(mail(&with("30m"), false).unwrap_err().0, "mail.server");
        for wrong in ["1s", "59s", "soon", ""] {
            assert_eq!(mail(&with(wrong), false).unwrap_err().0, "mail.warn_before_end", "{wrong:?}");
        }
    }

    #[test]
    fn a_sender_is_one_address() {
        for wrong in ["", "desktops", "Desktops <d@example.org>", "a@example.org\r\nBcc: b@example.org"] {
            let raw = raw::Mail { server: "localhost".into(), from: wrong.into(), ..Default::default() };
            assert_eq!(mail(&raw, false).unwrap_err().0, "mail.from", "{wrong:?}");
        }
    }
}
