//! The client's half of RFB (RFC 6143 and its registered extensions), as a filter.
//!
//! Pure: it is fed the bytes a viewer sent, in pieces of any size, and says which of them may go on
//! to QEMU. It decides by message type and role alone, never waits and never keeps a message: what
//! passes is named as ranges of the caller's own buffer. It does not look at what the server sends.

use crate::model::Role;
use std::ops::Range;

/// What a client sent that ends its connection; the sentence goes into the close frame and the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation(pub &'static str);

/// QEMU refuses more than this in one clipboard message.
const CLIPBOARD_MAX: u32 = 1 << 20;
/// noVNC names about 25; the field has 16 bits.
const ENCODINGS_MAX: u16 = 512;
/// The limit of the fence extension itself.
const FENCE_MAX: u8 = 64;
/// The longest head that is needed to know a message's length, and the length of ProtocolVersion.
const HEAD_MAX: usize = 12;

mod kind {
    pub(super) const SET_PIXEL_FORMAT: u8 = 0;
    pub(super) const SET_ENCODINGS: u8 = 2;
    pub(super) const UPDATE_REQUEST: u8 = 3;
    pub(super) const KEY: u8 = 4;
    pub(super) const POINTER: u8 = 5;
    pub(super) const CUT_TEXT: u8 = 6;
    pub(super) const CONTINUOUS_UPDATES: u8 = 150;
    pub(super) const FENCE: u8 = 248;
    pub(super) const XVP: u8 = 250;
    pub(super) const SET_DESKTOP_SIZE: u8 = 251;
    pub(super) const QEMU: u8 = 255;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Version,
    Security,
    Init,
    Messages,
}

/// What the head of a message tells so far.
enum Measure {
    /// Its length cannot be known before there are so many bytes.
    Head(usize),
    /// Its length, head included.
    Total(usize),
}

/// The state of one viewer's stream.
#[derive(Debug)]
pub struct Filter {
    role: Role,
    phase: Phase,
    head: [u8; HEAD_MAX],
    have: usize,
    need: usize,
    body: usize,
    pass: bool,
    pasted: bool,
}

impl Filter {
    /// A filter for a stream that begins with the client's ProtocolVersion.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            phase: Phase::Version,
            head: [0; HEAD_MAX],
            have: 0,
            need: HEAD_MAX,
            body: 0,
            pass: true,
            pasted: false,
        }
    }

    /// Return true once after clipboard text that may pass has begun.
    pub fn take_pasted(&mut self) -> bool {
        std::mem::take(&mut self.pasted)
    }

    /// Takes `buffer[part]` and appends to `runs` the ranges of `buffer` that may pass, neighbours
    /// joined. Changes one byte: ClientInit always asks for a shared screen.
    pub fn feed(
        &mut self,
        buffer: &mut [u8],
        part: Range<usize>,
        runs: &mut Vec<Range<usize>>,
    ) -> Result<(), Violation> {
        let mut at = part.start;
        while at < part.end {
            let taken = if self.body > 0 {
                let taken = self.body.min(part.end - at);
                self.body -= taken;
                taken
            } else {
                self.take_head(&mut buffer[at..part.end])?
            };
            if self.pass {
                push(runs, at..at + taken);
            }
            at += taken;
        }
        Ok(())
    }

    fn take_head(&mut self, bytes: &mut [u8]) -> Result<usize, Violation> {
        if self.have == 0 {
            self.begin(bytes);
        }
        let taken = (self.need - self.have).min(bytes.len());
        self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken;
        if self.have == self.need {
            self.advance()?;
        }
        Ok(taken)
    }

    /// Looks at the first byte of what comes next.
    fn begin(&mut self, bytes: &mut [u8]) {
        if self.phase != Phase::Version {
            self.need = 1;
        }
        match self.phase {
            // A client that asks not to share would throw all other viewers out.
            Phase::Init => bytes[0] = 1,
            Phase::Messages => {
                self.pass = may_pass(self.role, bytes[0]);
                self.pasted |= self.pass && bytes[0] == kind::CUT_TEXT;
            }
            Phase::Version | Phase::Security => {}
        }
    }

    fn advance(&mut self) -> Result<(), Violation> {
        let head = &self.head[..self.have];
        match self.phase {
            Phase::Version if head == b"RFB 003.008\n" || head == b"RFB 003.007\n" => self.phase = Phase::Security,
            Phase::Version => return Err(Violation("The viewer speaks a version of RFB other than 3.7 and 3.8.")),
            Phase::Security if head == [1] => self.phase = Phase::Init,
            Phase::Security => return Err(Violation("The viewer chose a security type that was not offered.")),
            Phase::Init => self.phase = Phase::Messages,
            Phase::Messages => match measure(head)? {
                Measure::Head(need) => {
                    self.need = need;
                    return Ok(());
                }
                Measure::Total(total) => self.body = total - self.have,
            },
        }
        self.have = 0;
        Ok(())
    }
}

fn push(runs: &mut Vec<Range<usize>>, run: Range<usize>) {
    match runs.last_mut() {
        Some(last) if last.end == run.start => last.end = run.end,
        _ => runs.push(run),
    }
}

/// Nobody may press the host's power button; who only looks may only say how it wants to see.
fn may_pass(role: Role, message: u8) -> bool {
    match role {
        Role::Control => message != kind::XVP,
        Role::View => matches!(
            message,
            kind::SET_PIXEL_FORMAT
                | kind::SET_ENCODINGS
                | kind::UPDATE_REQUEST
                | kind::CONTINUOUS_UPDATES
                | kind::FENCE
        ),
    }
}

/// The length of the message that begins with `head` (never empty), or how much of it that takes.
fn measure(head: &[u8]) -> Result<Measure, Violation> {
    let fixed = |total| Ok(Measure::Total(total));
    match head[0] {
        kind::SET_PIXEL_FORMAT => fixed(20),
        kind::UPDATE_REQUEST | kind::CONTINUOUS_UPDATES => fixed(10),
        kind::KEY => fixed(8),
        kind::POINTER => fixed(6),
        kind::XVP => fixed(4),
        kind::SET_ENCODINGS => with_head(head, 4, set_encodings),
        kind::CUT_TEXT => with_head(head, 8, cut_text),
        kind::FENCE => with_head(head, 9, fence),
        kind::SET_DESKTOP_SIZE => with_head(head, 8, |head| Ok(8 + 16 * usize::from(head[6]))),
        kind::QEMU => qemu(head),
        _ => Err(Violation("The viewer sent a message of an unknown type.")),
    }
}

fn with_head(
    head: &[u8],
    need: usize,
    total: impl Fn(&[u8]) -> Result<usize, Violation>,
) -> Result<Measure, Violation> {
    if head.len() < need {
        return Ok(Measure::Head(need));
    }
    total(head).map(Measure::Total)
}

fn set_encodings(head: &[u8]) -> Result<usize, Violation> {
    let count = u16::from_be_bytes([head[2], head[3]]);
    if count > ENCODINGS_MAX {
        return Err(Violation("The viewer names more encodings than there are."));
    }
    Ok(4 + 4 * usize::from(count))
}

/// A negative length is that of the extended clipboard's form, whose flags take four bytes.
fn cut_text(head: &[u8]) -> Result<usize, Violation> {
    let length = i32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    if length.unsigned_abs() > CLIPBOARD_MAX {
        return Err(Violation("The viewer sent more clipboard text than the 1 MiB that can be passed on."));
    }
    if (-3..0).contains(&length) {
        return Err(Violation("The viewer sent a clipboard message that is too short."));
    }
    Ok(8 + length.unsigned_abs() as usize)
}

fn fence(head: &[u8]) -> Result<usize, Violation> {
    if head[8] > FENCE_MAX {
        return Err(Violation("The viewer sent a fence that is too long."));
    }
    Ok(9 + usize::from(head[8]))
}

/// Extended key events, and sound: on, off, and its format.
fn qemu(head: &[u8]) -> Result<Measure, Violation> {
    match head.get(1) {
        None => Ok(Measure::Head(2)),
        Some(0) => Ok(Measure::Total(12)),
        Some(1) => with_head(head, 4, |head| match u16::from_be_bytes([head[2], head[3]]) {
            0 | 1 => Ok(4),
            2 => Ok(10),
            _ => Err(Violation("The viewer sent an unknown message about sound.")),
        }),
        Some(_) => Err(Violation("The viewer sent an unknown message of QEMU's own.")),
    }
}

#[cfg(test)]
#[path = "rfb_tests.rs"]
mod tests;
