//! The tokens that guard forms against other sites, and the key they are made with.

use crate::model::{Owner, Secret, SessionId};
use crate::random;
use crate::whole;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fs;
use std::io;
use std::path::Path;

/// What a token is bound to: a token made for one cannot be used for the other.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// Forms of a signed-in person.
    SignedIn,
    /// Forms of a person of this name whom Apache has signed in.
    Remote(&'a str),
    /// Forms before that.
    Anonymous,
}

/// The portal's own key. It outlives a restart, and with it the forms that people have open.
pub struct Key(Vec<u8>);

/// Bytes of a device's value that are random, and as many that show it is ours.
const DEVICE_HALF: usize = 16;
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;

impl Key {
    /// Reads the key from a file, or makes both.
    pub fn load(path: &Path) -> io::Result<Self> {
        if let Some(key) = Self::read(path)? {
            return Ok(key);
        }
        let bytes = random::bytes::<KEY_BYTES>().to_vec();
        whole::write(path, &bytes, whole::PRIVATE)?;
        Ok(Self(bytes))
    }

    fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(Self(bytes)).filter(|key| key.0.len() == KEY_BYTES)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The hidden field of a form, bound to a cookie. Its text is another one each time, so that the
    /// length of a compressed page tells nothing about it.
    pub fn token(&self, purpose: Purpose<'_>, cookie: &Secret) -> String {
        let mask = random::bytes::<MAC_BYTES>();
        let masked = self.mac(purpose, cookie).finalize().into_bytes().into_iter().zip(mask).map(|(a, b)| a ^ b);
        BASE64URL_NOPAD.encode(&mask.into_iter().chain(masked).collect::<Vec<u8>>())
    }

    /// True if this is such a token; takes as long for a wrong one.
    pub fn verify(&self, purpose: Purpose<'_>, cookie: &Secret, token: &str) -> bool {
        let Ok(token) = BASE64URL_NOPAD.decode(token.as_bytes()) else { return false };
        let (mask, masked) = token.split_at(token.len().min(MAC_BYTES));
        let mac: Vec<u8> = mask.iter().zip(masked).map(|(a, b)| a ^ b).collect();
        token.len() == 2 * MAC_BYTES && self.mac(purpose, cookie).verify_slice(&mac).is_ok()
    }

    /// Return a value for the browser of somebody who has just signed in to this account.
    pub fn device(&self, account: &Owner) -> Secret {
        let random = random::bytes::<DEVICE_HALF>();
        let mac = self.device_mac(account, &random).finalize().into_bytes();
        Secret::from_encoded(BASE64URL_NOPAD.encode(&[&random[..], &mac[..DEVICE_HALF]].concat()))
    }

    /// Return true if this is such a value, made for this account.
    pub fn knows_device(&self, account: &Owner, value: &Secret) -> bool {
        let Ok(bytes) = BASE64URL_NOPAD.decode(value.expose().as_bytes()) else { return false };
        let (random, mac) = bytes.split_at(bytes.len().min(DEVICE_HALF));
        mac.len() == DEVICE_HALF && self.device_mac(account, random).verify_truncated_left(mac).is_ok()
    }

    fn device_mac(&self, account: &Owner, random: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.chain_update(b"account's device\0").chain_update(random).chain_update(account.to_string())
    }

    /// Return the code by which another browser continues this browser's session, while the service is open. It
    /// names the owner, so that it is void once the session has moved.
    pub fn continuing(&self, session: &SessionId, owner: &Owner) -> String {
        let mac = BASE64URL_NOPAD.encode(&self.continuing_mac(session, owner).finalize().into_bytes());
        format!("{mac}.{}", owner.name())
    }

    /// Return the owner for whose session this is that code, if it is one; a wrong one takes as long.
    pub fn continues(&self, session: &SessionId, code: &str) -> Option<Owner> {
        let (mac, digest) = code.split_once('.')?;
        let (mac, owner) = (BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?, Owner::browser(digest).ok()?);
        self.continuing_mac(session, &owner).verify_slice(&mac).is_ok().then_some(owner)
    }

    fn continuing_mac(&self, session: &SessionId, owner: &Owner) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.chain_update(b"continue from\0")
            .chain_update(session.as_str())
            .chain_update(b"\0")
            .chain_update(owner.to_string())
    }

    fn mac(&self, purpose: Purpose<'_>, cookie: &Secret) -> Hmac<Sha256> {
        let (purpose, name): (&[u8], &str) = match purpose {
            Purpose::SignedIn => (b"csrf signed-in\0", ""),
            Purpose::Remote(name) => (b"csrf remote\0", name),
            Purpose::Anonymous => (b"csrf anonymous\0", ""),
        };
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.chain_update(purpose).chain_update(name).chain_update(b"\0").chain_update(cookie.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_cookie_and_purpose_only() {
        let key = Key(vec![7; 32]);
        let (a, b) = (random::secret(), random::secret());
        let token = key.token(Purpose::SignedIn, &a);
        assert!(key.verify(Purpose::SignedIn, &a, &token));
        assert!(!key.verify(Purpose::SignedIn, &b, &token));
        assert!(!key.verify(Purpose::Anonymous, &a, &token));
        let remote = key.token(Purpose::Remote("alice"), &a);
        assert!(key.verify(Purpose::Remote("alice"), &a, &remote));
        assert!(!key.verify(Purpose::Remote("bob"), &a, &remote) && !key.verify(Purpose::Anonymous, &a, &remote));
        assert!(!Key(vec![8; 32]).verify(Purpose::SignedIn, &a, &token));
        assert_ne!(key.token(Purpose::SignedIn, &a), token);
        let longer = format!("{token}AAAA");
        for wrong in ["", "AAAA", "not base64 at all", &token[..43], &longer] {
            assert!(!key.verify(Purpose::SignedIn, &a, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_device_is_known_for_its_account_only() {
        let (key, alice): (Key, Owner) = (Key(vec![7; 32]), "pam:alice".parse().unwrap());
        let device = key.device(&alice);
        assert!(key.knows_device(&alice, &device) && !Key(vec![8; 32]).knows_device(&alice, &device));
        for other in ["pam:Alice", "ldap:alice", "pam:alice@example.org", "pam:EXP\\alice", "pam:bob"] {
            assert!(!key.knows_device(&other.parse().unwrap(), &device), "{other}");
        }
        assert!(!key.knows_device(&alice, &random::secret()));
        assert_ne!(key.device(&alice), device);
    }

    #[test]
    fn a_session_is_continued_by_its_owners_own_code_only() {
        let key = Key(vec![7; 32]);
        let (one, other): (SessionId, SessionId) = ("abcdefghjk".parse().unwrap(), "abcdefghjm".parse().unwrap());
        let [ada, bob]: [Owner; 2] = ["0a", "0b"].map(|byte| Owner::browser(&byte.repeat(32)).unwrap());
        let code = key.continuing(&one, &ada);
        assert_eq!(key.continues(&one, &code), Some(ada.clone()));
        assert_eq!(key.continues(&other, &code).or(Key(vec![8; 32]).continues(&one, &code)), None);
        assert_ne!(key.continuing(&one, &bob), code);
        let (mac, _) = code.split_once('.').unwrap();
        for wrong in ["", ".", mac, &format!("{mac}."), &format!("{mac}.{}", bob.name()), &format!(".{}", ada.name())] {
            assert_eq!(key.continues(&one, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_key_outlives_a_restart() {
        let folder = crate::portal::testing::Scratch::new();
        let path = folder.path().join("key");
        let cookie = random::secret();
        let token = Key::load(&path).unwrap().token(Purpose::Anonymous, &cookie);
        assert!(Key::load(&path).unwrap().verify(Purpose::Anonymous, &cookie, &token));
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
