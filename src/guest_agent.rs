//! QEMU's guest agent: one JSON object a line over a serial port, whose other end is a Unix socket.
//!
//! The guest is a stranger: it may never answer, answer something else, or send without end. Bytes are bounded, and
//! only the answer to our own question counts: an agent may still answer what somebody has asked it before.

use crate::random;
use serde::Deserialize;
use serde_json::json;

/// The most bytes that an agent may send before its answer: those of what was asked before, and noise of a console.
const BYTES_MAX: usize = 64 << 10;
/// Begins a request that the agent reads although it has half of another one, and each answer to it.
const SENTINEL: u8 = 0xff;

/// The question whether an agent runs: `guest-sync-delimited` with a number that it has to repeat.
pub struct Synchronization {
    id: u32,
    /// Bytes of the answer's line, once its sentinel was seen.
    line: Option<Vec<u8>>,
    received: usize,
}

/// What the guest has sent so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing that answers the question.
    Unanswered,
    /// An agent runs and has answered.
    Answered,
    /// So much that no agent sends it.
    TooMuch,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "return")]
    id: u32,
}

impl Synchronization {
    /// Return a new question.
    pub fn new() -> Self {
        Self::with_id(random::number())
    }

    fn with_id(id: u32) -> Self {
        Self { id, line: None, received: 0 }
    }

    /// Return the bytes to send to the agent.
    pub fn request(&self) -> Vec<u8> {
        let request = json!({"execute": "guest-sync-delimited", "arguments": {"id": self.id}});
        [&[SENTINEL], request.to_string().as_bytes(), b"\n"].concat()
    }

    /// Take bytes from the guest.
    pub fn receive(&mut self, bytes: &[u8]) -> Progress {
        self.received = self.received.saturating_add(bytes.len());
        for byte in bytes {
            match (*byte, &mut self.line) {
                (SENTINEL, line) => *line = Some(Vec::new()),
                (b'\n', Some(line)) => {
                    if serde_json::from_slice(line).is_ok_and(|answer: Answer| answer.id == self.id) {
                        return Progress::Answered;
                    }
                    self.line = None;
                }
                (other, Some(line)) => line.push(other),
                (_, None) => {}
            }
        }
        if self.received > BYTES_MAX { Progress::TooMuch } else { Progress::Unanswered }
    }
}

impl Default for Synchronization {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(bytes: &[u8]) -> Progress {
        Synchronization::with_id(7).receive(bytes)
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        assert_eq!(after(b"\xff{\"return\": 7}\n"), Progress::Answered);
        // What somebody asked before, and half of it.
        assert_eq!(after(b"{\"return\": {}}\n{\"re\xff{\"return\": 7}\n"), Progress::Answered);
        for other in [
            &b"\xff{\"return\": 8}\n"[..],
            b"{\"return\": 7}\n",
            b"\xff{\"return\": 7}",
            b"\xff{\"return\": \"7\"}\n",
            b"\xff{\"error\": {\"desc\": \"7\"}}\n",
            b"login: 7\n",
            b"\xff\n",
            b"",
        ] {
            assert_eq!(after(other), Progress::Unanswered, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn an_answer_may_come_byte_by_byte() {
        let mut question = Synchronization::with_id(7);
        let answer = b"noise\xff{\"return\": 7}";
        assert!(answer.iter().all(|byte| question.receive(&[*byte]) == Progress::Unanswered));
        assert_eq!(question.receive(b"\n"), Progress::Answered);
    }

    #[test]
    fn a_guest_that_sends_without_end_is_given_up() {
        let mut question = Synchronization::new();
        let sent = (0..1000).find(|_| question.receive(&[b'x'; 1024]) == Progress::TooMuch);
        assert_eq!(sent, Some(BYTES_MAX / 1024));
    }

    #[test]
    fn a_question_is_one_line_with_a_number_of_its_own() {
        let request = Synchronization::with_id(7).request();
        let line = b"\xff{\"arguments\":{\"id\":7},\"execute\":\"guest-sync-delimited\"}\n";
        assert_eq!(request, line);
        assert_ne!(Synchronization::new().request(), Synchronization::new().request());
    }
}
