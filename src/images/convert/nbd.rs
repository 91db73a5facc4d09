//! A file as a read-only network block device on a Unix socket: so qemu-img reads an open file of somebody
//! else's, which it could not open itself, and no path is handed on.
//!
//! As much of the NBD protocol (its project's doc/proto.md) as QEMU's client takes: the fixed newstyle
//! handshake with `NBD_OPT_GO`, structured replies, reads, and where the file has holes.

use rustix::fs::{SeekFrom, seek};
use std::fs::File;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

const MAGIC: u64 = 0x4e42_444d_4147_4943;
const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const STRUCTURED_MAGIC: u32 = 0x668e_33ef;

/// Fixed newstyle, no padding.
const HANDSHAKE: u16 = 1 | 2;
const OPTION_ABORT: u32 = 2;
const OPTION_GO: u32 = 7;
const OPTION_STRUCTURED: u32 = 8;
const OPTION_CONTEXT: u32 = 10;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_CONTEXT: u32 = 4;
const REPLY_UNSUPPORTED: u32 = 0x8000_0001;
/// Has flags, read-only, good for several connections.
const EXPORT: u16 = 1 | 2 | 1 << 8;
const READ: u16 = 0;
const DISCONNECT: u16 = 2;
const STATUS: u16 = 7;
/// The last chunk of an answer; every answer of ours is one chunk.
const DONE: u16 = 1;
const CHUNK_DATA: u16 = 1;
const CHUNK_STATUS: u16 = 5;
const CHUNK_ERROR: u16 = 1 << 15 | 1;
/// The only thing that is told of an area: data, or a hole that reads as zeros.
const ALLOCATION: &[u8] = b"base:allocation";
const CONTEXT_ID: u32 = 1;
const HOLE: u32 = 1 | 2;
const EINVAL: u32 = 22;
const EIO: u32 = 5;
/// QEMU asks for no more at once.
const LONGEST: u32 = 32 << 20;
/// No option of the handshake is longer.
const OPTION_MAX: u32 = 64 << 10;

/// Serves the file to whoever connects, on threads that end with the process.
pub(super) fn serve(listener: UnixListener, file: File, size: u64) {
    let file = Arc::new(file);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let file = Arc::clone(&file);
            // A client that goes away, or talks nonsense, has what it asked for.
            std::thread::spawn(move || talk(stream, &file, size));
        }
    });
}

fn talk(mut stream: UnixStream, file: &File, size: u64) -> io::Result<()> {
    stream.write_all(&[MAGIC.to_be_bytes(), OPTION_MAGIC.to_be_bytes()].concat())?;
    stream.write_all(&HANDSHAKE.to_be_bytes())?;
    take::<4>(&mut stream)?;
    while !option(&mut stream, size)? {}
    let mut buffer = Vec::new();
    while request(&mut stream, file, size, &mut buffer)? {}
    Ok(())
}

fn take<const N: usize>(stream: &mut UnixStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Answers one option of the handshake; `true` once the client wants to begin.
fn option(stream: &mut UnixStream, size: u64) -> io::Result<bool> {
    take::<8>(stream)?;
    let option = u32::from_be_bytes(take(stream)?);
    let length = u32::from_be_bytes(take(stream)?);
    if length > OPTION_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut data = vec![0; length as usize];
    stream.read_exact(&mut data)?;
    match option {
        OPTION_STRUCTURED => reply(stream, option, REPLY_ACK, &[]).map(|()| false),
        OPTION_CONTEXT if data.windows(ALLOCATION.len()).any(|part| part == ALLOCATION) => {
            reply(stream, option, REPLY_CONTEXT, &[&CONTEXT_ID.to_be_bytes(), ALLOCATION].concat())?;
            reply(stream, option, REPLY_ACK, &[]).map(|()| false)
        }
        OPTION_GO => {
            // What there is to know of the export: its size and flags.
            let mut info = vec![0, 0];
            info.extend(size.to_be_bytes());
            info.extend(EXPORT.to_be_bytes());
            reply(stream, option, REPLY_INFO, &info)?;
            reply(stream, option, REPLY_ACK, &[])?;
            Ok(true)
        }
        OPTION_ABORT => Err(ErrorKind::ConnectionAborted.into()),
        _ => reply(stream, option, REPLY_UNSUPPORTED, &[]).map(|()| false),
    }
}

fn reply(stream: &mut UnixStream, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut bytes = REPLY_MAGIC.to_be_bytes().to_vec();
    bytes.extend(option.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(data);
    stream.write_all(&bytes)
}

/// Answers one request; `false` when the client takes its leave.
fn request(stream: &mut UnixStream, file: &File, size: u64, buffer: &mut Vec<u8>) -> io::Result<bool> {
    if u32::from_be_bytes(take(stream)?) != REQUEST_MAGIC {
        return Err(Error::from(ErrorKind::InvalidData));
    }
    take::<2>(stream)?;
    let kind = u16::from_be_bytes(take(stream)?);
    let cookie: [u8; 8] = take(stream)?;
    let offset = u64::from_be_bytes(take(stream)?);
    let length = u32::from_be_bytes(take(stream)?);
    let inside = offset.checked_add(length.into()).is_some_and(|end| end <= size);
    let answer = match kind {
        DISCONNECT => return Ok(false),
        READ if inside && length <= LONGEST => read(file, offset, length, buffer),
        STATUS if inside => status(file, offset, length, buffer),
        _ => Err(EINVAL),
    };
    let kind = answer.unwrap_or_else(|error| {
        buffer.clear();
        // An error, and no words about it.
        buffer.extend([&error.to_be_bytes()[..], &[0, 0]].concat());
        CHUNK_ERROR
    });
    let head = [&STRUCTURED_MAGIC.to_be_bytes()[..], &DONE.to_be_bytes(), &kind.to_be_bytes(), &cookie];
    stream.write_all(&head.concat())?;
    stream.write_all(&(buffer.len() as u32).to_be_bytes())?;
    stream.write_all(buffer)?;
    Ok(true)
}

/// Where it stands, and the bytes.
fn read(file: &File, offset: u64, length: u32, buffer: &mut Vec<u8>) -> Result<u16, u32> {
    buffer.clear();
    buffer.extend(offset.to_be_bytes());
    buffer.resize(8 + length as usize, 0);
    file.read_exact_at(&mut buffer[8..], offset).map_err(|_| EIO)?;
    Ok(CHUNK_DATA)
}

/// How far from there on there is data, or none.
fn status(file: &File, offset: u64, length: u32, buffer: &mut Vec<u8>) -> Result<u16, u32> {
    let (hole, to) = match seek(file, SeekFrom::Data(offset)) {
        Ok(data) if data > offset => (true, data),
        Ok(_) => (false, seek(file, SeekFrom::Hole(offset)).unwrap_or(u64::MAX)),
        // No data to the end of the file.
        Err(rustix::io::Errno::NXIO) => (true, u64::MAX),
        // Whoever does not know has data everywhere.
        Err(_) => (false, u64::MAX),
    };
    let told = u32::try_from(to - offset).unwrap_or(u32::MAX).clamp(1, length.max(1));
    buffer.clear();
    for number in [CONTEXT_ID, told, if hole { HOLE } else { 0 }] {
        buffer.extend(number.to_be_bytes());
    }
    Ok(CHUNK_STATUS)
}
