//! One connection: a request arrives, an answer leaves, and the connection is closed. Nothing here waits.

use super::body::{BodyReader, Framing};
use super::head::{self, Head, Progress};
use crate::portal::http::{Method, Request};
use crate::portal::refusal::Refusal;
use crate::portal::site;
use crate::portal::throttle::network;
use rustix::event::PollFlags;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

/// So much of what a client goes on sending after its answer is read, so that it gets to read the answer.
const DRAIN_LIMIT: usize = 1 << 20;

/// Room for an ordinary head, with a form behind it.
const HEAD_ROOM: usize = 16 << 10;

/// How many connections there may be, and for how long each of their parts is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections on which something is waited for; one more closes the oldest.
    pub connections: usize,
    /// Bodies that one client may be sending; one more refuses its oldest.
    pub bodies_per_client: usize,
    /// Requests that wait for a worker before connections wait in the kernel.
    pub requests: usize,
    /// For a whole head, and for what is read after an answer.
    pub head: Duration,
    /// For a whole body, beside what its length takes.
    pub body: Duration,
    /// The rate at which a body has to arrive, in bytes a second.
    pub body_rate: usize,
    /// For the client to take the whole answer.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connections: 256,
            bodies_per_client: 8,
            requests: 128,
            head: seconds(10),
            body: seconds(5),
            body_rate: 4 << 10,
            answer: seconds(60),
        }
    }
}

/// What a connection needs next.
#[derive(Debug)]
pub enum Step {
    /// The client's turn.
    Wait,
    /// The request is whole.
    Answer(Box<Request>),
    /// The request is refused before it is whole.
    Refuse(Box<Request>, Refusal),
    /// Nothing more.
    Close,
}

#[derive(Debug)]
enum State {
    Head {
        bytes: Zeroizing<Vec<u8>>,
        searched: usize,
    },
    Body {
        request: Box<Request>,
        reader: BodyReader,
    },
    /// The request is with somebody who answers it.
    Handed,
    Writing {
        bytes: Vec<u8>,
        written: usize,
    },
    Draining {
        left: usize,
    },
}

/// A connection and what has arrived by it.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    state: State,
    limits: Limits,
    deadline: Instant,
    client: Option<u64>,
    is_head: bool,
    /// The client may still be sending.
    unread: bool,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(stream: UnixStream, limits: Limits) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        let state = State::Head { bytes: Zeroizing::default(), searched: 0 };
        let deadline = Instant::now() + limits.head;
        Ok(Self { stream, state, limits, deadline, client: None, is_head: false, unread: false })
    }

    /// When the client's turn is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// True if only the answer's last readers would miss it.
    pub fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining { .. })
    }

    /// The client whose body is arriving.
    pub fn sender(&self) -> Option<Option<u64>> {
        matches!(self.state, State::Body { .. }).then_some(self.client)
    }

    /// True if the answer has no body.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// What to poll for.
    pub fn interest(&self) -> PollFlags {
        if matches!(self.state, State::Writing { .. }) { PollFlags::OUT } else { PollFlags::IN }
    }

    /// Read or write what can be without waiting. `judge` decides by the head whether the body is read.
    pub fn advance(&mut self, scratch: &mut [u8], judge: impl Fn(&Request) -> Result<(), Refusal>) -> Step {
        if matches!(self.state, State::Writing { .. }) {
            return self.write();
        }
        loop {
            let step = match self.stream.read(scratch) {
                Ok(0) => return self.end(),
                Ok(n) => {
                    let step = self.take(&scratch[..n], &judge);
                    scratch[..n].zeroize();
                    step
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => Step::Wait,
                Err(_) => return Step::Close,
            };
            if !matches!(step, Step::Wait) {
                return step;
            }
        }
    }

    /// Begin to send an answer, the whole of it.
    pub fn answer(&mut self, bytes: Vec<u8>) -> Step {
        self.state = State::Writing { bytes, written: 0 };
        self.deadline = Instant::now() + self.limits.answer;
        self.write()
    }

    /// Give up waiting for the client.
    pub fn give_up(&mut self, refusal: Refusal) -> Step {
        match std::mem::replace(&mut self.state, State::Handed) {
            State::Head { bytes, .. } if !bytes.is_empty() => self.refuse(Box::new(head::opening(&bytes)), refusal),
            State::Body { request, .. } => self.refuse(request, refusal),
            _ => Step::Close,
        }
    }

    fn refuse(&mut self, request: Box<Request>, refusal: Refusal) -> Step {
        self.state = State::Handed;
        self.unread = true;
        Step::Refuse(request, refusal)
    }

    /// The client sends no more.
    fn end(&mut self) -> Step {
        match self.state {
            State::Head { .. } | State::Body { .. } => self.give_up(Refusal::bad_request("The request broke off.")),
            _ => Step::Close,
        }
    }

    fn take(&mut self, input: &[u8], judge: &impl Fn(&Request) -> Result<(), Refusal>) -> Step {
        match &mut self.state {
            State::Head { bytes, searched } => {
                // Room for an ordinary request: a buffer that grows moves, and leaves copies of passwords behind.
                let room = HEAD_ROOM.saturating_sub(bytes.len()).max(input.len());
                bytes.reserve(room);
                bytes.extend_from_slice(input);
                let looked = std::mem::replace(searched, bytes.len());
                match head::read(bytes, looked) {
                    Progress::Partial => Step::Wait,
                    Progress::Refused(request, refusal) => self.refuse(request, refusal),
                    Progress::Whole(head) => {
                        let rest = Zeroizing::new(bytes[head.length..].to_vec());
                        self.decide(*head, &rest, judge)
                    }
                }
            }
            State::Body { .. } => self.take_body(input),
            State::Draining { left } => {
                *left = left.saturating_sub(input.len());
                if *left == 0 { Step::Close } else { Step::Wait }
            }
            State::Handed | State::Writing { .. } => Step::Wait,
        }
    }

    /// Decide by the head: a request without a body, or one whose body nobody reads, is answered at once.
    fn decide(&mut self, head: Head, rest: &[u8], judge: &impl Fn(&Request) -> Result<(), Refusal>) -> Step {
        let Head { request, framing, is_head, expects_continue, .. } = head;
        let request = Box::new(request);
        self.is_head = is_head;
        self.client = site::client(&request).map(network);
        let Some(framing) = framing.filter(|_| request.method != Method::Get) else {
            self.unread = framing.is_some();
            self.state = State::Handed;
            return Step::Answer(request);
        };
        match judge(&request).and_then(|()| BodyReader::new(framing)) {
            Ok(reader) => self.expect_body(request, framing, reader, expects_continue && rest.is_empty(), rest),
            Err(refusal) => self.refuse(request, refusal),
        }
    }

    fn expect_body(
        &mut self,
        request: Box<Request>,
        framing: Framing,
        reader: BodyReader,
        invite: bool,
        rest: &[u8],
    ) -> Step {
        // Nothing was sent on this connection yet, so it has room for this.
        if invite && self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_err() {
            return Step::Close;
        }
        let seconds = framing.expected().unwrap_or_default() / self.limits.body_rate;
        self.deadline = Instant::now() + self.limits.body + Duration::from_secs(seconds as u64);
        self.state = State::Body { request, reader };
        self.take_body(rest)
    }

    fn take_body(&mut self, input: &[u8]) -> Step {
        let State::Body { request, mut reader } = std::mem::replace(&mut self.state, State::Handed) else {
            return Step::Close;
        };
        match reader.feed(input) {
            Ok(false) => {
                self.state = State::Body { request, reader };
                Step::Wait
            }
            Ok(true) => Step::Answer(Box::new(Request { body: reader.into_bytes(), ..*request })),
            Err(refusal) => self.refuse(request, refusal),
        }
    }

    fn write(&mut self) -> Step {
        let State::Writing { bytes, written } = &mut self.state else { return Step::Close };
        while *written < bytes.len() {
            match self.stream.write(&bytes[*written..]) {
                Ok(0) => return Step::Close,
                Ok(n) => *written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Step::Close,
            }
        }
        self.finish()
    }

    /// Close what is answered. Who is still sending gets an end to read first: a connection that is closed
    /// with unread bytes in it is a broken one to the client, which then may not look for the answer.
    fn finish(&mut self) -> Step {
        if !self.unread || self.stream.shutdown(Shutdown::Write).is_err() {
            return Step::Close;
        }
        self.state = State::Draining { left: DRAIN_LIMIT };
        self.deadline = Instant::now() + self.limits.head;
        Step::Wait
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
