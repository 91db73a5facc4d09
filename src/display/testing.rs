//! What the display's tests share.

use crate::model::SessionId;

/// The id of a session that the tests call by a letter or by a number.
pub(super) fn session(name: &str) -> SessionId {
    let mut bytes = [0; 10];
    bytes.iter_mut().zip(name.bytes().map(|b| b.wrapping_sub(b'0'))).for_each(|(byte, letter)| *byte = letter);
    SessionId::from_bytes(bytes)
}

/// A frame as a browser sends it, with this first byte.
pub(super) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x11, 0x22, 0x44, 0x88];
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        medium @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}
