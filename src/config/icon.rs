//! The picture of a machine: one of those that are shipped, by a word, or a file of the administrator's.
//!
//! Pages show either as an image, which runs no script; Apache serves the administrator's files, in
//! [`Icon::FOLDER`], so that none runs either where one is opened by itself.

/// What `icon=` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Icon {
    /// One that is shipped.
    Shipped(&'static str),
    /// The name of a file in [`Icon::FOLDER`].
    File(String),
}

const SHIPPED: [&str; 10] =
    ["desktop", "terminal", "window", "disc", "chip", "flask", "chart", "code", "book", "server"];
const ENDINGS: [&str; 6] = ["svg", "png", "jpg", "jpeg", "webp", "gif"];

impl Icon {
    /// Where the administrator's files are, below the configuration's folder.
    pub const FOLDER: &str = "icons";

    /// Reads a word or a file's name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(word) = SHIPPED.iter().find(|word| **word == text) {
            return Ok(Self::Shipped(word));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
        let (stem, ending) = text.rsplit_once('.').unwrap_or_default();
        let name = !stem.is_empty() && !text.starts_with(['.', '-']) && text.chars().all(plain) && text.len() <= 100;
        if name && ENDINGS.contains(&ending) {
            return Ok(Self::File(text.to_owned()));
        }
        Err(format!(
            "this takes one of {}, or the name of a file in /etc/qemu-web-desktop/{} that ends in .{}",
            SHIPPED.join(", "),
            Self::FOLDER,
            ENDINGS.join(", .")
        ))
    }

    /// Its path on the web server.
    pub fn path(&self) -> String {
        match self {
            Self::Shipped(word) => format!("/qemu-web-desktop/static/icon-{word}.svg"),
            Self::File(name) => format!("/qemu-web-desktop/icons/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_word_is_a_picture_that_is_shipped() {
        for word in SHIPPED {
            let icon = Icon::parse(word).unwrap();
            let file = icon.path().replace("/qemu-web-desktop/", "html/");
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).expect(&file);
            assert!(text.starts_with("<svg xmlns=") && !text.contains("<script") && !text.contains("href"), "{file}");
        }
    }

    #[test]
    fn a_file_is_one_in_its_folder() {
        assert_eq!(Icon::parse("my-lab_2.svg").unwrap().path(), "/qemu-web-desktop/icons/my-lab_2.svg");
        for text in [
            "",
            "lab",
            "../x.svg",
            "a/b.svg",
            ".htaccess",
            ".svg",
            "x.html",
            "x.svg.php",
            "-x.svg",
            "x\".svg",
            "/icons/x.svg",
            "http://elsewhere/x.png",
            "é.svg",
        ] {
            assert!(Icon::parse(text).unwrap_err().contains("/etc/qemu-web-desktop/icons"), "{text}");
        }
    }
}
