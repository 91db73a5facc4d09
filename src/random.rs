//! Randomness from the kernel, in the forms we use.

use crate::model::{Secret, SessionId};
use sha2::{Digest, Sha256};

/// So many random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    // The kernel's generator does not fail once the system is up; going on without it would be worse.
    getrandom::fill(&mut out).expect("the kernel gives random bytes");
    out
}

/// A number, for telling answers apart.
pub fn number() -> u32 {
    u32::from_ne_bytes(bytes())
}

/// A new session id.
pub fn session_id() -> SessionId {
    SessionId::from_bytes(bytes())
}

/// A new secret of 256 bits.
pub fn secret() -> Secret {
    Secret::from_encoded(data_encoding::BASE64URL_NOPAD.encode(&bytes::<32>()))
}

/// A short name, for things that are told apart but not guarded by it.
pub fn label() -> String {
    session_id().as_str()[..6].to_owned()
}

/// The digest under which a secret is kept. Secrets are random, so it needs no salt, and looking
/// one up by its digest tells nobody by its timing how near a guess was.
pub fn digest(secret: &Secret) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(secret.expose().as_bytes()))
}
