//! WebSocket frames (RFC 6455), read in place and written ahead of a payload that is there already.
//!
//! No I/O and no allocation: payload is unmasked where it lies in the caller's buffer and given on
//! as it comes, however long its frame is. Messages mean nothing here; RFB is one stream of bytes.

use super::rfb::Violation;
use std::ops::Range;

/// The longest frame a viewer may send: a clipboard message with room to spare.
const FRAME_MAX: u64 = 16 << 20;
/// The longest payload of a control frame.
pub const CONTROL_MAX: usize = 125;
/// The longest header of a frame we send.
pub const HEADER_MAX: usize = 10;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of a message.
    Continuation = 0,
    /// A notice to the page. No viewer may send one.
    Text = 1,
    /// A part of the screen's stream.
    Binary = 2,
    /// The other side wants to end.
    Close = 8,
    /// Are you there?
    Ping = 9,
    /// I am.
    Pong = 10,
}

/// Why a connection is closed (RFC 6455, section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The viewer left.
    Normal = 1000,
    /// The session is over.
    GoingAway = 1001,
    /// Not WebSocket as it should be.
    Protocol = 1002,
    /// Text, which RFB is not.
    Unsupported = 1003,
    /// Not RFB as it should be.
    Invalid = 1007,
    /// The right to see this screen has ended.
    Policy = 1008,
    /// A frame beyond all need.
    TooBig = 1009,
}

/// What a viewer's stream turned out to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Payload, unmasked, at this place of the buffer.
    Data(Range<usize>),
    /// A ping with this many bytes to send back, kept in [`Decoder::control`].
    Ping,
    /// An answer to a ping of ours.
    Pong,
    /// The viewer leaves.
    Close,
}

/// A broken rule and the code that names it.
pub type Fault = (Code, Violation);

#[derive(Clone, Copy, Debug)]
struct Open {
    opcode: Opcode,
    left: u64,
    mask: [u8; 4],
}

/// The state of a viewer's stream.
#[derive(Debug)]
pub struct Decoder {
    open: Option<Open>,
    in_message: bool,
    control: [u8; CONTROL_MAX],
    control_len: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { open: None, in_message: false, control: [0; CONTROL_MAX], control_len: 0 }
    }
}

impl Decoder {
    /// Takes what it can from `buffer[*at..end]` and moves `at` past it. `None`: it needs more bytes.
    pub fn next(&mut self, buffer: &mut [u8], at: &mut usize, end: usize) -> Result<Option<Event>, Fault> {
        loop {
            let open = match self.open {
                Some(open) => open,
                None => match self.header(&buffer[*at..end])? {
                    Some((open, length)) => {
                        *at += length;
                        self.control_len = 0;
                        open
                    }
                    None => return Ok(None),
                },
            };
            let ready = (end - *at).min(usize::try_from(open.left).unwrap_or(usize::MAX));
            let range = *at..*at + ready;
            *at += ready;
            unmask(&mut buffer[range.clone()], open.mask);
            let left = open.left - ready as u64;
            self.open = (left > 0).then(|| Open { left, mask: turned(open.mask, ready), ..open });
            if matches!(open.opcode, Opcode::Binary | Opcode::Continuation) {
                if ready > 0 {
                    return Ok(Some(Event::Data(range)));
                }
            } else {
                self.control[self.control_len..][..ready].copy_from_slice(&buffer[range]);
                self.control_len += ready;
                if left == 0 {
                    return Ok(Some(event_of(open.opcode)));
                }
            }
            if left > 0 {
                return Ok(None);
            }
        }
    }

    /// The payload of the last ping or close.
    pub fn control(&self) -> &[u8] {
        &self.control[..self.control_len]
    }

    fn header(&mut self, bytes: &[u8]) -> Result<Option<(Open, usize)>, Fault> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = self.opcode(*first)?;
        if second & 0x80 == 0 {
            return Err(broken("The viewer sent a frame that is not masked."));
        }
        let Some((left, used)) = length(second & 0x7f, rest)? else { return Ok(None) };
        if opcode as u8 >= 8 && (left > CONTROL_MAX as u64 || first & 0x80 == 0) {
            return Err(broken("The viewer sent a control frame that is too long or in pieces."));
        }
        let Some(mask) = rest[used..].first_chunk::<4>() else { return Ok(None) };
        if (opcode as u8) < 8 {
            self.in_message = first & 0x80 == 0;
        }
        Ok(Some((Open { opcode, left, mask: *mask }, 2 + used + 4)))
    }

    fn opcode(&self, first: u8) -> Result<Opcode, Fault> {
        if first & 0x70 != 0 {
            return Err(broken("The viewer uses an extension that was not agreed on."));
        }
        match (first & 0x0f, self.in_message) {
            (0, true) => Ok(Opcode::Continuation),
            (2, false) => Ok(Opcode::Binary),
            (1, false) => Err((Code::Unsupported, Violation("The viewer sent text, but a screen is binary."))),
            (8, _) => Ok(Opcode::Close),
            (9, _) => Ok(Opcode::Ping),
            (10, _) => Ok(Opcode::Pong),
            _ => Err(broken("The viewer sent a frame out of turn or of an unknown kind.")),
        }
    }
}

fn broken(text: &'static str) -> Fault {
    (Code::Protocol, Violation(text))
}

fn event_of(opcode: Opcode) -> Event {
    match opcode {
        Opcode::Ping => Event::Ping,
        Opcode::Pong => Event::Pong,
        _ => Event::Close,
    }
}

/// The payload's length, and how many bytes of the extended form that took.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, Fault> {
    let (length, used, least) = match (short, rest.first_chunk::<2>(), rest.first_chunk::<8>()) {
        (126, Some(bytes), _) => (u64::from(u16::from_be_bytes(*bytes)), 2, 126),
        (127, _, Some(bytes)) => (u64::from_be_bytes(*bytes), 8, 1 << 16),
        (126 | 127, ..) => return Ok(None),
        _ => (u64::from(short), 0, 0),
    };
    if length < least {
        return Err(broken("The viewer sent a frame whose length is written wrongly."));
    }
    if length > FRAME_MAX {
        return Err((Code::TooBig, Violation("The viewer sent a frame that is too long.")));
    }
    Ok(Some((length, used)))
}

/// The mask as it stands after so many bytes.
fn turned(mut mask: [u8; 4], by: usize) -> [u8; 4] {
    mask.rotate_left(by % 4);
    mask
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Writes the header of a whole, unmasked frame so that it ends where `room` ends; says how long it is.
pub fn put_header(room: &mut [u8; HEADER_MAX], opcode: Opcode, length: usize) -> usize {
    let first = 0x80 | opcode as u8;
    match u16::try_from(length) {
        Ok(short @ 0..=125) => room[8..].copy_from_slice(&[first, short as u8]),
        Ok(medium) => {
            let [high, low] = medium.to_be_bytes();
            room[6..].copy_from_slice(&[first, 126, high, low]);
        }
        Err(_) => {
            room[..2].copy_from_slice(&[first, 127]);
            room[2..].copy_from_slice(&(length as u64).to_be_bytes());
        }
    }
    match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
