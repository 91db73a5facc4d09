//! SHA-256 of a file.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Result};
use std::path::Path;

/// The digest in lower-case hexadecimal, as `sha256sum` prints it.
pub(super) fn of(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(data_encoding::HEXLOWER.encode(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}
