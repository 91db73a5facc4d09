//! From the viewer to QEMU: frames are opened in place, RFB is filtered, what may pass is written.
//!
//! One buffer. The next read waits until all that passed of the last one is with QEMU, so a guest
//! that does not take its input holds the viewer back instead of filling memory.

use super::frame::{Code, Decoder, Event, Fault};
use super::rfb::Filter;
use crate::model::Role;
use rustix::io::{Errno, Result};
use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::AsFd;

/// As much as Apache passes on at a time: half of it took a tenth more CPU when measured, twice of it gained nothing.
/// What nobody fills takes no memory.
const BUFFER: usize = 64 << 10;
/// As many ranges as one write takes.
const RUNS: usize = 16;

/// What is on its way to QEMU.
#[derive(Debug)]
pub struct Up {
    buffer: Vec<u8>,
    /// What has been read and not yet opened.
    unread: Range<usize>,
    /// What may pass and has not been written.
    runs: Vec<Range<usize>>,
    decoder: Decoder,
    filter: Filter,
    /// Bytes read from the viewer so far.
    pub received: u64,
}

/// What a read brought to light that is not for QEMU.
#[derive(Debug, PartialEq, Eq)]
pub enum Aside {
    /// To be sent back.
    Ping(Vec<u8>),
    /// The viewer leaves.
    Close,
}

impl Up {
    /// For a viewer of this role.
    pub fn new(role: Role) -> Self {
        Self {
            buffer: vec![0; BUFFER],
            unread: 0..0,
            runs: Vec::new(),
            decoder: Decoder::default(),
            filter: Filter::new(role),
            received: 0,
        }
    }

    /// Return true once after the viewer has sent clipboard text.
    pub fn take_pasted(&mut self) -> bool {
        self.filter.take_pasted()
    }

    /// Something waits to be written.
    pub fn busy(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Reads once from the viewer; `None` at the end of its stream. Only when not [`busy`](Self::busy).
    pub fn load(&mut self, viewer: impl AsFd) -> Result<Option<usize>> {
        // What is left here is at most the beginning of a frame's header.
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        match rustix::io::read(viewer, &mut self.buffer[self.unread.end..]) {
            Ok(0) => Ok(None),
            Ok(length) => {
                self.unread.end += length;
                self.received += length as u64;
                Ok(Some(length))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }

    /// Opens the frames that were read, until there is something that is not for QEMU.
    pub fn open(&mut self) -> std::result::Result<Option<Aside>, Fault> {
        let end = self.unread.end;
        while let Some(event) = self.decoder.next(&mut self.buffer, &mut self.unread.start, end)? {
            match event {
                Event::Data(part) => self
                    .filter
                    .feed(&mut self.buffer, part, &mut self.runs)
                    .map_err(|violation| (Code::Invalid, violation))?,
                Event::Ping => return Ok(Some(Aside::Ping(self.decoder.control().to_vec()))),
                Event::Pong => {}
                Event::Close => return Ok(Some(Aside::Close)),
            }
        }
        Ok(None)
    }

    /// Writes what QEMU takes.
    pub fn flush(&mut self, server: impl AsFd) -> Result<()> {
        while !self.runs.is_empty() {
            let mut slices = [IoSlice::new(&[]); RUNS];
            let count = self.runs.len().min(RUNS);
            for (slice, run) in slices.iter_mut().zip(&self.runs) {
                *slice = IoSlice::new(&self.buffer[run.clone()]);
            }
            match rustix::io::writev(&server, &slices[..count]) {
                Ok(written) => self.written(written),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn written(&mut self, mut length: usize) {
        let mut whole = 0;
        for run in &mut self.runs {
            let step = length.min(run.len());
            run.start += step;
            length -= step;
            if run.start < run.end {
                break;
            }
            whole += 1;
        }
        self.runs.drain(..whole);
    }

    /// Forgets what QEMU will not take any more.
    pub fn discard(&mut self) {
        self.runs.clear();
    }
}
