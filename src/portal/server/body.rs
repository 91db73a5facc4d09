//! The body of a request as its bytes arrive: how it is framed, and where it ends.

use crate::portal::refusal::Refusal;
use zeroize::Zeroizing;

/// The largest body that is read.
pub const BODY_LIMIT: usize = 64 << 10;
/// The longest line between chunks. A client chooses how long its extensions and trailers are.
const LINE_LIMIT: usize = 256;

/// How the head of a request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A number of bytes, not zero.
    Length(u64),
    /// Chunks, each with its length.
    Chunked,
}

impl Framing {
    /// The number of bytes to expect, at most [`BODY_LIMIT`]; a longer body is refused by its head.
    pub fn expected(self) -> Result<usize, Refusal> {
        match self {
            Self::Chunked => Ok(BODY_LIMIT),
            Self::Length(length) => {
                usize::try_from(length).ok().filter(|length| *length <= BODY_LIMIT).ok_or_else(Refusal::too_large)
            }
        }
    }
}

/// Collects a body.
#[derive(Debug)]
pub struct BodyReader {
    bytes: Zeroizing<Vec<u8>>,
    left: Left,
}

#[derive(Debug)]
enum Left {
    Bytes(usize),
    Chunks(ChunkDecoder),
}

impl BodyReader {
    /// A reader for a body of this framing.
    pub fn new(framing: Framing) -> Result<Self, Refusal> {
        let expected = framing.expected()?;
        let left = match framing {
            Framing::Length(_) => Left::Bytes(expected),
            Framing::Chunked => Left::Chunks(ChunkDecoder::default()),
        };
        // With room for all of it: a buffer that grows moves, and leaves copies of passwords behind.
        Ok(Self { bytes: Zeroizing::new(Vec::with_capacity(expected)), left })
    }

    /// Take bytes from the client. True once the body is whole; what follows it is ignored.
    pub fn feed(&mut self, input: &[u8]) -> Result<bool, Refusal> {
        match &mut self.left {
            Left::Bytes(left) => {
                let taken = input.len().min(*left);
                self.bytes.extend_from_slice(&input[..taken]);
                *left -= taken;
                Ok(*left == 0)
            }
            Left::Chunks(decoder) => decoder.feed(input, &mut self.bytes),
        }
    }

    /// The body.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.bytes
    }
}

/// Undoes "Transfer-Encoding: chunked".
#[derive(Debug, Default)]
struct ChunkDecoder {
    line: Vec<u8>,
    next: Next,
    /// Bytes in lines so far: they count against a limit too.
    overhead: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Size,
    Data(usize),
    DataEnd,
    Trailer,
    Nothing,
}

impl ChunkDecoder {
    fn feed(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> Result<bool, Refusal> {
        while !input.is_empty() && self.next != Next::Nothing {
            input = match self.next {
                Next::Data(left) => self.copy(left, input, output),
                _ => self.read_line(input, output.len())?,
            };
        }
        Ok(self.next == Next::Nothing)
    }

    fn copy<'a>(&mut self, left: usize, input: &'a [u8], output: &mut Vec<u8>) -> &'a [u8] {
        let (taken, rest) = input.split_at(input.len().min(left));
        output.extend_from_slice(taken);
        self.next = if taken.len() == left { Next::DataEnd } else { Next::Data(left - taken.len()) };
        rest
    }

    fn read_line<'a>(&mut self, input: &'a [u8], have: usize) -> Result<&'a [u8], Refusal> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let (taken, rest) = input.split_at(end.map_or(input.len(), |at| at + 1));
        self.line.extend_from_slice(taken);
        self.overhead += taken.len();
        if self.line.len() > LINE_LIMIT || self.overhead > BODY_LIMIT {
            return Err(malformed());
        }
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.next = self.after(line.strip_suffix(b"\r\n").ok_or_else(malformed)?, have)?;
        }
        Ok(rest)
    }

    fn after(&self, line: &[u8], have: usize) -> Result<Next, Refusal> {
        match self.next {
            Next::Size => match chunk_size(line)? {
                0 => Ok(Next::Trailer),
                size if size > BODY_LIMIT - have => Err(Refusal::too_large()),
                size => Ok(Next::Data(size)),
            },
            Next::DataEnd if line.is_empty() => Ok(Next::Size),
            Next::DataEnd => Err(malformed()),
            _ if line.is_empty() => Ok(Next::Nothing),
            _ => Ok(Next::Trailer),
        }
    }
}

/// The hexadecimal number before any extension.
fn chunk_size(line: &[u8]) -> Result<usize, Refusal> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| valid).ok_or_else(malformed)?;
    // More digits than a number has: larger than any limit.
    usize::from_str_radix(text, 16).map_err(|_| Refusal::too_large())
}

fn malformed() -> Refusal {
    Refusal::bad_request("The chunks of the request's body are malformed.")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of chunked bytes that arrive in pieces of a size.
    fn decoded(input: &[u8], piece: usize) -> Result<Option<Vec<u8>>, u16> {
        let mut reader = BodyReader::new(Framing::Chunked).unwrap();
        for part in input.chunks(piece) {
            if reader.feed(part).map_err(|refusal| refusal.status)? {
                return Ok(Some(reader.into_bytes().to_vec()));
            }
        }
        Ok(None)
    }

    #[test]
    fn chunks_are_joined_however_they_arrive() {
        let input = b"3\r\nabc\r\n0A;name=\"x\"\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nPOST / HTTP/1.1\r\n";
        for piece in [1, 2, 3, 7, input.len()] {
            assert_eq!(decoded(input, piece).unwrap().unwrap(), b"abc0123456789", "{piece}");
            assert_eq!(decoded(&input[..input.len() - 20], piece), Ok(None), "{piece}");
        }
    }

    #[test]
    fn malformed_and_endless_chunks_are_refused() {
        let long = [b"1;".as_slice(), &[b'x'; 300]].concat();
        let odd: [&[u8]; 8] = [b"\r\n", b"x\r\n", b"+1\r\n", b"0x1\r\n", b"-1\r\n", b"1\na", b"1\r\nab\r\n", &long];
        for input in odd {
            assert_eq!(decoded(input, 1), Err(400), "{}", String::from_utf8_lossy(input));
        }
        for input in ["10001\r\n", "ffffffffffffffff\r\n", "fffffffffffffffffffffff\r\n"] {
            assert_eq!(decoded(input.as_bytes(), 64), Err(413), "{input}");
        }
        let whole = [b"ffff\r\n".as_slice(), &[b'x'; 0xffff], b"\r\n"].concat();
        assert_eq!(decoded(&[&whole, b"1\r\nx\r\n0\r\n\r\n".as_slice()].concat(), 8192).unwrap().unwrap().len(), 65536);
        assert_eq!(decoded(&[&whole, b"2\r\n".as_slice()].concat(), 8192), Err(413));
        // A body of nothing but lines.
        assert_eq!(decoded(&b"1\r\nx\r\n".repeat(20_000), 8192), Err(400));
        assert_eq!(decoded(&[b"0\r\n".as_slice(), &b"a: b\r\n".repeat(20_000)].concat(), 8192), Err(400));
    }

    #[test]
    fn a_length_is_exact_and_limited() {
        let mut reader = BodyReader::new(Framing::Length(3)).unwrap();
        assert!(!reader.feed(b"ab").unwrap());
        assert!(reader.feed(b"cd").unwrap());
        assert_eq!(reader.into_bytes().as_slice(), b"abc");
        assert!(BodyReader::new(Framing::Length(65536)).is_ok());
        for length in [65537, u64::MAX] {
            assert_eq!(BodyReader::new(Framing::Length(length)).unwrap_err().status, 413);
        }
    }
}
