//! Signing in by a name and a password. The checks are made by units of their own behind sockets; here
//! is decided who may try now, what is told of it, and what stands in the journal.

use super::ask::Ask;
use super::chain::{self, Accepted, Checked};
use super::check_slots::Request;
use super::identity::{self, NAME_SHOWN, REASON_SHOWN, refused};
use super::refusal::Refusal;
use super::remote::shown;
use super::signins::SignIn;
use super::site;
use super::throttle::{Attempt, Counted};
use super::typed_name::{TypedName, counted_as};
use crate::auth::{self, Answer, Check, CommandCheck, Password, Previous};
use crate::config::{Method, Settings};
use crate::journal;
use crate::model::UserName;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How much longer than its own time limit a helper is waited for: it has to be started first.
const MARGIN: Duration = Duration::from_secs(3);

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
    let Some(_slot) = ask.app.checking.enter(client, wanted_slot(ask, name, client)) else {
        return Err(Refusal::busy());
    };
    let (begun, started) = (ask.ticks(), Instant::now());
    let counted = begin(ask, name, client)?;
    let Some(typed) = TypedName::parse(name, &ask.settings.sign_in) else {
        return Err(refuse_name(ask, &counted, name, begun + started.elapsed().as_secs()));
    };
    let checked = match password.expose().is_empty() {
        true => Checked { accepted: None, said: Vec::new(), misnamed: None },
        false => chain::run(&ask.settings.sign_in.methods, &typed, |method, name, said| {
            question(ask, method, name, password, said)
        }),
    };
    count(ask, &counted, &checked, begun + started.elapsed().as_secs());
    if let Some(Accepted { method, name, groups }) = checked.accepted {
        return Ok(SignIn::new(name, method, ask.now).of(groups));
    }
    if checked.misnamed.is_some() {
        note_name(ask, name, &reasons(&checked));
    } else {
        refused(ask, name, &reasons(&checked));
    }
    Err(refusal(&checked))
}

/// Refuse a name that nobody can have. Nobody was asked about it, so nothing has been guessed at: what may be a person's
/// own name is no failure.
fn refuse_name(ask: &Ask<'_>, counted: &Counted, name: &str, now: u64) -> Refusal {
    let may_be_own = is_like_a_name(name);
    let mut throttle = ask.app.throttle.lock().unwrap_or_else(PoisonError::into_inner);
    match may_be_own {
        true => throttle.undecided(counted, now),
        false => throttle.failed(counted, now),
    }
    drop(throttle);
    match may_be_own {
        true => note_name(ask, name, "a name that the service does not take"),
        false => refused(ask, name, "no usable name or password"),
    }
    Refusal::new(401, "not_signed_in", format!("This name cannot be used here: a name {}.", UserName::RULE))
}

/// Return true if a text has nothing but letters of any script, and what stands in names and addresses. A full name has
/// no digits; a line that somebody tries to forge has.
fn is_like_a_name(text: &str) -> bool {
    let is_forged = text.contains(' ') && text.contains(|c: char| c.is_ascii_digit());
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || " .'\u{2019}-_@+".contains(c));
    is_plain && !is_forged && !text.is_empty()
}

/// Write that a name is in the way. That is no failure for fail2ban.
fn note_name(ask: &Ask<'_>, name: &str, why: &str) {
    let client = identity::named(site::client(ask.request));
    let line = format!(
        "Sign-in not possible from {client}: user \"{}\" ({})",
        journal::plain(name, NAME_SHOWN),
        journal::plain(why, REASON_SHOWN)
    );
    ask.app.odd_names.note(&client, "name", &line);
}

/// Remembers how it ended.
fn count(ask: &Ask<'_>, counted: &Counted, checked: &Checked, now: u64) {
    let mut throttle = ask.app.throttle.lock().unwrap_or_else(PoisonError::into_inner);
    if checked.accepted.is_some() {
        throttle.succeeded(counted, now);
    } else if checked.misnamed.is_some() || !checked.refused() && checked.unavailable().next().is_some() {
        throttle.undecided(counted, now);
    } else {
        throttle.failed(counted, now);
    }
}

/// What kind of slot the check may take.
fn wanted_slot(ask: &Ask<'_>, name: &str, client: Option<IpAddr>) -> Request {
    let throttle = ask.app.throttle.lock().unwrap_or_else(PoisonError::into_inner);
    let failures = throttle.failures(client, ask.ticks());
    if ask.known_device(name).is_none() {
        return Request::Password(failures);
    }
    let account = throttle.account(&counted_as(name, &ask.settings.sign_in.methods));
    Request::KnownBrowser { failures, account }
}

fn begin(ask: &Ask<'_>, name: &str, client: Option<IpAddr>) -> Result<Counted, Refusal> {
    let device = ask.known_device(name);
    let names = counted_as(name, &ask.settings.sign_in.methods);
    let attempt = Attempt { names: &names, client, device: device.as_ref().map(|d| d.expose().as_bytes()) };
    let mut throttle = ask.app.throttle.lock().unwrap_or_else(PoisonError::into_inner);
    throttle.begin(&attempt, ask.ticks()).map_err(|seconds| {
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
    if let Some(name) = &checked.misnamed {
        let sentence = format!(
            "Your password is right, but you are \"{}\" there, which cannot be used as a name here: a name {}. Ask the \
             administrator for another one.",
            shown(name),
            UserName::RULE
        );
        return Refusal::new(403, "not_allowed", sentence);
    }
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
        Checked { accepted: None, said: said.collect(), misnamed: None }
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

    #[test]
    fn names_of_people_are_told_from_attempts_to_break_out() {
        for name in ["ünal", "O\u{2019}Brien", "Ada Lovelace", "李雷", "jürgen@example.org"] {
            assert!(is_like_a_name(name), "{name}");
        }
        for name in [
            "",
            "al*",
            "x\" (y",
            "a\nb",
            "al\u{200b}ice",
            "203.0.113.3: user",
            "from 203.0.113.2",
            "alice)(uid=",
            "a\\b",
            "alice\u{7f}",
        ] {
            assert!(!is_like_a_name(name), "{name:?}");
        }
    }
}
