//! `application/x-www-form-urlencoded`, for bodies and queries. A field that comes twice, bytes that
//! are not UTF-8 and control characters are refused, not guessed at. What was typed is wiped from memory
//! when it is no longer needed: it may be a password.

use super::refusal::Refusal;
use std::collections::BTreeMap;
use zeroize::{Zeroize, Zeroizing};

/// The fields of a form, each once.
#[derive(Clone, Debug, Default)]
pub struct Form(BTreeMap<String, Zeroizing<String>>);

impl Form {
    /// Decodes a body or a query.
    pub fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let mut fields = BTreeMap::new();
        for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let name = decode(&pair[..at])?.to_string();
            let value = decode(pair.get(at + 1..).unwrap_or_default())?;
            if fields.insert(name, value).is_some() {
                return Err(Refusal::bad_request("A field of the form came twice; send each once."));
            }
        }
        Ok(Self(fields))
    }

    /// The field's text without blanks around it; empty if it is missing.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |text| text.trim_matches(' '))
    }

    /// The field's text as it was typed, for a password; empty if it is missing.
    pub fn exact(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |text| text.as_str())
    }

    /// True for a checkbox that was ticked.
    pub fn ticked(&self, name: &str) -> bool {
        self.text(name) == "on"
    }
}

fn decode(text: &[u8]) -> Result<Zeroizing<String>, Refusal> {
    // Never longer than the encoded text, so that it does not move and leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next())? << 4 | hex(rest.next())?,
            other => *other,
        });
    }
    let text = String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|e| {
        e.into_bytes().zeroize();
        Refusal::bad_request("A field of the form is not valid UTF-8 text; type it again.")
    })?;
    if text.chars().any(char::is_control) {
        return Err(Refusal::bad_request(
            "A field of the form has a line break or another control character in it; leave that out.",
        ));
    }
    Ok(text)
}

fn hex(digit: Option<&u8>) -> Result<u8, Refusal> {
    let value = digit.and_then(|d| (*d as char).to_digit(16));
    value
        .and_then(|v| u8::try_from(v).ok())
        .ok_or_else(|| Refusal::bad_request("The form's encoding is broken: two hexadecimal digits follow each '%'."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_once() {
        let form = Form::parse(b"machine=Debian+12%20%28x%29.qcow2&terms=on&empty=&percent=%2541").unwrap();
        assert_eq!(form.text("machine"), "Debian 12 (x).qcow2");
        assert!(form.ticked("terms"));
        assert_eq!((form.text("empty"), form.text("missing"), form.text("percent")), ("", "", "%41"));
    }

    #[test]
    fn ambiguous_or_broken_forms_are_refused() {
        for text in ["a=1&a=2", "a=%zz", "a=%4", "a=%", "a=%ff", "a=x%00", "a=x%0a", "a=x%0d%0aSet-Cookie", "a%0a=1"] {
            assert_eq!(Form::parse(text.as_bytes()).unwrap_err().status, 400, "{text}");
        }
    }

    #[test]
    fn an_unticked_box_is_not_consent() {
        for text in ["", "terms=", "terms=off", "terms=ON", "terms"] {
            assert!(!Form::parse(text.as_bytes()).unwrap().ticked("terms"), "{text}");
        }
    }
}
