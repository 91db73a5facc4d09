//! Leaves out what servers say before they answer (RFC 9110, section 15.2).
//!
//! ureq skips such a head only if little comes together with it, and never one of status 100 that has headers.

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Error, http::StatusCode};

/// Wraps a connection so that no informational answer is seen by those above.
#[derive(Debug)]
pub(super) struct SkipInformational;

impl<In: Transport> Connector<In> for SkipInformational {
    type Out = Skipping<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Skipping { inner, answered: false }))
    }
}

/// A connection for one request.
#[derive(Debug)]
pub(super) struct Skipping<T> {
    inner: T,
    /// The answer itself has begun.
    answered: bool,
}

impl<T: Transport> Transport for Skipping<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let progress = self.inner.await_input(timeout)?;
        while !self.answered {
            match next(self.inner.buffers().input()) {
                // With nothing left, the caller waits for more, within its own time.
                Next::Skip(length) => self.inner.buffers().input_consume(length),
                Next::Unknown => break,
                Next::Answer => self.answered = true,
            }
        }
        Ok(progress)
    }

    fn is_open(&mut self) -> bool {
        // A second request would need its own state.
        false
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[derive(Debug, PartialEq)]
enum Next {
    /// An informational answer of this length.
    Skip(usize),
    /// Too little has come to say.
    Unknown,
    /// Anything else.
    Answer,
}

fn next(input: &[u8]) -> Next {
    // HTTP/1.1 103 Early Hints
    let Some(line) = input.get(..12) else { return Next::Unknown };
    let status = StatusCode::from_bytes(&line[9..]).ok().filter(|_| line.starts_with(b"HTTP/1."));
    if !status.is_some_and(|s| s.is_informational() && s != StatusCode::SWITCHING_PROTOCOLS) {
        return Next::Answer;
    }
    let end = input.windows(4).position(|four| four == b"\r\n\r\n");
    end.map_or(Next::Unknown, |end| Next::Skip(end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_informational_heads_are_skipped() {
        for (input, found) in [
            ("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Next::Skip(40)),
            ("HTTP/1.1 100 Continue\r\n\r\n", Next::Skip(25)),
            ("HTTP/1.1 102 Processing\r\nDate: x\r\n", Next::Unknown),
            ("HTTP/1.1 1", Next::Unknown),
            ("", Next::Unknown),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Next::Answer),
            ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 103 x\r\n\r\n", Next::Answer),
            ("a body of no head", Next::Answer),
        ] {
            assert_eq!(next(input.as_bytes()), found, "{input:?}");
        }
    }
}
