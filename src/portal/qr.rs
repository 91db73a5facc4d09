//! QR codes as the path of an SVG picture, so that a page needs neither a file nor a script for one.

use qrcode::{Color, QrCode};

/// A picture of dark squares of one unit.
#[derive(Debug)]
pub struct Qr {
    /// Width and height, with the quiet border that readers need.
    pub size: usize,
    /// The `d` of an SVG path.
    pub path: String,
}

const BORDER: usize = 4;

/// The code of a text; `None` if it is too long for one.
pub fn qr(text: &str) -> Option<Qr> {
    use std::fmt::Write;
    let code = QrCode::new(text).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let _ = write!(path, "M{} {}h1v1h-1z", at % width + BORDER, at / width + BORDER);
        }
    }
    Some(Qr { size: width + 2 * BORDER, path })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_code_has_its_finder_in_the_corner() {
        let qr = super::qr("https://desktops.example.org/").unwrap();
        assert!(qr.path.starts_with("M4 4h1v1h-1zM5 4"));
        assert!(super::qr(&"x".repeat(10_000)).is_none());
    }
}
