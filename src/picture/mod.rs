//! A screen's picture: PPM from QEMU in, PNG for browsers and files out, and what is to be seen on it.
//!
//! A guest decides what is on its screen, and one that broke out of its QEMU what the whole file is: it
//! is read once, a line at a time, into memory that is bounded.

mod firmware;
mod seen;
mod small;

pub use seen::Seen;
pub use small::thumbnail;

use crate::model::Problem;
use png::{BitDepth, ColorType, Compression, Encoder};
use std::io::{BufReader, Read};

/// No side is longer.
const SIDE_MAX: usize = 8192;
/// No picture has more points: 5120 by 4096.
const POINTS_MAX: usize = 5120 * 4096;
/// What changes no more than one point in so many is small.
const SMALL: usize = 200;
/// Bytes of a point: red, green, blue.
const POINT: usize = 3;

/// A whole picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    points: Vec<u8>,
}

impl Picture {
    /// Reads what QEMU wrote.
    pub fn read(ppm: impl Read) -> Result<Self, Problem> {
        let mut ppm = BufReader::new(ppm);
        let (width, height) = header(&mut ppm).filter(|(w, h)| w * h <= POINTS_MAX).ok_or_else(unusable)?;
        let mut points = vec![0; width * height * POINT];
        ppm.read_exact(&mut points).map_err(|_| unusable())?;
        Ok(Self { width, height, points })
    }

    /// Its width and height in points.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Whether the other shows the same, but for what is as small as a clock or a cursor.
    pub fn is_like(&self, other: &Self) -> bool {
        let pairs = self.points.chunks_exact(POINT).zip(other.points.chunks_exact(POINT));
        let different = pairs.filter(|(a, b)| a != b).count();
        self.size() == other.size() && different * SMALL <= self.width * self.height
    }

    /// What is on it.
    pub fn seen(&self) -> Seen {
        Seen::on(self)
    }

    /// The same as PNG.
    pub fn png(&self) -> Result<Vec<u8>, Problem> {
        encoded(self.width as u32, self.height as u32, &self.points)
    }
}

fn unusable() -> Problem {
    Problem::failed("The session's QEMU gave no usable picture.")
}

/// `P6 WIDTH HEIGHT 255` and one blank, as QEMU writes it; anything else is none.
fn header(ppm: &mut impl Read) -> Option<(usize, usize)> {
    (word(ppm)? == "P6").then_some(())?;
    let mut side = || word(ppm)?.parse().ok().filter(|side| (1..=SIDE_MAX).contains(side));
    let sides = (side()?, side()?);
    (word(ppm)? == "255").then_some(sides)
}

/// A short word, and the one blank behind it.
fn word(ppm: &mut impl Read) -> Option<String> {
    let mut word = String::new();
    loop {
        let mut byte = [0];
        ppm.read_exact(&mut byte).ok()?;
        match byte[0] {
            b' ' | b'\n' => return Some(word),
            digit if digit.is_ascii_alphanumeric() && word.len() < 5 => word.push(digit.into()),
            _ => return None,
        }
    }
}

fn encoded(width: u32, height: u32, points: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    let mut write = || {
        let mut encoder = Encoder::new(&mut out, width, height);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::Fast);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(points)?;
        writer.finish()
    };
    write().map_err(|e: png::EncodingError| Problem::failed(format!("A picture could not be written as PNG: {e}.")))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, lit: usize) -> Picture {
        let mut points = vec![0; width * height * POINT];
        points[..lit * POINT].fill(9);
        Picture::read(&[format!("P6\n{width} {height}\n255\n").as_bytes(), &points].concat()[..]).unwrap()
    }

    #[test]
    fn a_clock_makes_no_other_picture_and_a_window_does() {
        let empty = picture(100, 80, 0);
        assert!(empty.is_like(&picture(100, 80, 0)) && empty.is_like(&picture(100, 80, 40)));
        assert!(!empty.is_like(&picture(100, 80, 41)) && !empty.is_like(&picture(80, 100, 0)));
    }

    #[test]
    fn what_is_too_large_is_not_even_read() {
        assert!(Picture::read(&b"P6\n8192 8192\n255\n"[..]).is_err());
        assert!(Picture::read(&b"P6\n2 1\n255\n12345"[..]).is_err());
    }

    #[test]
    fn a_png_has_the_same_points() {
        let before = picture(7, 3, 2);
        let png = before.png().unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut points = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut points).unwrap();
        assert_eq!(points, before.points);
    }
}
