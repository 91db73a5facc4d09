//! `qwd-mail`: writes a letter and gives it to the mail server of the configuration.
//!
//! Like the checks of passwords it begins as root, to read the password of its own account, and has
//! given that up before it is asked anything. It keeps nothing: what the server does not take now is
//! for the asker to try again.

use super::letter::{self, Sender};
use super::peer::Target;
use super::smtp::Submission;
use super::tls::Trust;
use super::trouble::{Trouble, quoted};
use super::{Question, rights, secret, serve, within};
use crate::auth::{Answer, Outcome, Password};
use crate::config::Mail;
use crate::mail::Letter;
use crate::model::MailAddress;
use crate::random;
use lettre::Address;
use lettre::transport::smtp::commands::{self, Data, Rcpt};
use lettre::transport::smtp::response::Response;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Beyond the server's own time, which every step keeps by itself.
const GRACE: Duration = Duration::from_secs(2);

impl Question for Letter {}

/// Runs the program; the exit code says whether there was an answer, whatever it was.
pub fn main() -> ExitCode {
    let means = Means::load(Path::new("/"));
    let means = rights::give_up().and(means);
    serve(|letter: Letter| match means {
        Ok(means) => means.send(&letter),
        Err(sentence) => Answer::unavailable(sentence),
    })
}

/// All that is known before a letter comes.
struct Means {
    mail: Mail,
    trust: Trust,
    account: Option<(String, Password)>,
    title: String,
    public_url: Option<String>,
}

impl Means {
    fn load(root: &Path) -> Result<Self, String> {
        let settings = super::settings(root)?;
        let mail = settings.mail.ok_or("No mails are sent: mail.server is empty.")?;
        let account = match &mail.account {
            Some((user, file)) => Some((user.clone(), secret::read(file, "mail.password_file")?)),
            None => None,
        };
        let trust = Trust::load(mail.server.ca_file.as_deref())?;
        Ok(Self { mail, trust, account, title: settings.page.texts.title, public_url: settings.public_url })
    }

    fn send(self, letter: &Letter) -> Answer {
        let at = Target::new(self.mail.server, "mail", self.trust);
        let sender = Sender { from: &self.mail.from, title: &self.title, public_url: self.public_url.as_deref() };
        let id = data_encoding::HEXLOWER.encode(&random::bytes::<16>());
        let text = match letter::write(letter, &sender, SystemTime::now(), &id) {
            Ok(text) => text,
            Err(sentence) => return Answer::new(Outcome::Refuse, sentence),
        };
        let late = Answer::unavailable(Trouble::Silent.tell(&at));
        let (from, to, account) = (self.mail.from.clone(), letter.to().clone(), self.account);
        within(at.server.timeout + GRACE, late, move || {
            let parcel = Parcel { from: &from, to: &to, text: &text };
            deliver(&at, account.as_ref(), &parcel).unwrap_or_else(|trouble| Answer::unavailable(tell(&trouble, &at)))
        })
    }
}

/// What goes over the line.
struct Parcel<'a> {
    from: &'a MailAddress,
    to: &'a MailAddress,
    text: &'a str,
}

fn tell(trouble: &Trouble, at: &Target) -> String {
    match trouble {
        Trouble::Unable(why) => format!("{} takes no mails from us on port {}: {why}.", at.server.host, at.server.port),
        other => other.tell(at),
    }
}

fn deliver(at: &Target, account: Option<&(String, Password)>, parcel: &Parcel<'_>) -> Result<Answer, Trouble> {
    let host = &at.server.host;
    let mut server = Submission::open(at)?;
    if let Some((user, password)) = account {
        if !server.sign_in(user, password)? {
            let why = format!("{host} does not know mail.user = \"{user}\" with the password in mail.password_file.");
            return Ok(Answer::unavailable(why));
        }
    }
    let says = |answer: &Response| {
        let words: Vec<&str> = answer.message().collect();
        format!("{host} says \"{} {}\"", answer.code(), quoted(&words.join(" ")))
    };
    let to = parcel.to;
    let answer = server.command(commands::Mail::new(Some(address(parcel.from)?), vec![]))?;
    if !answer.is_positive() {
        return Ok(Answer::unavailable(format!("No mail can be sent from {}: {}.", parcel.from, says(&answer))));
    }
    let answer = server.command(Rcpt::new(address(to)?, vec![]))?;
    if !answer.is_positive() {
        return Ok(Answer::new(whose_fault(&answer), format!("No mail can be sent to {to}: {}.", says(&answer))));
    }
    let answer = server.command(Data)?;
    if !answer.has_code(354) {
        return Ok(Answer::unavailable(format!("The mail to {to} was not taken: {}.", says(&answer))));
    }
    let answer = server.command(dotted(parcel.text))?;
    if !answer.is_positive() {
        return Ok(Answer::new(whose_fault(&answer), format!("The mail to {to} was not taken: {}.", says(&answer))));
    }
    let taken = Answer::new(Outcome::Accept, format!("The mail to {to} was taken: {}.", says(&answer)));
    server.quit();
    Ok(taken)
}

/// Here the server means this address or this text: for good, or for now.
fn whose_fault(answer: &Response) -> Outcome {
    if u16::from(answer.code()) >= 500 { Outcome::Refuse } else { Outcome::Pass }
}

fn address(address: &MailAddress) -> Result<Address, Trouble> {
    address.as_str().parse().map_err(|e| Trouble::Ours(format!("{address} is no mail address: {e}.")))
}

/// The text and its end, so that no line of it is taken for the end (RFC 5321, 4.5.2).
fn dotted(text: &str) -> String {
    let mut all = String::with_capacity(text.len() + 8);
    for line in text.lines() {
        if line.starts_with('.') {
            all.push('.');
        }
        all.push_str(line);
        all.push_str("\r\n");
    }
    all + ".\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// A mail server that answers each command as told, and what it was told.
    fn server(replies: &'static [&'static str]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut heard = Vec::new();
            for reply in replies {
                (&stream).write_all(format!("{reply}\r\n").as_bytes()).unwrap();
                let mut line = lines.next().and_then(Result::ok).unwrap_or_default();
                // The text, to its end.
                while reply.starts_with("354") && line != "." {
                    heard.push(line);
                    line = lines.next().unwrap().unwrap();
                }
                heard.push(line);
            }
            heard
        });
        (port, told)
    }

    fn delivered(port: u16, text: &str) -> Answer {
        let (from, to) = ("desktops@example.org".parse().unwrap(), "alice@example.org".parse().unwrap());
        let at = Target::to("127.0.0.1", port, Duration::from_secs(60));
        deliver(&at, None, &Parcel { from: &from, to: &to, text }).unwrap()
    }

    #[test]
    fn a_letter_goes_to_one_and_its_text_ends_where_it_ends() {
        let (port, told) = server(&["220 x", "250 x", "250 x", "250 x", "354 x", "250 x", "221 x"]);
        let text = "Subject: x\r\n\r\n.\r\nMAIL FROM:<evil@example.org>\r\n..a";
        assert_eq!(delivered(port, text).result, Outcome::Accept);
        let heard = told.join().unwrap();
        assert_eq!(heard[1..4], ["MAIL FROM:<desktops@example.org>", "RCPT TO:<alice@example.org>", "DATA"]);
        assert_eq!(heard[4..], ["Subject: x", "", "..", "MAIL FROM:<evil@example.org>", "...a", ".", "QUIT", ""]);
    }

    #[test]
    fn the_account_signs_in_before_the_letter() {
        let greeting = ["220 x", "250-x\r\n250 AUTH PLAIN LOGIN"];
        let account = ("desks".to_owned(), "s3cret".into());
        let (from, to) = ("desktops@example.org".parse().unwrap(), "alice@example.org".parse().unwrap());
        let parcel = Parcel { from: &from, to: &to, text: "x" };
        for (verdict, outcome) in [("235 x", Outcome::Accept), ("535 x", Outcome::Unavailable)] {
            let rest: &[&str] = if verdict == "235 x" { &["250 x", "250 x", "354 x", "250 x", "221 x"] } else { &[] };
            let (port, told) = server([&greeting[..], &[verdict], rest].concat().leak());
            let at = Target::to("127.0.0.1", port, Duration::from_secs(60));
            let answer = deliver(&at, Some(&account), &parcel).unwrap();
            assert_eq!(answer.result, outcome, "{answer:?}");
            // NUL, the name, NUL, the password.
            assert!(told.join().unwrap()[1].ends_with("AGRlc2tzAHMzY3JldA=="));
        }
    }

    #[test]
    fn a_refused_address_is_told_from_a_server_that_takes_nothing() {
        let cases: [(&'static [&'static str], Outcome); 5] = [
            (&["220 x", "250 x", "550 not you"], Outcome::Unavailable),
            (&["220 x", "250 x", "250 x", "550 no such mailbox"], Outcome::Refuse),
            (&["220 x", "250 x", "250 x", "450 greylisted"], Outcome::Pass),
            (&["220 x", "250 x", "250 x", "250 x", "451 busy"], Outcome::Unavailable),
            (&["220 x", "250 x", "250 x", "250 x", "354 x", "554 spam"], Outcome::Refuse),
        ];
        for (replies, outcome) in cases {
            let (port, told) = server(replies);
            let answer = delivered(port, "x");
            assert_eq!(answer.result, outcome, "{answer:?}");
            assert!(answer.message.contains(replies.last().unwrap()), "{answer:?}");
            told.join().unwrap();
        }
    }
}
