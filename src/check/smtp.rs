//! A submission server: for checking a password, and for the mails that are sent by it.
//!
//! The words are lettre's, the connection is ours: lettre's own keeps what came before TLS for an
//! answer that comes after it, by which somebody in between could say that a password is right.

use super::begin;
use super::peer::{self, Line, Protocol, Target};
use super::trouble::{Trouble, quoted};
use crate::auth::{Answer, Outcome, Password};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::commands::{Auth, Ehlo, Quit};
use lettre::transport::smtp::extension::{ClientId, ServerInfo};
use lettre::transport::smtp::response::Response;
use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;

/// Asks the server.
pub(super) fn check(at: &Target, user: &str, password: &Password) -> Result<Answer, Trouble> {
    let verdict = Submission::open(at)?.sign_in(user, password)?;
    let host = &at.server.host;
    Ok(match verdict {
        true => Answer::new(Outcome::Accept, format!("{host} took the password.")),
        false => Answer::new(Outcome::Refuse, format!("{host} knows no such user with this password.")),
    })
}

/// A conversation with a submission server.
pub struct Submission {
    line: Line,
    info: ServerInfo,
}

impl Submission {
    /// Connects, encrypts, and hears what the server can do.
    pub fn open(to: &Target) -> Result<Self, Trouble> {
        let mut line = peer::open(to, Protocol::Smtp)?;
        let name = own_name(&line)?;
        let answer = say(&mut line, Ehlo::new(name))?;
        if !answer.has_code(250) {
            return Err(Trouble::TurnedAway(quoted(&answer.message().collect::<Vec<_>>().join(" "))));
        }
        let info = ServerInfo::from_response(&answer).map_err(|_| Trouble::Garbled(Protocol::Smtp.name()))?;
        Ok(Self { line, info })
    }

    /// What the server can do.
    pub fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// Whether the server takes the password; an error if it does not say that it is wrong.
    pub fn sign_in(&mut self, user: &str, password: &Password) -> Result<bool, Trouble> {
        let credentials = Credentials::new(user.to_owned(), password.expose().to_owned());
        let way = self
            .info
            .get_auth_mechanism(DEFAULT_MECHANISMS)
            .ok_or_else(|| Trouble::Unable("it offers neither AUTH PLAIN nor AUTH LOGIN by this encryption".into()))?;
        let odd = |_| Trouble::Unable("it asks for something else than a name and a password".into());
        let mut answer = self.command(Auth::new(way, credentials.clone(), None).map_err(odd)?)?;
        // LOGIN asks twice, PLAIN never.
        for _ in 0..2 {
            if answer.has_code(334) {
                let next = Auth::new_from_response(way, credentials.clone(), &answer).map_err(odd)?;
                answer = self.command(next)?;
            }
        }
        verdict(u16::from(answer.code()))
    }

    /// One command and its answer, whatever that is.
    pub fn command(&mut self, command: impl Display) -> Result<Response, Trouble> {
        say(&mut self.line, command)
    }

    /// What is written to and read from the server.
    pub fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    /// Says goodbye; nothing depends on it.
    pub fn quit(mut self) {
        let _ = self.command(Quit);
    }
}

fn say(line: &mut Line, command: impl Display) -> Result<Response, Trouble> {
    line.write_all(command.to_string().as_bytes())?;
    line.flush()?;
    let (_, text) = begin::reply(line)?;
    text.parse().map_err(|_| Trouble::Garbled(Protocol::Smtp.name()))
}

/// The address that the server sees, unless there is a translation between: RFC 5321, 4.1.4.
fn own_name(line: &Line) -> Result<ClientId, Trouble> {
    Ok(match line.own_address()? {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    })
}

/// RFC 4954, 4 and 6. No text of the server's: it may repeat what it was sent.
fn verdict(code: u16) -> Result<bool, Trouble> {
    match code {
        235 => Ok(true),
        // The password is wrong; the account is closed.
        535 | 525 => Ok(false),
        other => Err(Trouble::Unable(format!("it answers {other} to the sign-in"))),
    }
}
