//! The first words with a server: its greeting, and the asking for TLS in plain text.
//!
//! Read byte by byte, never ahead; no name and no password is part of it. A server that does not
//! clearly agree to TLS is not talked to.

use super::peer::Protocol;
use super::trouble::{Trouble, quoted};
use std::io::{ErrorKind, Read, Write};

/// A line or message that is longer is none.
const LONGEST: usize = 8 << 10;
/// An answer of more lines is none.
const MOST_LINES: usize = 100;

/// LDAP's extended request for StartTLS, as message 1.
const LDAP_START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// Waits until the server has said that it is there. LDAP's says nothing before it is asked.
pub(super) fn greeting(line: &mut (impl Read + Write), protocol: Protocol) -> Result<(), Trouble> {
    match protocol {
        Protocol::Ldap => Ok(()),
        Protocol::Imap => {
            let text = read_line(line, protocol)?;
            match text.to_ascii_uppercase().as_str() {
                ok if ok.starts_with("* OK") => Ok(()),
                other if other.starts_with("* BYE") || other.starts_with("* PREAUTH") => {
                    Err(Trouble::TurnedAway(quoted(&text)))
                }
                _ => Err(Trouble::Garbled(protocol.name())),
            }
        }
        Protocol::Smtp => match reply(line)? {
            (220, _) => Ok(()),
            (_, text) => Err(Trouble::TurnedAway(quoted(&text))),
        },
    }
}

/// Hears the greeting and has the server agree to TLS.
pub(super) fn start_tls(line: &mut (impl Read + Write), protocol: Protocol) -> Result<(), Trouble> {
    greeting(line, protocol)?;
    let agreed = match protocol {
        Protocol::Imap => tagged(line, "s1", "STARTTLS", |_| ())?,
        Protocol::Smtp => {
            // The name does not matter: what is said before TLS is said again after it.
            line.write_all(b"EHLO localhost\r\n")?;
            let offers = reply(line)?.1.lines().any(|l| l.get(4..).is_some_and(|w| w.eq_ignore_ascii_case("STARTTLS")));
            offers && {
                line.write_all(b"STARTTLS\r\n")?;
                reply(line)?.0 == 220
            }
        }
        Protocol::Ldap => {
            line.write_all(LDAP_START_TLS)?;
            ldap_result(line)? == 0
        }
    };
    if agreed { Ok(()) } else { Err(Trouble::NoStartTls) }
}

/// Gives an IMAP command and hands over each line of the answer but the last, which says OK or not.
pub(super) fn tagged(
    line: &mut (impl Read + Write),
    tag: &str,
    command: &str,
    mut each: impl FnMut(&str),
) -> Result<bool, Trouble> {
    line.write_all(format!("{tag} {command}\r\n").as_bytes())?;
    for _ in 0..MOST_LINES {
        let text = read_line(line, Protocol::Imap)?;
        match text.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
            Some(verdict) => return Ok(verdict.split(' ').next().is_some_and(|w| w.eq_ignore_ascii_case("OK"))),
            None if text.starts_with("* ") => each(&text),
            None => break,
        }
    }
    Err(Trouble::Garbled("IMAP"))
}

/// Return the last line of an IMAP server's answer to a command, or the line by which it asks for a literal.
pub(super) fn answer(line: &mut impl Read, tag: &str) -> Result<String, Trouble> {
    for _ in 0..MOST_LINES {
        let text = read_line(line, Protocol::Imap)?;
        let is_last = text.strip_prefix(tag).is_some_and(|rest| rest.starts_with(' ')) || text.starts_with('+');
        match () {
            () if is_last => return Ok(text),
            () if text.to_ascii_uppercase().starts_with("* BYE") => return Err(Trouble::Closed),
            () if text.starts_with("* ") => {}
            () => break,
        }
    }
    Err(Trouble::Garbled("IMAP"))
}

/// An SMTP server's answer: its code, and its lines, each ended by a line break.
pub(super) fn reply(line: &mut impl Read) -> Result<(u16, String), Trouble> {
    let garbled = Trouble::Garbled("SMTP");
    let mut all = String::new();
    for _ in 0..MOST_LINES {
        let text = read_line(line, Protocol::Smtp)?;
        let code = text.get(..3).filter(|c| c.bytes().all(|b| b.is_ascii_digit())).and_then(|c| c.parse().ok());
        let Some(code) = code.filter(|_| all.is_empty() || all.get(..3) == text.get(..3)) else {
            return Err(garbled);
        };
        let is_last = text.as_bytes().get(3) != Some(&b'-');
        all.push_str(&text);
        // The text is optional, and so is the blank before it; lettre wants that.
        all.push_str(if text.len() == 3 { " \r\n" } else { "\r\n" });
        if is_last {
            return Ok((code, all));
        }
    }
    Err(garbled)
}

/// A line without its end, read byte by byte.
fn read_line(line: &mut impl Read, protocol: Protocol) -> Result<String, Trouble> {
    let mut text = Vec::new();
    while text.len() < LONGEST {
        match byte(line)? {
            b'\n' => {
                text.truncate(text.len() - usize::from(text.ends_with(b"\r")));
                return String::from_utf8(text).map_err(|_| Trouble::Garbled(protocol.name()));
            }
            other => text.push(other),
        }
    }
    Err(Trouble::Garbled(protocol.name()))
}

fn byte(line: &mut impl Read) -> Result<u8, Trouble> {
    let mut byte = [0];
    loop {
        match line.read(&mut byte) {
            Ok(0) => return Err(Trouble::Closed),
            Ok(_) => return Ok(byte[0]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// The result code of the LDAP message that comes, which must answer message 1 by an extended response.
fn ldap_result(line: &mut impl Read) -> Result<u8, Trouble> {
    let garbled = || Trouble::Garbled("LDAP");
    let mut message = Vec::new();
    if byte(line)? != 0x30 {
        return Err(garbled());
    }
    for _ in 0..length(|| byte(line))? {
        message.push(byte(line)?);
    }
    let mut rest = message.strip_prefix(b"\x02\x01\x01\x78").ok_or_else(garbled)?.iter().copied();
    length(|| rest.next().ok_or_else(garbled))?;
    match (rest.next(), rest.next(), rest.next()) {
        (Some(0x0a), Some(1), Some(code)) => Ok(code),
        _ => Err(garbled()),
    }
}

/// A length as BER writes it.
fn length(mut next: impl FnMut() -> Result<u8, Trouble>) -> Result<usize, Trouble> {
    let first = next()?;
    if first < 0x80 {
        return Ok(first.into());
    }
    let mut length = 0;
    for _ in 0..first & 0x7f {
        length = length << 8 | usize::from(next()?);
        if length > LONGEST {
            return Err(Trouble::Garbled("LDAP"));
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_in_the_long_form_are_read_as_active_directory_writes_them() {
        let agreed = b"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00";
        assert_eq!(ldap_result(&mut &agreed[..]), Ok(0));
        assert_eq!(length(|| Ok(0x7f)), Ok(0x7f));
        for (bytes, expected) in
            [([0x82, 0x20, 0x00], Ok(LONGEST)), ([0x82, 0x20, 0x01], Err(Trouble::Garbled("LDAP")))]
        {
            let mut rest = bytes.into_iter();
            assert_eq!(length(|| Ok(rest.next().unwrap())), expected, "{bytes:?}");
        }
    }
}
