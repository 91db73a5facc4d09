//! The values that differ between virtual machines of the same shape.

use crate::model::SessionId;
use sha2::{Digest, Sha256};

/// All follows from the session's id, so that nothing has to be stored, and no two sessions have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The session.
    pub id: SessionId,
}

impl Identity {
    /// Return the identity of a session's guest.
    pub fn of(id: &SessionId) -> Self {
        Self { id: id.clone() }
    }

    /// Return the MAC address of the guest's card: no other card on the bridge has it.
    pub fn mac(&self) -> String {
        let digest = Sha256::digest(self.id.as_str());
        // Of a single card (the lowest bit is off), given locally (the next one is on).
        let first = digest[0] & 0xfc | 0x02;
        let others = digest[1..6].iter().map(|byte| format!(":{byte:02x}"));
        format!("{first:02x}{}", others.collect::<String>())
    }

    /// Return the generation ID of the guest, as a UUID.
    pub fn generation(&self) -> String {
        let digest = Sha256::new().chain_update("generation ").chain_update(self.id.as_str()).finalize();
        let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    /// Return the serial number of the guest's disk.
    pub fn serial(&self) -> &str {
        self.id.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_an_address_of_its_own() {
        let of = |id: &str| Identity::of(&id.parse().unwrap()).mac();
        assert_eq!(of("abcdefghij"), of("abcdefghij"));
        assert_ne!(of("abcdefghij"), of("abcdefghik"));
        let generation = |id: &str| Identity::of(&id.parse().unwrap()).generation();
        assert_ne!(generation("abcdefghij"), generation("abcdefghik"));
        assert_eq!(generation("abcdefghij").len(), 36);
        for id in ["abcdefghij", "zzzzzzzzzz", "2345678923"] {
            let first = u8::from_str_radix(&of(id)[..2], 16).unwrap();
            assert_eq!((of(id).len(), first & 3), (17, 2), "{}", of(id));
        }
    }
}
