//! Requests for screens that are being read: a bounded number, of which the newest is the most welcome.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

/// At once. Apache sends a whole head at once, so an honest one takes no time.
const HANDSHAKES: usize = 64;

/// The connections whose heads are being read.
#[derive(Debug, Default)]
pub struct Handshakes {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    /// The oldest first.
    streams: VecDeque<(u64, UnixStream)>,
}

/// One of them, until it is dropped.
pub struct Handshake<'a> {
    all: &'a Handshakes,
    number: u64,
}

impl Handshakes {
    /// Count one more. If there are too many, the oldest is shut, which its thread reads as an end.
    pub fn begin(&self, stream: &UnixStream) -> io::Result<Handshake<'_>> {
        let stream = stream.try_clone()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.streams.len() >= HANDSHAKES {
            if let Some((_, oldest)) = open.streams.pop_front() {
                let _ = oldest.shutdown(Shutdown::Both);
            }
        }
        open.last += 1;
        let number = open.last;
        open.streams.push_back((number, stream));
        Ok(Handshake { all: self, number })
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.all.open.lock().unwrap_or_else(PoisonError::into_inner).streams.retain(|(other, _)| *other != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn one_more_than_there_may_be_ends_the_oldest() {
        let handshakes = Handshakes::default();
        let pairs: Vec<_> = (0..=HANDSHAKES).map(|_| UnixStream::pair().unwrap()).collect();
        let read = |number: usize| {
            let mut theirs = &pairs[number].1;
            theirs.set_nonblocking(true).and_then(|()| theirs.read(&mut [0; 1])).map_err(|error| error.kind())
        };
        let mut begun: Vec<_> = pairs.iter().map(|(ours, _)| handshakes.begin(ours).unwrap()).collect();
        assert_eq!((read(0), read(1)), (Ok(0), Err(io::ErrorKind::WouldBlock)));
        drop(begun.remove(1));
        let _another = handshakes.begin(&pairs[0].0).unwrap();
        assert_eq!(read(2), Err(io::ErrorKind::WouldBlock));
        assert_eq!(handshakes.open.lock().unwrap().streams.len(), HANDSHAKES);
    }
}
