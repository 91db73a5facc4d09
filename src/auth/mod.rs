//! What is asked of the programs that check who somebody is, and what they answer.
//!
//! Each is a unit of its own, started by systemd for one question: a JSON object goes over its Unix
//! socket, ended by closing that direction, and one comes back. The portal needs neither a network nor
//! a right of its own for it, and a question that goes wrong in any way is "not signed in".

mod password;

pub use password::Password;

use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Checks against servers: IMAP, SMTP, LDAP.
pub const NETWORK_SOCKET: &str = "/run/qemu-web-desktop/auth-network.sock";
/// Checks of this host's accounts.
pub const PAM_SOCKET: &str = "/run/qemu-web-desktop/auth-pam.sock";
/// The administrator's program.
pub const COMMAND_SOCKET: &str = "/run/qemu-web-desktop/auth-command.sock";
/// Sends mails.
pub const MAIL_SOCKET: &str = "/run/qemu-web-desktop/mail.sock";

/// More than this is no answer of ours.
const ANSWER_MAX: usize = 64 << 10;

/// Asks whether this is the user's password.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// "imap", "smtp", "ldap" or "pam", as in the configuration, which says the rest.
    pub method: String,
    /// As typed.
    pub user: String,
    /// As typed.
    pub password: Password,
}

/// What another method has said before, for the administrator's program.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// Which.
    pub method: String,
    /// Its verdict.
    pub result: Outcome,
    /// Its words.
    pub message: String,
}

/// Asks the administrator's program.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CommandCheck {
    /// As typed.
    pub user: String,
    /// As typed.
    pub password: Password,
    /// What was tried before, in its order.
    pub previous: Vec<Previous>,
}

/// A verdict.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is they.
    Accept,
    /// It is not, or they may not.
    Refuse,
    /// Somebody else may decide.
    Pass,
    /// It could not be found out.
    Unavailable,
}

/// What comes back.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The verdict.
    pub result: Outcome,
    /// A sentence: for the journal, and where the server could not be asked, for the person, too.
    #[serde(default)]
    pub message: String,
    /// The name to go by, where it differs from the typed one; else empty.
    #[serde(default)]
    pub user: String,
    /// Groups that the method knows of.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Answer {
    /// A verdict with its sentence.
    pub fn new(result: Outcome, message: impl Into<String>) -> Self {
        Self { result, message: message.into(), user: String::new(), groups: Vec::new() }
    }

    /// It could not be found out, because of this.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Outcome::Unavailable, message)
    }
}

/// Asks the unit behind a socket. Whatever goes wrong is [`Outcome::Unavailable`], with the reason.
pub fn ask(socket: &Path, question: &impl Serialize, patience: Duration) -> Answer {
    let answer = converse(socket, question, patience)
        .map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer came in time".to_owned(),
            _ => e.to_string(),
        })
        .and_then(|text| {
            serde_json::from_slice(&text).map_err(|e| format!("its answer is not in the agreed form: {e}"))
        });
    answer.unwrap_or_else(|why| Answer::unavailable(format!("{} could not be asked: {why}.", socket.display())))
}

fn converse(socket: &Path, question: &impl Serialize, patience: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + patience;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(patience))?;
    let text = Zeroizing::new(serde_json::to_vec(question)?);
    stream.write_all(&text)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if answer.len() > ANSWER_MAX {
            return Err(io::Error::other("its answer is too long"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => return Ok(answer),
            n => answer.extend_from_slice(&chunk[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    fn listener(name: &str) -> (PathBuf, UnixListener) {
        let path = std::env::temp_dir().join(format!("qwd-auth-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        (path, listener)
    }

    fn answered_with(name: &str, answer: &[u8]) -> (Answer, String) {
        let (path, listener) = listener(name);
        let answer = answer.to_owned();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = String::new();
            stream.read_to_string(&mut question).unwrap();
            let _ = stream.write_all(&answer);
            question
        });
        let answer = ask(&path, &check(), PATIENCE);
        std::fs::remove_file(&path).unwrap();
        (answer, server.join().unwrap())
    }

    fn check() -> Check {
        Check { method: "imap".into(), user: "alice".into(), password: "s3cret".into() }
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_question_and_its_answer() {
        let (answer, question) = answered_with("good", br#"{"result":"accept","message":"","groups":["staff"]}"#);
        assert_eq!((answer.result, answer.groups.as_slice()), (Outcome::Accept, &["staff".to_owned()][..]));
        assert_eq!(question, r#"{"method":"imap","user":"alice","password":"s3cret"}"#);
    }

    #[test]
    fn whatever_goes_wrong_lets_nobody_in() {
        let long = [&[b' '; ANSWER_MAX], &br#"{"result":"accept"}"#[..]].concat();
        let wrong: [(&str, &[u8]); 6] = [
            ("long", &long),
            ("empty", b""),
            ("text", b"SUCCESS"),
            ("result", br#"{"result":"yes"}"#),
            ("key", br#"{"result":"accept","admin":true}"#),
            ("none", br#"{"message":"accept"}"#),
        ];
        for (name, text) in wrong {
            assert_eq!(answered_with(name, text).0.result, Outcome::Unavailable, "{name}");
        }
        let nobody = ask(Path::new("/nonexistent"), &check(), PATIENCE);
        assert_eq!(nobody.result, Outcome::Unavailable);
        assert!(!format!("{nobody:?}{:?}", check()).contains("s3cret"));
    }

    #[test]
    fn who_says_nothing_is_not_waited_for_without_end() {
        let (path, _listener) = listener("silent");
        let answer = ask(&path, &check(), Duration::from_millis(50));
        assert_eq!(answer.result, Outcome::Unavailable);
        assert!(answer.message.ends_with("no answer came in time."), "{}", answer.message);
        std::fs::remove_file(path).unwrap();
    }
}
