//! Whether a guest shows anything: pure.

use super::firmware::{self, Line};
use super::{POINT, Picture};

/// QEMU writes its own line, such as "Guest has not initialized the display (yet).", in letters of 16
/// points in the middle of a black surface of this size.
const OWN_SIZE: (usize, usize) = (640, 480);
const OWN_LINES: std::ops::Range<usize> = 224..240;
/// A screen on which no more points than these differ from the rest is blank: a cursor may blink there.
const CURSOR: usize = 64;

/// What is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A line of QEMU's own: the guest has no screen.
    Placeholder,
    /// One colour, or nothing but a cursor.
    Blank,
    /// Firmware or a boot loader, which has got as far as this line and goes on.
    Loading(&'static str),
    /// Firmware or a boot loader, which has found nothing to boot, and says so by this line.
    Unbootable(&'static str),
    /// Something in the middle of a screen of one colour, as while a guest starts.
    Splash,
    /// Something of the guest's.
    Something,
}

impl Seen {
    pub(super) fn on(picture: &Picture) -> Self {
        let width = picture.width * POINT;
        let first = &picture.points[..POINT];
        let mut others = 0;
        // The first point is in a corner, where the background is.
        let mut outside = first != [0; POINT];
        let mut aside = false;
        for (y, line) in picture.points.chunks_exact(width).enumerate() {
            let different = line.chunks_exact(POINT).filter(|point| *point != first).count();
            others += different;
            outside |= different > 0 && !OWN_LINES.contains(&y);
            let side = width / POINT / 4 * POINT;
            aside |= [&line[..side], &line[width - side..]]
                .iter()
                .any(|part| part.chunks_exact(POINT).any(|point| point != first));
        }
        match others {
            0..=CURSOR => Self::Blank,
            _ if picture.size() == OWN_SIZE && !outside => Self::Placeholder,
            _ if !aside => Self::Splash,
            _ => match firmware::line(picture) {
                Some(Line::Last(line)) => Self::Unbootable(line),
                Some(Line::Passing(line)) => Self::Loading(line),
                None => Self::Something,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen((width, height): (usize, usize), lit: impl Fn(usize, usize) -> bool) -> Seen {
        let point = |at: usize| if lit(at % width, at / width) { [255; 3] } else { [0; 3] };
        Picture { width, height, points: (0..width * height).flat_map(point).collect() }.seen()
    }

    #[test]
    fn one_colour_and_a_cursor_are_blank() {
        assert_eq!(screen((320, 200), |_, _| false), Seen::Blank);
        assert_eq!(screen((320, 200), |_, _| true), Seen::Blank);
        assert_eq!(screen((720, 400), |x, y| x < 9 && (13..15).contains(&y)), Seen::Blank);
        assert_eq!(screen((720, 400), |x, y| x < 90 && (13..15).contains(&y)), Seen::Something);
    }

    #[test]
    fn what_stands_in_the_middle_of_nothing_is_a_splash() {
        let logo = |x: usize, y: usize| (540..740).contains(&x) && (370..430).contains(&y);
        assert_eq!(screen((1280, 800), logo), Seen::Splash);
        assert_eq!(screen((1280, 800), |x, y| logo(x, y) || y < 20), Seen::Something);
    }

    #[test]
    fn a_line_of_qemus_own_is_not_the_guests() {
        let line = |x: usize, y: usize| (148..492).contains(&x) && (226..236).contains(&y) && x % 3 == 0;
        assert_eq!(screen((640, 480), line), Seen::Placeholder);
        assert_eq!(screen((800, 600), line), Seen::Something);
        assert_eq!(screen((640, 480), |x, y| line(x, y) || y == 300), Seen::Something);
        assert_eq!(screen((640, 480), |x, y| !line(x, y)), Seen::Something);
    }
}
