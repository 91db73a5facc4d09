//! A password is right if a mailbox opens with it.
//!
//! PLAIN carries any name and password (RFC 4616); a server without it is given LOGIN, whose two
//! strings the crate quotes. Letters beyond ASCII may stand in no quotes (RFC 3501, 4.3): such a password goes as a
//! literal, of which the crate has none. Control characters, which no quoting would help with, do not come this far.

use super::begin;
use super::peer::{self, Line, Protocol, Target};
use super::trouble::Trouble;
use crate::auth::{Answer, Outcome, Password};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Asks the server.
pub(super) fn check(at: &Target, user: &str, password: &Password) -> Result<Answer, Trouble> {
    let mut line = peer::open(at, Protocol::Imap)?;
    let way = Way::among(&capabilities(&mut line)?)?;
    if way == Way::Login && !password.expose().is_ascii() {
        return login_by_literal(&mut line, at, user, password);
    }
    let heard = Heard::default();
    let client = imap::Client::new(Overheard { line, heard: heard.clone() });
    let result = match way {
        Way::Plain => client.authenticate("PLAIN", &Plain { user, password }),
        Way::Login => client.login(user, password.expose()),
    };
    match result {
        Ok(_) => Ok(Answer::new(Outcome::Accept, format!("{} opened the mailbox.", at.server.host))),
        Err((imap::Error::No(_), _)) if is_about_the_password(&heard.last()) => {
            Ok(Answer::new(Outcome::Refuse, format!("{} knows no such user with this password.", at.server.host)))
        }
        Err((error, _)) => Err(trouble(error, &heard.last())),
    }
}

fn login_by_literal(line: &mut Line, at: &Target, user: &str, password: &Password) -> Result<Answer, Trouble> {
    let garbled = || Trouble::Garbled(Protocol::Imap.name());
    let bytes = password.expose().as_bytes();
    // A name is of ASCII, without quotes and backslashes of its own.
    let name = user.replace('\\', "\\\\").replace('"', "\\\"");
    line.write_all(format!("a1 LOGIN \"{name}\" {{{}}}\r\n", bytes.len()).as_bytes())?;
    let go_on = begin::answer(line, "a1")?;
    if !go_on.starts_with('+') {
        // Whatever it says, it has seen no password.
        return verdict(at, &go_on)
            .and_then(|answer| if answer.result == Outcome::Accept { Err(garbled()) } else { Ok(answer) });
    }
    line.write_all(bytes)?;
    line.write_all(b"\r\n")?;
    match begin::answer(line, "a1")? {
        text if text.starts_with('+') => Err(garbled()),
        text => verdict(at, &text),
    }
}

/// What the last line of an answer to LOGIN means.
fn verdict(at: &Target, text: &str) -> Result<Answer, Trouble> {
    let host = &at.server.host;
    match text.split(' ').nth(1).unwrap_or_default().to_ascii_uppercase().as_str() {
        "OK" => Ok(Answer::new(Outcome::Accept, format!("{host} opened the mailbox."))),
        "NO" if is_about_the_password(text) => {
            Ok(Answer::new(Outcome::Refuse, format!("{host} knows no such user with this password.")))
        }
        "NO" => Err(Trouble::Unable(format!("it answers {}", code(text).unwrap_or_else(|| "without a reason".into())))),
        "BAD" => Err(Trouble::Unable("it does not understand the sign-in".into())),
        _ => Err(Trouble::Garbled(Protocol::Imap.name())),
    }
}

fn capabilities(line: &mut Line) -> Result<Vec<String>, Trouble> {
    let mut all = Vec::new();
    begin::tagged(line, "c1", "CAPABILITY", |text| {
        if let Some(("*", words)) = text.split_once(' ') {
            let words: Vec<String> = words.split(' ').map(str::to_ascii_uppercase).collect();
            if words.first().is_some_and(|first| first == "CAPABILITY") {
                all.extend(words);
            }
        }
    })?;
    Ok(all)
}

/// How a name and a password are handed over.
#[derive(Debug, PartialEq)]
enum Way {
    Plain,
    Login,
}

impl Way {
    fn among(capabilities: &[String]) -> Result<Self, Trouble> {
        let has = |word: &str| capabilities.iter().any(|c| c == word);
        if has("AUTH=PLAIN") {
            Ok(Self::Plain)
        } else if has("LOGINDISABLED") {
            Err(Trouble::Unable("it takes no passwords (LOGINDISABLED) by this encryption".into()))
        } else {
            Ok(Self::Login)
        }
    }
}

struct Plain<'a> {
    user: &'a str,
    password: &'a Password,
}

impl imap::Authenticator for Plain<'_> {
    type Response = String;

    fn process(&self, _: &[u8]) -> String {
        format!("\0{}\0{}", self.user, self.password.expose())
    }
}

/// The response codes (RFC 5530) by which a server says that it is not the password.
const NOT_THE_PASSWORD: [&str; 7] =
    ["UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "CONTACTADMIN", "PRIVACYREQUIRED", "ALERT"];

fn is_about_the_password(answer: &str) -> bool {
    code(answer).is_none_or(|code| !NOT_THE_PASSWORD.contains(&code.as_str()))
}

/// `CODE` of `a1 NO [CODE …] text`.
fn code(answer: &str) -> Option<String> {
    let inside = answer.splitn(3, ' ').nth(2)?.strip_prefix('[')?;
    inside.split([' ', ']']).next().map(str::to_ascii_uppercase)
}

/// No text of the server's: it may repeat what it was sent.
fn trouble(error: imap::Error, answer: &str) -> Trouble {
    match error {
        imap::Error::Io(e) => e.into(),
        imap::Error::ConnectionLost => Trouble::Closed,
        imap::Error::No(_) => {
            Trouble::Unable(format!("it answers {}", code(answer).unwrap_or_else(|| "without a reason".into())))
        }
        imap::Error::Bad(_) => Trouble::Unable("it does not understand the sign-in".into()),
        _ => Trouble::Garbled(Protocol::Imap.name()),
    }
}

/// The last line that came: the crate keeps its text and drops its code.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn add(&self, bytes: &[u8]) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            if line.ends_with(b"\n") || line.len() > 4096 {
                line.clear();
            }
            line.push(*byte);
        }
    }

    fn last(&self) -> String {
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }
}

struct Overheard {
    line: Line,
    heard: Heard,
}

impl Read for Overheard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.line.read(buffer)?;
        self.heard.add(&buffer[..length]);
        Ok(length)
    }
}

impl Write for Overheard {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.line.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}
