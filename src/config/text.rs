//! Text files as administrators' editors leave them. Pure.

/// What editors of Windows put before UTF-8.
pub const BOM: char = '\u{feff}';
const BOM_BYTES: &[u8] = b"\xef\xbb\xbf";

/// Return the file's bytes without a mark at its beginning, or what is wrong with the file as a whole.
pub fn without_mark(bytes: &[u8]) -> Result<&[u8], &'static str> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("it is written in UTF-16: save it as UTF-8");
    }
    Ok(bytes.strip_prefix(BOM_BYTES).unwrap_or(bytes))
}

/// Return the file's text without a mark at its beginning.
pub fn of_bytes(bytes: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(without_mark(bytes)?).map_err(|_| "it is not UTF-8 text")
}

/// Return the bytes without any such mark: files that were put together have them in between.
pub fn without_marks(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut left = without_mark(bytes)?;
    let mut all = Vec::with_capacity(left.len());
    while let Some(at) = left.windows(BOM_BYTES.len()).position(|three| three == BOM_BYTES) {
        all.extend_from_slice(&left[..at]);
        left = &left[at + BOM_BYTES.len()..];
    }
    all.extend_from_slice(left);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_skipped_and_other_encodings_refused() {
        assert_eq!(of_bytes(b"\xef\xbb\xbfa\r\n"), Ok("a\r\n"));
        assert_eq!(of_bytes(b"a"), Ok("a"));
        assert_eq!(of_bytes(b""), Ok(""));
        assert_eq!(without_marks(b"\xef\xbb\xbfa\n\xef\xbb\xbfb").as_deref(), Ok(&b"a\nb"[..]));
        for utf16 in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a"] {
            assert!(of_bytes(utf16).unwrap_err().contains("UTF-16") && without_marks(utf16).is_err());
        }
        assert!(of_bytes(b"\xff").unwrap_err().contains("not UTF-8"));
    }
}
