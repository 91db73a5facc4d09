//! What a server offers that speaks no TLS of today: asked by a greeting as a client of 2006 would send.
//!
//! Only the version in the server's answer is looked at; then the connection is closed. No name and
//! no password goes over it.

use super::begin;
use super::peer::{self, Protocol, Target};
use crate::config::Encryption;
use crate::random;
use std::io::{Read, Write};
use std::net::IpAddr;

/// CBC and RC4 suites with RSA, DHE and ECDHE: what servers of that age have.
const SUITES: [u16; 12] =
    [0xc009, 0xc00a, 0xc013, 0xc014, 0xc012, 0x0033, 0x0039, 0x002f, 0x0035, 0x000a, 0x0005, 0x00ff];

/// The best that the server offers below TLS 1.2; nothing if it offers no such thing either.
pub(super) fn offered(to: &Target, protocol: Protocol) -> Option<&'static str> {
    let mut line = peer::connect(to).ok()?;
    if to.server.encryption == Encryption::StartTls {
        begin::start_tls(&mut line, protocol).ok()?;
    }
    line.write_all(&hello(&to.server.host)).ok()?;
    // The record's header, the message's header, and the version.
    let mut answer = [0; 11];
    line.read_exact(&mut answer).ok()?;
    version(&answer)
}

fn version(answer: &[u8; 11]) -> Option<&'static str> {
    let is_hello = answer[0] == 22 && answer[5] == 2;
    match (answer[9], answer[10]) {
        (3, 0) if is_hello => Some("SSL 3.0"),
        (3, 1) if is_hello => Some("TLS 1.0"),
        (3, 2) if is_hello => Some("TLS 1.1"),
        _ => None,
    }
}

/// A ClientHello of TLS 1.1 (RFC 4346, 7.4.1.2) in a record of TLS 1.0.
fn hello(host: &str) -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend(random::bytes::<32>());
    body.push(0);
    body.extend(counted(&SUITES.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<u8>>()));
    body.extend([1, 0]);
    let mut extensions = Vec::new();
    if host.parse::<IpAddr>().is_err() {
        extensions.extend(extension(0, &counted(&[&[0][..], &counted(host.as_bytes())].concat())));
    }
    extensions.extend(extension(10, &counted(&[0, 23, 0, 24, 0, 25])));
    extensions.extend(extension(11, &[1, 0]));
    body.extend(counted(&extensions));
    let message = [&[1, 0][..], &counted(&body)].concat();
    [&[22, 3, 1][..], &counted(&message)].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &counted(content)].concat()
}

/// Bytes behind their number, which takes two bytes. Nothing here is long.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_hello_of_an_old_version_counts() {
        let answer = |kind, message, minor| [22u8.min(kind), 3, 1, 0, 9, message, 0, 0, 5, 3, minor];
        assert_eq!(version(&answer(22, 2, 1)), Some("TLS 1.0"));
        assert_eq!(version(&answer(22, 2, 2)), Some("TLS 1.1"));
        assert_eq!(version(&answer(22, 2, 3)), None);
        assert_eq!(version(&answer(21, 2, 1)), None);
        assert_eq!(version(&answer(22, 1, 1)), None);
    }

    #[test]
    fn the_lengths_in_the_hello_are_right() {
        let hello = hello("mail.example.org");
        let two = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        assert_eq!((two(3), two(7)), (hello.len() - 5, hello.len() - 9));
        let extensions = 9 + 2 + 32 + 1 + 2 + SUITES.len() * 2 + 2;
        assert_eq!(two(extensions), hello.len() - extensions - 2);
    }
}
