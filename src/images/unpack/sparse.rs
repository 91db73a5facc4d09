//! A file that gets holes where only zeros would stand.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;

/// What file systems store at least.
const BLOCK: usize = 4096;

/// An empty file that is being filled.
pub(in crate::images) struct Sparse {
    file: File,
    length: u64,
    written: u64,
}

impl Sparse {
    pub(in crate::images) fn new(file: File) -> Self {
        Self { file, length: 0, written: 0 }
    }

    /// Bytes so far, holes included.
    pub(in crate::images) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes so far that are on the disk.
    pub(in crate::images) fn written(&self) -> u64 {
        self.written
    }

    /// Appends bytes, a multiple of 4096 but for the last.
    pub(in crate::images) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            let zeros = run(&bytes[at..], true);
            at += zeros;
            let data = run(&bytes[at..], false);
            self.file.write_all_at(&bytes[at..at + data], self.length + at as u64)?;
            self.written += data as u64;
            at += data;
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file its whole length, which is told.
    pub(in crate::images) fn finish(self) -> Result<u64> {
        self.file.set_len(self.length)?;
        Ok(self.length)
    }
}

/// The length of the blocks from the beginning on that are all zero, or of those that are not.
fn run(bytes: &[u8], zero: bool) -> usize {
    let blocks = bytes.chunks(BLOCK).take_while(|block| block.iter().all(|byte| *byte == 0) == zero);
    blocks.map(<[u8]>::len).sum()
}
