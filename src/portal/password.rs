//! Signing in by a name and a password. The checks are made by units of their own behind sockets; here
//! is decided who may try now, what is told of it, and what stands in the journal.

use super::ask::Ask;
use super::chain::{self, Accepted, Checked};
use super::identity::refused;
use super::refusal::Refusal;
use super::signins::SignIn;
use super::site;
use super::throttle::{Attempt, Counted};
use crate::auth::{self, Answer, Check, CommandCheck, Password, Previous};
use crate::config::{Method, Settings};
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How much longer than its own time limit a helper is waited for: it has to be started first.
const MARGIN: Duration = Duration::from_secs(3);
/// No name that anybody goes by is longer.
const NAME_MAX: usize = 256;

/// Whether passwords are taken at all.
pub fn wanted(settings: &Settings) -> bool {
    settings.sign_in.methods.iter().any(|method| chain::takes_password(*method))
}

/// Checks a name and a password; the sign-in is not yet stored.
pub fn check(ask: &Ask<'_>, name: &str, password: &Password) -> Result<SignIn, Refusal> {
    if !wanted(ask.settings) {
        return Err(Refusal::new(
            403,
            "not_allowed",
            "This service takes no passwords: sign in as its first page says.",
        ));
    }
    let client = site::client(ask.request);
    if name.is_empty() {
        return Err(Refusal::bad_request("Type your name."));
    }
    let Some(_place) = ask.app.checking.enter(client) else {
        return Err(Refusal::busy());
    };
    let (counted, started) = (begin(ask, name, client)?, Instant::now());
    let checked = if password.expose().is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
        Checked { accepted: None, said: Vec::new() }
    } else {
        chain::run(&ask.settings.sign_in.methods, name, |method, name, said| {
            question(ask, method, name, password, said)
        })
    };
    count(ask, &counted, &checked, ask.now + started.elapsed().as_secs());
    if let Some(Accepted { method, name, groups }) = checked.accepted {
        return Ok(SignIn::new(name, method.as_str(), ask.now).of(groups));
    }
    refused(ask, name, &reasons(&checked));
    Err(refusal(&checked))
}

/// Remembers how it ended.
fn count(ask: &Ask<'_>, counted: &Counted, checked: &Checked, now: u64) {
    let mut throttle = ask.app.throttle.lock().unwrap_or_else(PoisonError::into_inner);
    if checked.accepted.is_some() {
        throttle.succeeded(counted, now);
    } else if !checked.refused() && checked.unavailable().next().is_some() {
        throttle.undecided(counted, now);
    } else {
        throttle.failed(counted, now);
    }
}

fn begin(ask: &Ask<'_>, name: &str, client: Option<IpAddr>) -> Result<Counted, Refusal> {
    let device = ask.known_device(name);
    let attempt = Attempt { name, client, device: device.as_ref().map(|d| d.expose().as_bytes()) };
    let mut throttle = ask.app.throttle.lock().unwrap_or_else(PoisonError::into_inner);
    throttle.begin(&attempt, ask.now).map_err(|seconds| {
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let sentence = format!("There were too many attempts. Wait {seconds} {unit}, then try again.");
        Refusal::new(429, "too_many_attempts", sentence).after(seconds)
    })
}

/// Puts the question to one method.
fn question(ask: &Ask<'_>, method: Method, name: &str, password: &Password, said: &[Previous]) -> Answer {
    let settings = &ask.settings.sign_in;
    let (socket, limit) = match method {
        Method::Imap => (auth::NETWORK_SOCKET, settings.imap.as_ref().map(|server| server.timeout)),
        Method::Smtp => (auth::NETWORK_SOCKET, settings.smtp.as_ref().map(|server| server.timeout)),
        Method::Ldap => (auth::NETWORK_SOCKET, settings.ldap.as_ref().map(|ldap| ldap.server.timeout)),
        Method::Pam => (auth::PAM_SOCKET, Some(settings.pam_timeout)),
        Method::Command => (auth::COMMAND_SOCKET, Some(settings.command_timeout)),
        Method::Email | Method::RemoteUser => return Answer::new(auth::Outcome::Pass, ""),
    };
    let socket = ask.app.socket(socket);
    let patience = limit.unwrap_or_default() + MARGIN;
    let (user, password) = (name.to_owned(), password.clone());
    match method {
        Method::Command => auth::ask(&socket, &CommandCheck { user, password, previous: said.to_vec() }, patience),
        _ => auth::ask(&socket, &Check { method: method.as_str().to_owned(), user, password }, patience),
    }
}

/// For the journal.
fn reasons(checked: &Checked) -> String {
    if checked.said.is_empty() {
        return "no usable name or password".to_owned();
    }
    let one = |p: &Previous| match p.message.as_str() {
        "" => format!("{}: {}", p.method, if p.result == auth::Outcome::Pass { "no opinion" } else { "refused" }),
        message => format!("{}: {}", p.method, message.trim_end_matches('.')),
    };
    checked.said.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// For the person. Which method refused, and whether the name exists, is nobody's business; that a
/// server does not answer is, since the same password may be right in a minute.
fn refusal(checked: &Checked) -> Refusal {
    let mut down: Vec<&str> = checked.unavailable().collect();
    down.dedup();
    if down.is_empty() {
        let sentence =
            "The name or the password is not right, or you may not use this service. Mind the Caps Lock key.";
        return Refusal::new(401, "not_signed_in", sentence);
    }
    let begin = if checked.refused() {
        "The name and the password were not accepted, and not everybody could be asked."
    } else {
        "It could not be found out whether the name and the password are right."
    };
    Refusal::new(503, "unavailable", format!("{begin} {} Try again later.", down.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Outcome;

    fn checked(said: &[(&str, Outcome, &str)]) -> Checked {
        let said = said.iter().map(|(method, result, message)| Previous {
            method: (*method).into(),
            result: *result,
            message: (*message).into(),
        });
        Checked { accepted: None, said: said.collect() }
    }

    #[test]
    fn a_person_does_not_learn_which_method_refused() {
        let one = refusal(&checked(&[("imap", Outcome::Refuse, "wrong name or password")]));
        let vetoed =
            refusal(&checked(&[("pam", Outcome::Accept, ""), ("command", Outcome::Refuse, "not in the course")]));
        assert_eq!((one.status, &one), (401, &vetoed));
    }

    #[test]
    fn a_server_that_does_not_answer_is_told_from_a_wrong_password() {
        let down = ("imap", Outcome::Unavailable, "The mail server mail.example.org does not answer.");
        let alone = refusal(&checked(&[down]));
        assert_eq!(alone.status, 503);
        assert!(alone.message.contains("mail.example.org does not answer. Try again later."));
        let both = refusal(&checked(&[("pam", Outcome::Refuse, "wrong"), down]));
        assert!(both.message.starts_with("The name and the password were not accepted, and") && both.status == 503);
    }

    #[test]
    fn the_journal_says_what_each_method_said() {
        let said = [("imap", Outcome::Refuse, "wrong name or password."), ("command", Outcome::Pass, "")];
        assert_eq!(reasons(&checked(&said)), "imap: wrong name or password; command: no opinion");
    }
}
