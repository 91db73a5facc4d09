//! Readers for the four ways of packing.

use super::super::packed::{MAGIC_LEN, Packing};
use super::{Failure, damaged};
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read, Result, Seek};
use zip::ZipArchive;

/// Memory that an archive may make us use for its dictionary, in KiB.
const DICTIONARY: u32 = 256 << 10;

/// Calls `work` with a reader of what is packed in the file.
pub(super) fn with_reader(
    mut from: File,
    work: &mut dyn FnMut(&mut dyn Read) -> std::result::Result<(), Failure>,
) -> std::result::Result<(), Failure> {
    let mut head = Vec::new();
    (&from).take(MAGIC_LEN as u64).read_to_end(&mut head).map_err(|e| damaged(&e))?;
    from.rewind().map_err(|e| damaged(&e))?;
    let packed = BufReader::with_capacity(1 << 18, from);
    match Packing::of(&head) {
        Some(Packing::Gzip) => work(&mut MultiGzDecoder::new(packed)),
        Some(Packing::Xz) => work(&mut XzReader::new_mem_limit(packed, true, DICTIONARY)),
        Some(Packing::Zstd) => work(&mut Frames { packed, frame: None }),
        Some(Packing::Zip) => only_file(packed, work),
        None => Err(Failure::new("The image is not packed in a way that we know.")),
    }
}

fn only_file(
    packed: BufReader<File>,
    work: &mut dyn FnMut(&mut dyn Read) -> std::result::Result<(), Failure>,
) -> std::result::Result<(), Failure> {
    let mut archive = ZipArchive::new(packed).map_err(|e| damaged(&e))?;
    let files: Vec<usize> = (0..archive.len())
        .filter(|index| archive.name_for_index(*index).is_some_and(|name| !name.ends_with('/')))
        .collect();
    match files[..] {
        [] => Err(Failure::new("The archive has nothing in it.")),
        [only] => work(&mut archive.by_index(only).map_err(|e| damaged(&e))?),
        [..] => Err(Failure::new(format!(
            "The archive has {} files in it, and a machine is one: unpack it yourself, and put the right one in place.",
            files.len()
        ))),
    }
}

/// The frames of Zstandard one after the other, each checked against its checksum.
struct Frames<R: BufRead> {
    packed: R,
    frame: Option<FrameDecoder>,
}

impl<R: BufRead> Frames<R> {
    /// The next frame, if there is one.
    fn begin(&mut self) -> Result<Option<FrameDecoder>> {
        while !self.packed.fill_buf()?.is_empty() {
            let mut frame = FrameDecoder::new();
            match frame.init(&mut self.packed) {
                Ok(()) => return Ok(Some(frame)),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    std::io::copy(&mut (&mut self.packed).take(length.into()), &mut std::io::sink())?;
                }
                Err(e) => return Err(Error::other(e)),
            }
        }
        Ok(None)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let begun = if let Some(frame) = self.frame.take() { Some(frame) } else { self.begin()? };
            let Some(mut frame) = begun else { return Ok(0) };
            if frame.can_collect() < buffer.len() && !frame.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBytes(buffer.len());
                frame.decode_blocks(&mut self.packed, strategy).map_err(Error::other)?;
            }
            let length = frame.read(buffer)?;
            if length > 0 || !frame.is_finished() {
                self.frame = Some(frame);
            } else {
                checked(&frame)?;
            }
            if length > 0 {
                return Ok(length);
            }
        }
    }
}

fn checked(frame: &FrameDecoder) -> Result<()> {
    match frame.get_checksum_from_data() {
        Some(sum) if Some(sum) != frame.get_calculated_checksum() => Err(Error::other("its checksum is wrong")),
        _ => Ok(()),
    }
}
