//! Letters, and whom to give them to: `qwd-mail`, a unit of its own that alone reaches the mail server.
//!
//! Which letters there are is a closed list; their words are the helper's. So whoever may have one
//! sent cannot write mails of his own in the service's name.

use crate::auth::{MAIL_SOCKET, Outcome, ask};
use crate::model::{MachineName, MailAddress, Problem, SessionId, UserName, Word};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// What the helper needs beside the conversation with the mail server.
const MARGIN: Duration = Duration::from_secs(5);

/// A letter. It shows in no log: a link may be a key.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Letter {
    /// The way in for somebody who signs in by mail.
    SignInLink {
        /// Who asked for it.
        to: MailAddress,
        /// The address of the page that lets them in, with its secret.
        link: String,
        /// What to type where the link cannot be opened; empty: there is none.
        code: String,
        /// How long both are good for.
        minutes: u64,
    },
    /// A session will end soon.
    Ending {
        /// Its owner's address.
        to: MailAddress,
        /// Its owner.
        owner: UserName,
        /// Its machine.
        machine: MachineName,
        /// Its id.
        id: SessionId,
        /// The address of its page.
        link: String,
        /// How long it is until then.
        minutes: u64,
    },
}

impl Letter {
    /// Who gets it.
    pub fn to(&self) -> &MailAddress {
        match self {
            Self::SignInLink { to, .. } | Self::Ending { to, .. } => to,
        }
    }
}

/// Has a letter sent. `timeout` is the configuration's `mail.timeout`, which bounds the helper's
/// conversation. Fine means that the mail server has taken the letter.
///
/// # Errors
/// A sentence for the administrator; [`Word::BadRequest`] if this letter is at fault (the server
/// does not take this address), [`Word::Failed`] if it is for now only, [`Word::Unavailable`] if no
/// letter would have been sent.
pub fn send(letter: &Letter, timeout: Duration) -> Result<(), Problem> {
    send_through(Path::new(MAIL_SOCKET), letter, timeout)
}

/// The same through another socket.
///
/// # Errors
/// As above.
pub fn send_through(socket: &Path, letter: &Letter, timeout: Duration) -> Result<(), Problem> {
    let answer = ask(socket, letter, timeout + MARGIN);
    match answer.result {
        Outcome::Accept => Ok(()),
        Outcome::Refuse => Err(Problem::new(Word::BadRequest, answer.message)),
        Outcome::Pass => Err(Problem::failed(answer.message)),
        Outcome::Unavailable => Err(Problem::new(Word::Unavailable, answer.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    fn letter() -> Letter {
        Letter::SignInLink {
            to: "alice@example.org".parse().unwrap(),
            link: "https://desk.example.org/qemu-web-desktop/sign-in#k".into(),
            code: String::new(),
            minutes: 30,
        }
    }

    #[test]
    fn a_letter_that_was_not_taken_says_whose_fault_that_is() {
        let path = std::env::temp_dir().join(format!("qwd-mail-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let verdicts = ["accept", "refuse", "pass", "unavailable"];
        let server = std::thread::spawn(move || {
            for verdict in verdicts {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                assert!(serde_json::from_str::<Letter>(&text).unwrap() == letter());
                write!(stream, r#"{{"result":"{verdict}","message":"Because."}}"#).unwrap();
            }
        });
        let words = verdicts.map(|_| send_through(&path, &letter(), Duration::from_secs(20)).err().map(|p| p.word));
        assert_eq!(words, [None, Some(Word::BadRequest), Some(Word::Failed), Some(Word::Unavailable)]);
        server.join().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(send_through(&path, &letter(), Duration::ZERO).unwrap_err().word, Word::Unavailable);
    }

    #[test]
    fn a_letter_to_two_is_none() {
        let text = serde_json::to_string(&letter()).unwrap().replace("@example.org\"", "@example.org,b@example.org\"");
        assert!(serde_json::from_str::<Letter>(&text).is_err());
    }
}
