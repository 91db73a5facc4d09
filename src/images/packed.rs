//! How an image may be packed for its way through the network: pure.

/// A way of packing that is undone after a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// RFC 1952, `.gz`.
    Gzip,
    /// The format of xz-utils, `.xz`.
    Xz,
    /// RFC 8878, `.zst`.
    Zstd,
    /// An archive with one file in it, `.zip`.
    Zip,
}

/// As many bytes as [`Packing::of`] needs from a file's beginning.
pub(super) const MAGIC_LEN: usize = 6;

impl Packing {
    /// By the first bytes, whatever the file's name is. No disk begins like this.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let magics: [(&[u8], Self); 5] = [
            (b"\x1f\x8b\x08", Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"PK\x03\x04", Self::Zip),
            // An archive with nothing in it.
            (b"PK\x05\x06", Self::Zip),
        ];
        magics.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, packing)| *packing)
    }
}

/// A file's name without the ending that says how it was packed.
pub(super) fn unpacked_name(name: &str) -> &str {
    let endings = [".gz", ".xz", ".zst", ".zip"];
    let short = endings.iter().find_map(|ending| name.strip_suffix(ending));
    short.filter(|rest| !rest.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_known_by_its_first_bytes() {
        assert_eq!(Packing::of(b"\x1f\x8b\x08\0"), Some(Packing::Gzip));
        assert_eq!(Packing::of(b"PK\x03\x04rest"), Some(Packing::Zip));
        for none in [&b""[..], b"\x1f\x8b", b"QFI\xfb\0\0\0\x03", b"\xeb\x3c\x90", b"BZh9", b"7z\xbc\xaf"] {
            assert_eq!(Packing::of(none), None);
        }
    }

    #[test]
    fn the_ending_goes_and_the_name_stays() {
        let all = ["a.qcow2.xz", "a.img.gz", "a.zst", "a.zip", "a.raw", ".xz"].map(unpacked_name);
        assert_eq!(all, ["a.qcow2", "a.img", "a", "a", "a.raw", ".xz"]);
    }
}
