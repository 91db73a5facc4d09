//! A picture made small, for the monitor's page.

use super::{POINT, encoded, header, unusable};
use crate::model::Problem;
use std::io::{BufReader, Read};

/// Neither side of the small picture is longer.
const SIDE: usize = 320;

/// The small picture as PNG.
pub fn thumbnail(ppm: impl Read) -> Result<Vec<u8>, Problem> {
    let mut ppm = BufReader::with_capacity(64 << 10, ppm);
    let (width, height) = header(&mut ppm).ok_or_else(unusable)?;
    // Whole squares of points become one, so nothing is blurred across their borders.
    let square = width.div_ceil(SIDE).max(height.div_ceil(SIDE));
    let (columns, rows) = (square.min(width), square.min(height));
    let (small_width, small_height) = (width / columns, height / rows);
    let mut points = Vec::with_capacity(small_width * small_height * POINT);
    let mut line = vec![0; width * POINT];
    for _ in 0..small_height {
        let mut sums = vec![0_u32; small_width * POINT];
        for _ in 0..rows {
            ppm.read_exact(&mut line).map_err(|_| unusable())?;
            add(&mut sums, &line, columns);
        }
        let count = (columns * rows) as u32;
        points.extend(sums.iter().map(|sum| (sum / count) as u8));
    }
    encoded(small_width as u32, small_height as u32, &points)
}

fn add(sums: &mut [u32], line: &[u8], columns: usize) {
    for (sum, square) in sums.chunks_exact_mut(POINT).zip(line.chunks_exact(columns * POINT)) {
        for point in square.chunks_exact(POINT) {
            for (sum, colour) in sum.iter_mut().zip(point) {
                *sum += u32::from(*colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ppm(width: usize, height: usize, point: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
        let mut file = format!("P6\n{width} {height}\n255\n").into_bytes();
        for y in 0..height {
            file.extend((0..width).flat_map(|x| point(x, y)));
        }
        file
    }

    fn decoded(png: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut points = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut points).unwrap();
        (info.width, info.height, points)
    }

    #[test]
    fn a_screen_becomes_small_and_keeps_its_colours() {
        // Black, but for a white right half and one red point in each square on the left.
        let screen = ppm(1280, 720, |x, y| match (x, y) {
            (640.., _) => [255; 3],
            (x, y) if x % 4 == 0 && y % 4 == 0 => [160, 0, 0],
            _ => [0; 3],
        });
        let (width, height, points) = decoded(&thumbnail(&screen[..]).unwrap());
        assert_eq!((width, height), (320, 180));
        assert_eq!((&points[..3], &points[points.len() - 3..]), (&[10, 0, 0][..], &[255; 3][..]));
    }

    #[test]
    fn no_side_is_longer_than_it_may_be() {
        for (width, height, small) in [
            (320, 200, (320, 200)),
            (321, 200, (160, 100)),
            (720, 400, (240, 133)),
            (200, 4000, (15, 307)),
            (8192, 1, (315, 1)),
            (1, 8192, (1, 315)),
            (1, 1, (1, 1)),
        ] {
            let (w, h, _) = decoded(&thumbnail(&ppm(width, height, |_, _| [9; 3])[..]).unwrap());
            assert_eq!((w, h), small, "{width}x{height}");
            assert!(w <= 320 && h <= 320);
        }
    }

    #[test]
    fn what_is_no_picture_of_qemu_is_refused() {
        let whole = ppm(8, 8, |_, _| [1; 3]);
        assert!(thumbnail(&whole[..]).is_ok());
        assert!(thumbnail(&whole[..whole.len() - 1]).is_err());
        for file in [
            "",
            "P6",
            "P3\n8 8\n255\n",
            "P6\n0 8\n255\n",
            "P6\n8193 1\n255\n",
            "P6\n99999999999999999999 1\n255\n",
            "P6\n4294967297 1\n255\n",
            "P6\n-1 8\n255\n",
            "P6\n8 8\n65535\n",
            "P6\n# a comment\n8 8\n255\n",
            "\u{89}PNG\r\n\u{1a}\n",
        ] {
            let mut bytes = file.as_bytes().to_vec();
            bytes.extend([0; 1000]);
            assert!(thumbnail(&bytes[..]).is_err(), "{file:?}");
        }
    }
}
