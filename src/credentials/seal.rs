//! Seals a JSON literal into another JSON literal: `"token"` becomes `{"Sealed":"<base64>"}`.
//!
//! ```text
//! base64( version u8 | key id 8 bytes | nonce 24 bytes | XChaCha20-Poly1305 of the literal )
//! ```
//!
//! The key id tells which of several keys opens it, so that keys can be rotated: put the new one
//! first, drop the old one when nothing sealed with it is left.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const NONCE_AT: usize = 1 + KEY_ID_BYTES;
const SEALED_AT: usize = NONCE_AT + NONCE_BYTES;
/// Binds a sealed literal to this use of the key.
const CONTEXT: &[u8] = b"mews-bridge sealed literal";

/// What stands where a secret stood, when secrets are discarded.
pub const DISCARDED: &str = r#"{"Discarded":true}"#;
/// What stands where a sealed secret stood, in records that anybody may read.
pub const SEALED: &str = r#"{"Sealed":true}"#;

/// What is done with a secret.
#[derive(Clone, Debug)]
pub enum Sealer {
    /// It is sealed with the first key of the ring.
    Seal(KeyRing),
    /// It is forgotten.
    Discard,
}

impl Sealer {
    /// The literal that takes a secret literal's place.
    #[must_use]
    pub fn conceal(&self, literal: &[u8]) -> String {
        match self {
            Self::Seal(keys) => keys.seal(literal),
            Self::Discard => DISCARDED.to_owned(),
        }
    }
}

/// Keys by their ids; the first one seals, all of them open. Clones share the keys, so that a ring
/// that was read again is in use everywhere at once.
#[derive(Clone)]
pub struct KeyRing(Arc<RwLock<Vec<Key>>>);

#[derive(Clone)]
struct Key {
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
}

/// Why a key file is none.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no key at all.
    #[error("no sealing key")]
    None,
    /// The file cannot be read.
    #[error("sealing key file {path}", path = .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// The file holds something else.
    #[error("sealing key file {path} does not hold 32 bytes in hex or base64", path = .0.display())]
    Form(PathBuf),
}

/// Why a literal cannot be opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not `{"Sealed":"<base64>"}` of a version that this build knows.
    #[error("not a sealed literal")]
    NotSealed,
    /// Sealed with a key that is not in the ring; its id is given.
    #[error("sealed with key {0}, which is not among the key files")]
    UnknownKey(String),
    /// The key is there, but the bytes were changed.
    #[error("sealed literal was damaged")]
    Damaged,
}

impl KeyRing {
    /// Reads key files in their order.
    ///
    /// # Errors
    /// When there is none, or one cannot be read or is no key.
    pub fn load(files: &[PathBuf]) -> Result<Self, KeyError> {
        if files.is_empty() {
            return Err(KeyError::None);
        }
        files.iter().map(|file| Key::load(file)).collect::<Result<_, _>>().map(Self::new)
    }

    fn new(keys: Vec<Key>) -> Self {
        Self(Arc::new(RwLock::new(keys)))
    }

    /// Reads the files again, here and in every clone.
    ///
    /// # Errors
    /// As [`Self::load`]; then the keys stay what they were.
    pub fn reload(&self, files: &[PathBuf]) -> Result<(), KeyError> {
        let Self(read) = Self::load(files)?;
        let keys = std::mem::take(&mut *read.write().unwrap_or_else(PoisonError::into_inner));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// No key is ever half replaced, so what a panicked thread left is whole.
    fn keys(&self) -> RwLockReadGuard<'_, Vec<Key>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ring of keys that are at hand, the sealing one first.
    #[must_use]
    pub fn of(keys: &[[u8; 32]]) -> Self {
        Self::new(keys.iter().map(Key::new).collect())
    }

    fn seal(&self, literal: &[u8]) -> String {
        let keys = self.keys();
        let key = keys.first().expect("a ring is never made without a key");
        let mut nonce = [0u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the operating system has randomness once it has booted");
        let payload = Payload { msg: literal, aad: CONTEXT };
        let sealed = key
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a literal is far shorter than the cipher's 256 GiB");
        let mut bytes = Vec::with_capacity(SEALED_AT + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&key.id);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        format!("{{\"Sealed\":\"{}\"}}", STANDARD.encode(bytes))
    }

    /// The exact literal that was sealed.
    ///
    /// # Errors
    /// When it is not sealed, its key is unknown, or it was changed.
    pub fn open(&self, sealed: &str) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        #[derive(Deserialize)]
        struct Form<'a> {
            #[serde(rename = "Sealed")]
            base64: &'a str,
        }
        let form: Form<'_> = serde_json::from_str(sealed).map_err(|_| OpenError::NotSealed)?;
        let bytes = STANDARD.decode(form.base64).map_err(|_| OpenError::NotSealed)?;
        if bytes.len() < SEALED_AT || bytes[0] != VERSION {
            return Err(OpenError::NotSealed);
        }
        let id = &bytes[1..NONCE_AT];
        let keys = self.keys();
        let key = keys.iter().find(|key| key.id == *id).ok_or_else(|| OpenError::UnknownKey(hex(id)))?;
        let nonce: [u8; NONCE_BYTES] =
            bytes[NONCE_AT..SEALED_AT].try_into().map_err(|_| OpenError::NotSealed)?;
        let payload = Payload { msg: &bytes[SEALED_AT..], aad: CONTEXT };
        key.cipher.decrypt(&XNonce::from(nonce), payload).map(Zeroizing::new).map_err(|_| OpenError::Damaged)
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.keys().iter().map(|key| hex(&key.id))).finish()
    }
}

impl Key {
    fn new(bytes: &[u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(b"mews-bridge key id").chain_update(bytes).finalize();
        let mut id = [0u8; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Self { id, cipher: XChaCha20Poly1305::new(&(*bytes).into()) }
    }

    fn load(file: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read(file)
            .map(Zeroizing::new)
            .map_err(|error| KeyError::Read(file.to_owned(), error))?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii();
        let bytes = from_hex(text).or_else(|| STANDARD.decode(text).ok()).map(Zeroizing::new);
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
        Ok(Self::new(&Zeroizing::new(bytes.ok_or_else(|| KeyError::Form(file.to_owned()))?)))
    }
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn opening_gives_the_exact_literal(literal in prop::collection::vec(any::<u8>(), 0..200)) {
            let sealed = KeyRing::of(&[[1; 32]]).seal(&literal);
            let opened = KeyRing::of(&[[2; 32], [1; 32]]).open(&sealed).unwrap();
            prop_assert_eq!(&*opened, &literal);
        }

        #[test]
        fn a_changed_byte_is_noticed(at in 0usize..60, flip in 1u8..=255) {
            let keys = KeyRing::of(&[[1; 32]]);
            let sealed = keys.seal(b"\"secret\"");
            let mut bytes = STANDARD.decode(&sealed[11..sealed.len() - 2]).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            let changed = format!("{{\"Sealed\":\"{}\"}}", STANDARD.encode(bytes));
            prop_assert!(keys.open(&changed).is_err());
        }
    }

    #[test]
    fn another_key_is_named_and_never_shown() {
        let sealed = KeyRing::of(&[[1; 32]]).seal(b"x");
        let ring = KeyRing::of(&[[2; 32]]);
        assert!(matches!(ring.open(&sealed), Err(OpenError::UnknownKey(id)) if id.len() == 16));
        assert!(!format!("{ring:?}").contains("0202020202"));
        assert_eq!(ring.open("{\"Sealed\":true}").unwrap_err(), OpenError::NotSealed);
    }

    #[test]
    fn a_ring_that_was_read_again_is_in_use_in_every_clone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "0a".repeat(32)).unwrap();
        let ring = KeyRing::load(std::slice::from_ref(&file)).unwrap();
        let clone = ring.clone();
        std::fs::write(&file, "0b".repeat(32)).unwrap();
        ring.reload(std::slice::from_ref(&file)).unwrap();
        assert!(KeyRing::of(&[[0x0b; 32]]).open(&clone.seal(b"x")).is_ok());
        std::fs::remove_file(&file).unwrap();
        assert!(ring.reload(&[file]).is_err());
        assert!(KeyRing::of(&[[0x0b; 32]]).open(&clone.seal(b"x")).is_ok());
    }

    #[test]
    fn a_key_file_holds_hex_or_base64_and_white_space_around_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let hex = file("hex", &format!("{}\n", "0a".repeat(32)));
        let base64 = file("base64", &format!("\u{feff} {} ", STANDARD.encode([10u8; 32])));
        let sealed = KeyRing::load(&[hex]).unwrap().seal(b"x");
        assert!(KeyRing::load(&[base64]).unwrap().open(&sealed).is_ok());
        for wrong in ["", "0a", &"0a".repeat(33), &"0g".repeat(32)] {
            assert!(matches!(KeyRing::load(&[file("wrong", wrong)]), Err(KeyError::Form(_))), "{wrong}");
        }
        assert!(matches!(KeyRing::load(&[]), Err(KeyError::None)));
    }
}
