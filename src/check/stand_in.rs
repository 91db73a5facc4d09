//! Tests against servers that are not there: each plays a short part on a loopback socket.

use super::peer::{self, Protocol, Target};
use super::tls::Trust;
use super::trouble::Trouble;
use super::{imap, ldap, smtp, tls};
use crate::auth::{Answer, Outcome, Password};
use crate::config::{Encryption, Server, raw};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ALL: [Protocol; 3] = [Protocol::Imap, Protocol::Smtp, Protocol::Ldap];
const GENEROUS: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

/// A server that plays a part for one client.
fn server<T: Send + 'static>(part: impl FnOnce(TcpStream) -> T + Send + 'static) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, std::thread::spawn(move || part(listener.accept().unwrap().0)))
}

/// Answers each line by the reply to the first word that is in it, and tells all that it has heard.
fn talker(greeting: &str, replies: &[(&str, &str)]) -> (u16, JoinHandle<String>) {
    let greeting = greeting.to_owned();
    let replies: Vec<(String, String)> = replies.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    server(move |mut stream| {
        let mut heard = String::new();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let _ = stream.write_all(greeting.as_bytes());
        loop {
            let start = heard.len();
            if lines.read_line(&mut heard).unwrap_or(0) == 0 {
                return heard;
            }
            match replies.iter().find(|(word, _)| heard[start..].contains(word)) {
                Some((_, reply)) if stream.write_all(reply.as_bytes()).is_ok() => {}
                _ => return heard,
            }
        }
    })
}

fn target(port: u16, encryption: Encryption, timeout: Duration) -> Target {
    let server = Server { host: "127.0.0.1".into(), port, encryption, ca_file: None, timeout };
    Target::new(server, "sign_in.imap", Trust::Only(vec![tls::tests::nameless()]))
}

fn check(protocol: Protocol, at: &Target, user: &str, password: &str) -> Result<Answer, Trouble> {
    let password = Password::from(password);
    match protocol {
        Protocol::Imap => imap::check(at, user, &password),
        Protocol::Smtp => smtp::check(at, user, &password),
        Protocol::Ldap => {
            let raw = raw::Ldap { bind_dn: "uid={user},dc=example".into(), ..Default::default() };
            ldap::check(at, &ldap::Rules { raw, search_password: None }, user, &password)
        }
    }
}

fn plain(protocol: Protocol, port: u16) -> Result<Answer, Trouble> {
    check(protocol, &target(port, Encryption::Plain, GENEROUS), "alice", "s3cret")
}

#[test]
fn without_starttls_neither_name_nor_password_is_sent() {
    let stripped = [
        (Protocol::Imap, "* OK hello\r\n", vec![("STARTTLS", "s1 BAD what\r\n")]),
        (Protocol::Imap, "* OK hello\r\n", vec![("STARTTLS", "s1 NO\r\n")]),
        (Protocol::Smtp, "220 hello\r\n", vec![("EHLO", "250-hello\r\n250 AUTH PLAIN\r\n")]),
        (Protocol::Smtp, "220 hello\r\n", vec![("EHLO", "250 STARTTLS\r\n"), ("STARTTLS", "454 not now\r\n")]),
    ];
    for (protocol, greeting, replies) in stripped {
        let (port, heard) = talker(greeting, &replies);
        let result = check(protocol, &target(port, Encryption::StartTls, GENEROUS), "alice", "s3cret");
        assert_eq!(result, Err(Trouble::NoStartTls));
        let heard = heard.join().unwrap();
        assert!(!heard.contains("alice") && !heard.contains("LOGIN") && !heard.contains("AUTH"), "{heard}");
    }
}

#[test]
fn a_directory_that_refuses_starttls_hears_no_name() {
    // An extended response with protocolError, as slapd without a certificate gives it.
    let answer = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00";
    let refusing = || {
        server(|mut stream| {
            let mut request = [0; 31];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            rest
        })
    };
    let (port, rest) = refusing();
    let at = target(port, Encryption::StartTls, GENEROUS);
    assert_eq!(check(Protocol::Ldap, &at, "alice", "s3cret"), Err(Trouble::NoStartTls));
    assert_eq!(rest.join().unwrap().windows(5).filter(|w| w == b"alice").count(), 0);
    let (port, rest) = refusing();
    let opened = peer::open(&target(port, Encryption::StartTls, GENEROUS), Protocol::Ldap);
    assert_eq!(opened.err(), Some(Trouble::NoStartTls));
    assert!(rest.join().unwrap().is_empty());
}

#[test]
fn a_silent_server_is_waited_for_no_longer_than_configured() {
    for protocol in ALL {
        for encryption in [Encryption::Plain, Encryption::StartTls, Encryption::Tls] {
            let (port, _open) = server(|stream| (stream, std::thread::sleep(GENEROUS)));
            let start = Instant::now();
            let result = check(protocol, &target(port, encryption, SHORT), "alice", "s3cret");
            assert_eq!(result, Err(Trouble::Silent), "{protocol:?} {encryption:?}");
            assert!(start.elapsed() < GENEROUS / 3, "{protocol:?} {encryption:?}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn a_server_that_says_a_little_again_and_again_does_not_get_more_time() {
    for protocol in [Protocol::Imap, Protocol::Smtp] {
        let (port, _) = server(|mut stream| {
            while stream.write_all(b"2").is_ok() {
                std::thread::sleep(SHORT / 10);
            }
        });
        let start = Instant::now();
        assert_eq!(peer::open(&target(port, Encryption::Plain, SHORT), protocol).err(), Some(Trouble::Silent));
        assert!(start.elapsed() < GENEROUS / 3);
    }
}

#[test]
fn what_is_no_such_server_is_told_from_one_that_refuses() {
    for protocol in [Protocol::Imap, Protocol::Smtp] {
        for garbage in ["SSH-2.0-OpenSSH\r\n", "\u{0}\u{1}\r\n", &"x".repeat(20_000), "\r\n"] {
            let (port, _) = talker(garbage, &[]);
            assert_eq!(plain(protocol, port), Err(Trouble::Garbled(protocol.name())), "{protocol:?}");
        }
        let (port, _) = server(drop);
        assert_eq!(plain(protocol, port), Err(Trouble::Closed));
        let (port, _) = talker("* OK no TLS here\r\n", &[]);
        let result = check(protocol, &target(port, Encryption::Tls, GENEROUS), "alice", "s3cret");
        assert_eq!(result, Err(Trouble::NoTls));
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for protocol in ALL {
        assert_eq!(plain(protocol, closed), Err(Trouble::Refused));
    }
}

#[test]
fn who_turns_us_away_hears_no_name() {
    let away = [
        (Protocol::Imap, "* BYE too many\r\n", "* BYE too many"),
        // A session of somebody's that is open already proves nothing.
        (Protocol::Imap, "* PREAUTH welcome\r\n", "* PREAUTH welcome"),
        (Protocol::Smtp, "554-go\r\n554 away\r\n", "554-go554 away"),
    ];
    for (protocol, greeting, quoted) in away {
        let (port, heard) = talker(greeting, &[]);
        assert_eq!(plain(protocol, port), Err(Trouble::TurnedAway(quoted.into())));
        assert_eq!(heard.join().unwrap(), "");
    }
}

/// What comes of an IMAP server that has only LOGIN and answers it so, and what it has heard.
fn login(user: &str, password: &str, answer: &str) -> (Result<Answer, Trouble>, String) {
    let capability = "* CAPABILITY IMAP4rev1\r\nc1 OK\r\n";
    let (port, heard) = talker("* OK\r\n", &[("CAPABILITY", capability), ("LOGIN", answer)]);
    let result = check(Protocol::Imap, &target(port, Encryption::Plain, GENEROUS), user, password);
    (result, heard.join().unwrap())
}

#[test]
fn a_name_stays_within_its_quotes() {
    let (_, heard) = login(r#"al"ice \"#, r#"" {3}"#, "a1 NO\r\n");
    assert!(heard.ends_with("a1 LOGIN \"al\\\"ice \\\\\" \"\\\" {3}\"\r\n"), "{heard}");
}

#[test]
fn a_password_beyond_ascii_is_sent_as_a_literal() {
    let capability = "* CAPABILITY IMAP4rev1\r\nc1 OK\r\n";
    let login = |go_on: &str, answer: &str| {
        let replies = [("CAPABILITY", capability), ("LOGIN", go_on), ("rd", answer)];
        let (port, heard) = talker("* OK\r\n", &replies);
        let result = check(Protocol::Imap, &target(port, Encryption::Plain, GENEROUS), "o'brien", "wörd\" {3}");
        (result.map(|answer| answer.result), heard.join().unwrap())
    };
    let (result, heard) = login("+ go on\r\n", "* CAPABILITY x\r\na1 OK\r\n");
    assert_eq!(result, Ok(Outcome::Accept));
    assert!(heard.ends_with("a1 LOGIN \"o'brien\" {10}\r\nwörd\" {3}\r\n"), "{heard}");
    assert_eq!(login("+\r\n", "a1 NO [AUTHENTICATIONFAILED]\r\n").0, Ok(Outcome::Refuse));
    for (go_on, answer) in [
        ("a1 BAD no literals\r\n", ""),
        ("a1 OK\r\n", ""),
        ("+\r\n", "a1 NO [UNAVAILABLE]\r\n"),
        ("+\r\n", "+\r\n"),
        ("+\r\n", "* BYE\r\n"),
    ] {
        assert!(login(go_on, answer).0.is_err(), "{go_on} {answer}");
    }
}

#[test]
fn only_the_servers_own_ok_opens_the_door() {
    let outcome = |answer: &str| login("alice", "s3cret", answer).0.map(|answer| answer.result);
    assert_eq!(outcome("* OK nearly\r\na1 OK yes\r\n"), Ok(Outcome::Accept));
    for refusal in ["a1 NO wrong\r\n", "a1 NO [AUTHENTICATIONFAILED] wrong\r\n", "a1 NO [EXPIRED]\r\n"] {
        assert_eq!(outcome(refusal), Ok(Outcome::Refuse), "{refusal}");
    }
    for other in ["a1 NO [UNAVAILABLE] database down\r\n", "a1 NO [INUSE]\r\n", "a1 BAD\r\n", "* BYE\r\n", "a2 x\r\n"] {
        assert!(outcome(other).is_err(), "{other}");
    }
}

#[test]
fn a_server_that_takes_no_passwords_is_sent_none() {
    let capability = "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nc1 OK\r\n";
    let (port, heard) = talker("* OK\r\n", &[("CAPABILITY", capability)]);
    assert!(matches!(plain(Protocol::Imap, port), Err(Trouble::Unable(_))));
    assert_eq!(heard.join().unwrap(), "c1 CAPABILITY\r\n");
    let (port, heard) = talker("220\r\n", &[("EHLO", "250 no more\r\n")]);
    assert!(matches!(plain(Protocol::Smtp, port), Err(Trouble::Unable(_))));
    assert_eq!(heard.join().unwrap(), "EHLO [127.0.0.1]\r\n");
}

#[test]
fn a_submission_servers_235_and_nothing_else_opens_the_door() {
    let outcome = |answer: &str| {
        let (port, _) = talker("220\r\n", &[("EHLO", "250-hello\r\n250 AUTH PLAIN LOGIN\r\n"), ("AUTH", answer)]);
        plain(Protocol::Smtp, port).map(|answer| answer.result)
    };
    assert_eq!(outcome("235-2.7.0\r\n235 yes\r\n"), Ok(Outcome::Accept));
    assert_eq!(outcome("535 5.7.8 wrong\r\n"), Ok(Outcome::Refuse));
    for other in ["250 OK\r\n", "334 \r\n", "354 go\r\n", "454 4.7.0 later\r\n", "235-yes\r\n535 no\r\n", "OK\r\n"] {
        assert!(outcome(other).is_err(), "{other}");
    }
}

#[test]
fn a_submission_server_that_asks_twice() {
    let replies = [
        ("EHLO", "250 AUTH LOGIN\r\n"),
        ("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"),
        ("YWxpY2U=", "334 UGFzc3dvcmQ6\r\n"),
        ("czNjcmV0", "235\r\n"),
    ];
    let (port, _) = talker("220\r\n", &replies);
    assert_eq!(plain(Protocol::Smtp, port).unwrap().result, Outcome::Accept);
}

#[test]
fn no_answer_of_a_server_repeats_the_password() {
    let (result, _) = login("alice", "s3cret", "a1 BAD unknown command: LOGIN alice s3cret\r\n");
    let sentence = result.unwrap_err().tell(&target(143, Encryption::Plain, GENEROUS));
    assert!(!sentence.contains("s3cret"), "{sentence}");
}
