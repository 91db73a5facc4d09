//! From QEMU to the viewer: one frame for each read, header and payload in one buffer.
//!
//! The payload is read to where it will be written from, so nothing is copied; the next read waits
//! until all of it has been written, so a slow viewer costs one buffer and holds up nobody else. Of the notices to
//! the page, a slow viewer has one on its way and one that waits, which a newer one replaces.

use super::frame::{self, Code, HEADER_MAX, Opcode};
use rustix::io::{Errno, Result};
use std::os::fd::AsFd;

/// The largest read. Twice this saved a fifth of the time and took twice the memory; one that grows
/// and shrinks left its smaller selves behind in the heap.
const BUFFER: usize = 64 << 10;
/// Control frames wait here only while the viewer is slow; more pings than this get no answer.
const CONTROL_ROOM: usize = 512;

/// What is on its way to the viewer.
#[derive(Debug)]
pub struct Down {
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    control: Vec<u8>,
    /// The frame of a notice that has begun.
    text: Vec<u8>,
    /// The frame of the latest notice, which has not.
    waiting: Option<Vec<u8>>,
    /// Bytes written to the viewer so far.
    pub sent: u64,
}

impl Default for Down {
    fn default() -> Self {
        Self {
            buffer: vec![0; HEADER_MAX + BUFFER],
            from: 0,
            to: 0,
            control: Vec::new(),
            text: Vec::new(),
            waiting: None,
            sent: 0,
        }
    }
}

impl Down {
    /// Something waits to be written.
    pub fn busy(&self) -> bool {
        self.from < self.to || !self.control.is_empty() || !self.text.is_empty() || self.waiting.is_some()
    }

    /// Reads once from QEMU; `false` at the end of its stream. Only when not [`busy`](Self::busy).
    pub fn load(&mut self, server: impl AsFd) -> Result<bool> {
        let length = match rustix::io::read(server, &mut self.buffer[HEADER_MAX..]) {
            Ok(0) => return Ok(false),
            Ok(length) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
            Err(error) => return Err(error),
        };
        if let Some(room) = self.buffer.first_chunk_mut() {
            self.from = HEADER_MAX - frame::put_header(room, Opcode::Binary, length);
        }
        self.to = HEADER_MAX + length;
        Ok(true)
    }

    /// Writes what the viewer takes.
    pub fn flush(&mut self, viewer: impl AsFd) -> Result<()> {
        // A frame that has begun comes first: no other may begin in its middle.
        if self.from < self.to {
            self.from += self.count(rustix::io::write(&viewer, &self.buffer[self.from..self.to]))?;
        }
        if self.from < self.to {
            return Ok(());
        }
        (self.from, self.to) = (0, 0);
        if self.text.is_empty() {
            self.flush_control(&viewer)?;
            if self.control.is_empty() {
                self.text = self.waiting.take().unwrap_or_default();
            }
        }
        self.flush_text(&viewer)
    }

    fn flush_control(&mut self, viewer: impl AsFd) -> Result<()> {
        if !self.control.is_empty() {
            let written = rustix::io::write(&viewer, &self.control);
            let written = self.count(written)?;
            self.control.drain(..written);
        }
        Ok(())
    }

    fn flush_text(&mut self, viewer: impl AsFd) -> Result<()> {
        if !self.text.is_empty() {
            let written = rustix::io::write(&viewer, &self.text);
            let written = self.count(written)?;
            self.text.drain(..written);
        }
        Ok(())
    }

    fn count(&mut self, written: Result<usize>) -> Result<usize> {
        match written {
            Ok(length) => {
                self.sent += length as u64;
                Ok(length)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Queue a notice to the page, in the place of one that has not begun.
    pub fn notify(&mut self, text: &str) {
        let mut header = [0; HEADER_MAX];
        let length = frame::put_header(&mut header, Opcode::Text, text.len());
        self.waiting = Some([&header[HEADER_MAX - length..], text.as_bytes()].concat());
    }

    /// Return true while a notice has not begun.
    pub fn has_notice(&self) -> bool {
        self.waiting.is_some()
    }

    /// Queues a ping, or the answer to one.
    pub fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.control.len() < CONTROL_ROOM {
            self.queue(opcode, payload);
        }
    }

    /// Queues the last frame: why it ends, as a code and a sentence.
    pub fn close(&mut self, code: Code, reason: &str) {
        let mut payload = (code as u16).to_be_bytes().to_vec();
        payload.extend(reason.bytes().take(frame::CONTROL_MAX - 2));
        self.waiting = None;
        self.queue(Opcode::Close, &payload);
    }

    fn queue(&mut self, opcode: Opcode, payload: &[u8]) {
        self.control.extend([0x80 | opcode as u8, payload.len() as u8]);
        self.control.extend_from_slice(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn pongs_for_a_slow_viewer_are_bounded_and_never_stand_inside_a_frame() {
        let ((mut qemu, server), (viewer, mut browser)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        rustix::net::sockopt::set_socket_send_buffer_size(&viewer, 4096).unwrap();
        viewer.set_nonblocking(true).unwrap();
        qemu.write_all(&[7; BUFFER]).unwrap();
        let (mut down, payload) = (Down::default(), [1; 100]);
        assert!(down.load(&server).unwrap());
        down.flush(&viewer).unwrap();
        assert!((1..down.to).contains(&down.from), "the frame is under way: {}", down.from);
        let length = down.to;
        (0..100_000).for_each(|_| down.control(Opcode::Pong, &payload));
        let held = down.control.len();
        assert!(held <= CONTROL_ROOM + HEADER_MAX + payload.len(), "{held}");
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            browser.read_to_end(&mut all).unwrap();
            all
        });
        while down.busy() {
            let mut fds = [rustix::event::PollFd::new(&viewer, rustix::event::PollFlags::OUT)];
            rustix::event::poll(&mut fds, None).unwrap();
            down.flush(&viewer).unwrap();
        }
        drop(viewer);
        let all = reader.join().unwrap();
        assert_eq!((all.len() as u64, all.len()), (down.sent, length + held));
        let (frame, pongs) = all.split_at(length);
        assert!(frame[frame.len() - BUFFER..].iter().all(|byte| *byte == 7));
        let pong = [&[0x8a, 100][..], &payload].concat();
        assert!(pongs.chunks(pong.len()).all(|chunk| chunk == pong));
    }

    #[test]
    fn a_viewer_that_reads_nothing_has_one_notice_under_way_and_the_latest_one_waiting() {
        let ((mut qemu, server), (viewer, mut browser)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        rustix::net::sockopt::set_socket_send_buffer_size(&viewer, 4096).unwrap();
        viewer.set_nonblocking(true).unwrap();
        qemu.write_all(&[7; BUFFER]).unwrap();
        let mut down = Down::default();
        assert!(down.load(&server).unwrap());
        down.flush(&viewer).unwrap();
        let text = "x".repeat(60_000);
        for n in 0..1000 {
            down.notify(&format!("{text}{n}"));
            down.flush(&viewer).unwrap();
        }
        assert!(down.text.len() + down.waiting.as_ref().unwrap().len() < 2 * 61_000);
        down.control(Opcode::Ping, &[]);
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            browser.read_to_end(&mut all).unwrap();
            all
        });
        while down.busy() {
            let mut fds = [rustix::event::PollFd::new(&viewer, rustix::event::PollFlags::OUT)];
            rustix::event::poll(&mut fds, None).unwrap();
            down.flush(&viewer).unwrap();
        }
        drop(viewer);
        let all = reader.join().unwrap();
        let (picture, notices) = all.split_at(HEADER_MAX + BUFFER);
        assert!(picture[HEADER_MAX..].iter().all(|byte| *byte == 7));
        let latest = [&[0x89, 0, 0x81, 126], &60_003_u16.to_be_bytes()[..], text.as_bytes(), b"999"].concat();
        assert!(notices == latest, "the ping, and the latest notice alone");
    }
}
