//! Passwords that the configuration keeps in files of their own, for root's eyes only.

use crate::auth::Password;
use crate::config::text::of_bytes;
use std::path::Path;
use zeroize::Zeroizing;

/// The password in a file, or the sentence why there is none; `setting` is what names the file.
pub(super) fn read(path: &Path, setting: &str) -> Result<Password, String> {
    let file = path.display();
    let bytes = std::fs::read(path).map(Zeroizing::new).map_err(|e| {
        format!(
            "The file {file}, which is {setting}, cannot be read: {e}. It belongs to root; the service does not see \
             /home, /root and /tmp."
        )
    })?;
    let text =
        of_bytes(&bytes).map_err(|why| format!("The file {file}, which is {setting}, cannot be used: {why}."))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("The file {file}, which is {setting}, has no password in it.")),
        password => Ok(password.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_what_stands_in_the_file_without_its_end() {
        let path = std::env::temp_dir().join(format!("qwd-secret-{}", std::process::id()));
        std::fs::write(&path, " s3cret \r\n").unwrap();
        assert_eq!(read(&path, "mail.password_file").unwrap().expose(), " s3cret ");
        std::fs::write(&path, "\u{feff}s3cret\r\n").unwrap();
        assert_eq!(read(&path, "mail.password_file").unwrap().expose(), "s3cret");
        std::fs::write(&path, b"\xff\xfes\0").unwrap();
        assert!(read(&path, "mail.password_file").unwrap_err().contains("UTF-16"));
        std::fs::write(&path, "\n").unwrap();
        assert!(read(&path, "mail.password_file").unwrap_err().contains("mail.password_file, has no password"));
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path, "mail.password_file").unwrap_err().contains("cannot be read"));
    }
}
