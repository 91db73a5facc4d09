//! Lines that firmware and boot loaders leave on a screen: pure.
//!
//! Letters are told apart and not read: where a phrase has the same letter twice, the screen must show the same
//! shape twice, another shape for every other letter, and nothing for a blank. So no font is needed, and that of
//! every firmware will do. What is shorter than a few words could be anything, and needs a line above it.

use super::{POINT, Picture};

/// What stands at the end of a screen that has got no further than its firmware or its boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing comes after it by itself.
    Last(&'static str),
    /// What it tells of takes a while.
    Passing(&'static str),
}

/// A line that comes last, and how one above it begins where it is too short to be known without. An asterisk
/// stands for whatever may follow.
const LAST: [(&str, &str); 10] = [
    // SeaBIOS.
    ("", "No bootable device."),
    // OVMF and its like: their own menu, and their own shell.
    ("", "BdsDxe: No bootable option or device was found."),
    ("", "BdsDxe: Press any key to enter the Boot Manager Menu."),
    ("UEFI Interactive Shell v*", "Shell>"),
    // GRUB without its modules, and without its configuration.
    ("", "grub rescue>"),
    ("   Minimal BASH-like line editing is supported*", "grub>"),
    // Boot sectors, of Windows, syslinux and mkfs.fat.
    ("", "Press Ctrl+Alt+Del to restart"),
    ("", "Missing operating system"),
    ("", "Error loading operating system"),
    ("This is not a bootable disk.*", "press any key to try again ..."),
];

/// Lines after which something else comes, sooner or later.
const PASSING: [&str; 24] = [
    // SeaBIOS and its network boot.
    "SeaBIOS (version *",
    "Machine UUID *",
    "Booting from Hard Disk...",
    "Booting from DVD/CD...",
    "Booting from Floppy...",
    "Booting from ROM...",
    "Boot failed: not a bootable disk",
    "Boot failed: could not read the boot disk",
    "Boot failed: Could not read from CDROM*",
    "iPXE initialising devices...*",
    "Configuring (net0 *",
    "Nothing to boot: No such file or directory*",
    "No more network devices",
    // OVMF and its like.
    "BdsDxe: loading Boot*",
    "BdsDxe: starting Boot*",
    "BdsDxe: failed to load Boot*",
    "BdsDxe: failed to start Boot*",
    ">>Start PXE over IPv*",
    ">>Start HTTP Boot over IPv*",
    "Press ESC in *",
    // GRUB, and the CDs of Windows.
    "Welcome to GRUB!",
    "Loading Linux *",
    "Loading initial ramdisk ...",
    "Press any key to boot from CD or DVD*",
];

/// Letters of EDK II, which draws them itself.
const EDK: (usize, usize) = (8, 19);
/// No letter is higher.
const HIGHEST: usize = 19;

/// The shape of a letter: a bit for each point that differs from what is behind it.
type Shape = [u16; HIGHEST];
const BLANK: Shape = [0; HIGHEST];

/// Where the letters stand.
struct Grid {
    letter: (usize, usize),
    at: (usize, usize),
    columns: usize,
    rows: usize,
    /// A logo may stand in the middle.
    drawn: bool,
}

/// The line at the end, if it is one of those that are known.
pub(super) fn line(picture: &Picture) -> Option<Line> {
    grids(picture.size()).iter().find_map(|grid| known(&lines(picture, grid)))
}

/// Text modes have letters of one size all over, and so has the console of Linux, which begins with what the
/// text mode showed; EDK II centers an area of certain sizes.
fn grids((width, height): (usize, usize)) -> Vec<Grid> {
    let text = |letter: (usize, usize)| {
        let (columns, rows) = (width / letter.0, height / letter.1);
        Grid { letter, at: (0, 0), columns, rows, drawn: false }
    };
    if (width, height) == (720, 400) {
        return vec![text((9, 16))];
    }
    let areas = [(width / EDK.0, height / EDK.1), (80, 25), (80, 50), (100, 31)];
    let fits = |(columns, rows): &(usize, usize)| columns * EDK.0 <= width && rows * EDK.1 <= height;
    let grid = |(columns, rows): (usize, usize)| {
        let at = ((width - columns * EDK.0) / 2, (height - rows * EDK.1) / 2);
        Grid { letter: EDK, at, columns, rows, drawn: true }
    };
    std::iter::once(text((8, 16))).chain(areas.into_iter().filter(fits).map(grid)).collect()
}

/// The lines on the screen, where one that fills its row goes on in the next. What is empty, but for a cursor, is
/// none, and neither is a logo.
fn lines(picture: &Picture, grid: &Grid) -> Vec<Vec<Shape>> {
    let mut lines: Vec<Vec<Shape>> = Vec::new();
    let mut goes_on = false;
    for row in 0..grid.rows {
        let shapes: Vec<Shape> = (0..grid.columns).map(|column| shape(picture, grid, column, row)).collect();
        let lit = shapes.iter().filter(|shape| **shape != BLANK).count();
        let first = shapes.iter().position(|shape| *shape != BLANK).unwrap_or(0);
        if !goes_on && (lit <= 1 || grid.drawn && first > grid.columns / 4) {
            continue;
        }
        let full = shapes.last().is_some_and(|shape| *shape != BLANK);
        match lines.last_mut().filter(|_| goes_on) {
            Some(line) => line.extend(shapes),
            None => lines.push(shapes),
        }
        goes_on = full;
    }
    lines
}

fn shape(picture: &Picture, grid: &Grid, column: usize, row: usize) -> Shape {
    let mut shape = BLANK;
    let left = grid.at.0 + column * grid.letter.0;
    // The first point is in a corner, where the background is.
    let background = &picture.points[..POINT];
    for (y, bits) in shape.iter_mut().enumerate().take(grid.letter.1) {
        let start = ((grid.at.1 + row * grid.letter.1 + y) * picture.width + left) * POINT;
        let points = picture.points[start..].chunks_exact(POINT).take(grid.letter.0);
        *bits = points.fold(0, |bits, point| bits << 1 | u16::from(point != background));
    }
    upright(shape, grid.letter)
}

/// Dark on light is the same letter: none fills more than half of its place.
fn upright(shape: Shape, (width, height): (usize, usize)) -> Shape {
    let lit: u32 = shape.iter().map(|bits| bits.count_ones()).sum();
    if lit as usize * 2 <= width * height {
        return shape;
    }
    let row = (1 << width) - 1;
    std::array::from_fn(|y| if y < height { shape[y] ^ row } else { 0 })
}

fn known(lines: &[Vec<Shape>]) -> Option<Line> {
    let (end, above) = lines.split_last()?;
    let stands = |phrase: &str| phrase.is_empty() || above.iter().any(|line| says(line, phrase));
    let last = LAST.iter().find(|(before, phrase)| says(end, phrase) && stands(before));
    let passing = || PASSING.iter().find(|phrase| says(end, phrase)).map(|phrase| Line::Passing(told(phrase)));
    last.map(|(_, phrase)| Line::Last(phrase)).or_else(passing)
}

/// As much of a phrase as is told to people.
fn told(phrase: &'static str) -> &'static str {
    phrase.split('*').next().unwrap_or(phrase).trim_end()
}

/// Whether the line could be that phrase. Behind a whole one there is nothing but a cursor, or a stop.
fn says(line: &[Shape], phrase: &str) -> bool {
    let mut parts = phrase.splitn(2, '*');
    let text: Vec<char> = parts.next().unwrap_or_default().chars().collect();
    let whole = parts.next().is_none();
    let Some((start, rest)) = line.split_at_checked(text.len()) else { return false };
    let letters: Vec<(char, &Shape)> = text.into_iter().zip(start).collect();
    let alike = |(i, (a, x)): (usize, &(char, &Shape))| letters[..i].iter().all(|(b, y)| (a == b) == (x == y));
    letters.iter().all(|(letter, shape)| (*letter == ' ') == (**shape == BLANK))
        && letters.iter().enumerate().all(alike)
        && (!whole || rest.iter().filter(|shape| **shape != BLANK).count() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen with those lines, in a font of its own: of each letter its number, in the lower rows.
    fn screen((width, height): (usize, usize), grid: &Grid, written: &[(usize, &str)]) -> Picture {
        let mut points = vec![0; width * height * POINT];
        for (row, text) in written {
            for (column, letter) in text.chars().enumerate().filter(|(_, letter)| *letter != ' ') {
                for bit in (0..7).filter(|bit| letter as usize >> bit & 1 == 1) {
                    let y = grid.at.1 + row * grid.letter.1 + 3;
                    let at = y * width + grid.at.0 + column * grid.letter.0 + bit;
                    points[at * POINT..][..POINT].fill(170);
                }
            }
        }
        Picture { width, height, points }
    }

    const TEXT: (usize, usize) = (720, 400);

    fn found(written: &[(usize, &str)]) -> Option<Line> {
        line(&screen(TEXT, &grids(TEXT)[0], written))
    }

    #[test]
    fn the_line_at_the_end_decides() {
        let begin = (0, "SeaBIOS (version 1.16.2-debian-1.16.2-1)");
        let disk = (1, "Booting from Hard Disk...");
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[begin, disk]), Some(Line::Passing("Booting from Hard Disk...")));
        assert_eq!(found(&[begin]), Some(Line::Passing("SeaBIOS (version")));
        let lost = (7, "No bootable device.");
        assert_eq!(found(&[begin, disk, lost, (8, "_")]), Some(Line::Last("No bootable device.")));
        assert_eq!(found(&[begin, disk, lost, (24, "guest login: _")]), None);
        assert_eq!(found(&[disk, (3, "Starting the guest's own program")]), None);
    }

    #[test]
    fn letters_are_told_apart() {
        for other in ["No bootable devicee.", "No bootable device. Well?", "Na bootable device.", "  bootable device."]
        {
            assert_eq!(found(&[(0, other)]), None, "{other}");
        }
        assert_eq!(found(&[(0, "grub rescue> _")]), Some(Line::Last("grub rescue>")));
        assert_eq!(found(&[(0, "Welcome to GRUB!")]), Some(Line::Passing("Welcome to GRUB!")));
    }

    #[test]
    fn dark_letters_on_light_are_the_same() {
        let grid = &grids(TEXT)[0];
        let mut picture = screen(TEXT, grid, &[(0, "SeaBIOS (version 1"), (1, "Welcome to GRUB!")]);
        let row = grid.letter.1;
        for point in (row..2 * row).flat_map(|y| (0..16 * grid.letter.0).map(move |x| y * TEXT.0 + x)) {
            picture.points[point * POINT..][..POINT].iter_mut().for_each(|part| *part ^= 170);
        }
        assert_eq!(line(&picture), Some(Line::Passing("Welcome to GRUB!")));
    }

    #[test]
    fn what_is_short_needs_a_line_above() {
        assert_eq!(found(&[(0, "Hello.")]), None);
        assert_eq!(found(&[(0, "Shell>")]), None);
        let banner = (0, "UEFI Interactive Shell v2.2");
        assert_eq!(found(&[banner, (3, "Shell> _")]), Some(Line::Last("Shell>")));
    }

    #[test]
    fn the_console_of_linux_begins_with_what_the_text_mode_showed() {
        // The first two lines lie in one row of EDK II's letters, which are higher.
        let (size, begin, welcome) = ((1280, 800), (0, "SeaBIOS (version 1"), (1, "Welcome to GRUB!"));
        let found = |written: &[(usize, &str)]| line(&screen(size, &grids(size)[0], written));
        assert_eq!(found(&[begin, welcome]), Some(Line::Passing("Welcome to GRUB!")));
        assert_eq!(found(&[begin, welcome, (2, "[    0.000000] Linux version 6.1.0")]), None);
    }

    #[test]
    fn letters_are_looked_for_where_the_programs_put_them() {
        let seen = |size| {
            let grid = |grid: &Grid| (grid.letter, grid.at, (grid.columns, grid.rows), grid.drawn);
            grids(size).iter().map(grid).collect::<Vec<_>>()
        };
        assert_eq!(seen((720, 400)), [((9, 16), (0, 0), (80, 25), false)]);
        let text = |area| ((8, 16), (0, 0), area, false);
        let edk = |at, area| (EDK, at, area, true);
        assert_eq!(seen((640, 400)), [text((80, 25)), edk((0, 0), (80, 21))]);
        assert_eq!(
            seen((1280, 800)),
            [text((160, 50)), edk((0, 1), (160, 42)), edk((320, 162), (80, 25)), edk((240, 105), (100, 31))]
        );
        assert_eq!(
            seen((640, 950)),
            [text((80, 59)), edk((0, 0), (80, 50)), edk((0, 237), (80, 25)), edk((0, 0), (80, 50))]
        );
        assert_eq!(seen((320, 200)), [text((40, 12)), edk((0, 5), (40, 10))]);
    }

    #[test]
    fn edk_centers_its_area_writes_on_in_the_next_row_and_draws_a_logo() {
        let size = (1280, 800);
        for grid in grids(size).into_iter().filter(|grid| grid.drawn) {
            let long = format!("BdsDxe: failed to load Boot0001 {}", "x".repeat(grid.columns));
            let (first, second) = long.split_at(grid.columns);
            let logo = " ".repeat(grid.columns / 2) + "logo";
            let picture = screen(size, &grid, &[(0, first), (1, second), (20, &logo)]);
            assert_eq!(line(&picture), Some(Line::Passing("BdsDxe: failed to load Boot")), "{}", grid.columns);
        }
    }

    #[test]
    fn every_phrase_is_found_and_none_is_taken_for_another() {
        for (before, phrase) in LAST {
            assert_eq!(found(&[(0, before), (2, phrase)]), Some(Line::Last(phrase)));
        }
        for phrase in PASSING {
            assert_eq!(found(&[(0, phrase.trim_end_matches('*'))]), Some(Line::Passing(told(phrase))));
        }
    }
}
