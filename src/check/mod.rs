//! Checking who somebody is: small programs, each started by systemd for one question.
//!
//! ```text
//! portal ──JSON──> socket ──> one process: reads the question, decides, answers, ends
//! ```
//!
//! This is their common frame. Whatever goes wrong in it, a panic and a deadline included, is an
//! answer that lets nobody in; an empty password is refused here and reaches no method.

mod begin;
pub mod command;
mod imap;
mod ldap;
mod ldap_names;
mod letter;
pub mod mail;
pub mod network;
pub mod pam;
pub mod peer;
mod probe;
pub mod rights;
mod secret;
pub mod smtp;
#[cfg(test)]
mod stand_in;
pub mod tls;
pub mod trouble;

use crate::auth::{Answer, Check, CommandCheck, Outcome, Password};
use crate::config::{self, Settings};
use crate::journal;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// More than this is no question of ours, and no answer.
const LONGEST: usize = 64 << 10;
/// The asker writes at once.
const READING: Duration = Duration::from_secs(10);

/// Read the settings. Why they cannot be used is no business of the person who signs in; the portal writes it into the
/// journal.
pub(crate) fn settings(root: &Path) -> Result<Settings, String> {
    config::load(root).map(|loaded| loaded.settings).map_err(|_| {
        "The configuration of this service cannot be used. The administrator finds the file and line with 'qwdctl check'."
            .to_owned()
    })
}

/// What one of these programs is asked.
pub trait Question: DeserializeOwned {
    /// The user's name and password, if the question is about them.
    fn typed(&self) -> Option<(&str, &Password)> {
        None
    }
}

impl Question for Check {
    fn typed(&self) -> Option<(&str, &Password)> {
        Some((&self.user, &self.password))
    }
}

impl Question for CommandCheck {
    fn typed(&self) -> Option<(&str, &Password)> {
        Some((&self.user, &self.password))
    }
}

/// Runs such a program: standard input is the connection that systemd has accepted.
/// The exit code says whether there was an answer, whatever it was.
pub fn serve<Q: Question>(decide: impl FnOnce(Q) -> Answer) -> ExitCode {
    journal::init();
    let Ok(connection) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        log::error!("There is no connection on standard input: systemd starts this program, by its socket.");
        return ExitCode::FAILURE;
    };
    if let Ok(connection) = connection.try_clone() {
        answer_panics(connection);
    }
    match converse(&connection, decide) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::error!("The portal was not answered: {e}.");
            ExitCode::FAILURE
        }
    }
}

/// A panic says where, in the journal, and not what: that may have come from a server or from the asker.
fn answer_panics(connection: UnixStream) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error!("The check ended by a mistake of this program, at {place}: please report it.");
        let sorry = Answer::unavailable("The check ended by a mistake of this program; the journal says where.");
        let _ = write(&mut &connection, &sorry);
        std::process::exit(1);
    }));
}

fn converse<Q: Question>(mut connection: &UnixStream, decide: impl FnOnce(Q) -> Answer) -> io::Result<()> {
    let answer = match read(connection)? {
        Some(text) => match serde_json::from_slice::<Q>(&text) {
            Ok(question) => question.typed().and_then(unfit).unwrap_or_else(|| decide(question)),
            // Not the reason: it may quote the password.
            Err(_) => Answer::unavailable("The question was not in the agreed form."),
        },
        None => Answer::unavailable("The question was too long or did not come in time."),
    };
    write(&mut connection, &answer)
}

/// The whole question; none if it is too long or does not end in time.
fn read(mut connection: &UnixStream) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let end = Instant::now() + READING;
    // As large as can be from the beginning: growing would leave a copy of the password behind.
    let mut text = Zeroizing::new(vec![0; LONGEST + 1]);
    let mut length = 0;
    while length < text.len() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(&mut text[length..]) {
            Ok(0) => {
                text.truncate(length);
                return Ok(Some(text));
            }
            Ok(n) => length += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

fn write(connection: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut text = serde_json::to_vec(answer)?;
    if text.len() > LONGEST {
        text = serde_json::to_vec(&Answer::unavailable(
            "The answer is too long: the user is in more groups than can be told.",
        ))?;
    }
    connection.write_all(&text)
}

/// What no method is asked about. Control characters are what injections are made of.
fn unfit((user, password): (&str, &Password)) -> Option<Answer> {
    let refused = |why: &str| Some(Answer::new(Outcome::Refuse, why));
    if user.trim().is_empty() {
        return refused("No user name was given.");
    }
    if user.len() > 256 || user.chars().any(char::is_control) {
        return refused("The user name is too long or has control characters in it.");
    }
    if password.expose().is_empty() {
        return refused("No password was given.");
    }
    if password.expose().chars().any(|c| "\0\r\n".contains(c)) {
        return refused("The password has a line break in it.");
    }
    None
}

/// Does the work on a thread of its own, and waits no longer than this: looking up a name, for one,
/// knows no bound. The process ends after its answer, and the thread with it.
pub fn within(patience: Duration, late: Answer, work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let (done, answer) = mpsc::channel();
    let started = std::thread::Builder::new().spawn(move || {
        let _ = done.send(work());
    });
    match started {
        Ok(_) => answer.recv_timeout(patience).unwrap_or(late),
        Err(e) => Answer::unavailable(format!("The check could not be started: {e}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown;

    fn asked(text: &[u8], decide: impl FnOnce(Check) -> Answer) -> Answer {
        let (portal, helper) = UnixStream::pair().unwrap();
        let text = text.to_vec();
        let writer = std::thread::spawn(move || {
            let _ = (&portal).write_all(&text);
            portal.shutdown(Shutdown::Write).unwrap();
            portal
        });
        converse(&helper, decide).unwrap();
        drop(helper);
        let mut answer = Vec::new();
        writer.join().unwrap().read_to_end(&mut answer).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    fn accepting(check: Check) -> Answer {
        Answer::new(Outcome::Accept, check.user)
    }

    fn typed(user: &str, password: &str) -> Answer {
        let check = Check { method: "imap".into(), user: user.into(), password: password.into() };
        asked(&serde_json::to_vec(&check).unwrap(), accepting)
    }

    #[test]
    fn a_question_is_answered() {
        assert_eq!(typed("alice", "s3cret"), Answer::new(Outcome::Accept, "alice"));
        assert_eq!(typed("alïce@example.org", " pass wörd\t").result, Outcome::Accept);
    }

    #[test]
    fn an_empty_password_reaches_no_method() {
        assert_eq!(typed("alice", "").result, Outcome::Refuse);
    }

    #[test]
    fn line_breaks_and_other_control_characters_reach_no_method() {
        for user in ["", " ", "alice\r\na1 LOGIN", "alice\n", "al\0ice", "al\u{7f}ice", "alice\u{85}", &"a".repeat(257)]
        {
            assert_eq!(typed(user, "s3cret").result, Outcome::Refuse, "{user:?}");
        }
        for password in ["s3cret\r\n", "\0", "a\nb"] {
            assert_eq!(typed("alice", password).result, Outcome::Refuse, "{password:?}");
        }
    }

    #[test]
    fn what_is_no_question_lets_nobody_in_and_is_not_repeated() {
        let long = vec![b' '; LONGEST + 1];
        for text in [&b""[..], b"{}", br#"{"method":"imap","user":"a","password":["s3cret"]}"#, b"\xff", &long] {
            let answer = asked(text, accepting);
            assert_eq!(answer.result, Outcome::Unavailable);
            assert!(!answer.message.contains("s3cret"));
        }
    }

    #[test]
    fn an_answer_that_the_portal_would_not_read_lets_nobody_in() {
        let many = |_| Answer { groups: vec!["group".into(); 20_000], ..Answer::new(Outcome::Accept, "") };
        let check = br#"{"method":"imap","user":"alice","password":"s3cret"}"#;
        assert_eq!(asked(check, many).result, Outcome::Unavailable);
    }

    #[test]
    fn work_that_takes_too_long_is_not_waited_for() {
        let late = || Answer::unavailable("late");
        let (open, shut) = mpsc::channel::<()>();
        let answer = within(Duration::from_millis(50), late(), move || {
            let _ = shut.recv();
            Answer::new(Outcome::Accept, "")
        });
        assert_eq!(answer, late());
        drop(open);
        let quick = within(Duration::from_secs(60), late(), || Answer::new(Outcome::Refuse, "quick"));
        assert_eq!(quick.result, Outcome::Refuse);
    }
}
