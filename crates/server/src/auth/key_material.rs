//! The text of a stored key, `tby_ID_SECRET`, and what is kept of it.
//!
//! ID is 16 hexadecimal digits, made at random and known to the operator; SECRET is 32 random bytes in base64url. Kept is
//! the SHA-256 of the whole text, or its HMAC-SHA256 under the server's pepper: with 256 random bits in it, a text cannot
//! be found from its digest, and needs no slow hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Secret;

/// What every stored key begins with, so that those who look for leaked secrets can find it.
const PREFIX: &str = "tby_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// Random bytes for one key.
pub type KeyEntropy = [u8; ID_BYTES + SECRET_BYTES];

/// A new key, shown once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyText {
    /// The part that is known.
    pub id: Box<str>,
    /// The key as its holder sends it.
    pub text: Secret,
}

/// Fresh random bytes from the system.
///
/// # Errors
/// When the system has none, which it says.
pub fn entropy() -> Result<KeyEntropy, getrandom::Error> {
    let mut bytes = [0; ID_BYTES + SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

impl KeyText {
    /// The key that these random bytes make.
    pub fn new(entropy: &KeyEntropy) -> Self {
        let (id, secret) = entropy.split_at(ID_BYTES);
        let id = hexadecimal(id);
        let text = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        Self { id: id.into(), text: Secret::new(&text) }
    }

    /// The id in a text that has the form of a stored key.
    pub fn id_in(text: &str) -> Option<&str> {
        let (id, _) = text.strip_prefix(PREFIX)?.split_once('_')?;
        (id.len() == 2 * ID_BYTES).then_some(id)
    }
}

/// What is kept of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyDigest {
    /// SHA-256, or HMAC-SHA256.
    pub bytes: [u8; 32],
    /// Whether the pepper went into it.
    pub peppered: bool,
}

impl KeyDigest {
    /// The digest of a key's text.
    pub fn new(text: &str, pepper: Option<&Secret>) -> Self {
        match pepper {
            None => Self { bytes: Sha256::digest(text.as_bytes()).into(), peppered: false },
            Some(pepper) => {
                let mut code = Hmac::<Sha256>::new_from_slice(pepper.reveal().as_bytes())
                    .expect("HMAC takes a key of any length");
                code.update(text.as_bytes());
                Self { bytes: code.finalize().into_bytes().into(), peppered: true }
            }
        }
    }

    /// The digest as it is written: 64 hexadecimal digits.
    pub fn to_text(self) -> String {
        hexadecimal(&self.bytes)
    }

    /// Whether the text, offered by somebody, is the one that this was made of. Constant in time for one length of text.
    pub fn is_of(&self, text: &str, pepper: Option<&Secret>) -> bool {
        let pepper = pepper.filter(|_| self.peppered);
        let offered = Self::new(text, pepper);
        offered.peppered == self.peppered && bool::from(offered.bytes.ct_eq(&self.bytes))
    }
}

/// Bytes as hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of 64 hexadecimal digits.
pub(super) fn digest_bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..text.len()).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_id_and_only_it_has_its_digest() {
        let key = KeyText::new(&[7; 40]);
        let text = key.text.reveal();
        assert_eq!(KeyText::id_in(text), Some(&*key.id));
        let (plain, pepper) = (KeyDigest::new(text, None), Secret::new("salt and"));
        assert!(plain.is_of(text, None) && plain.is_of(text, Some(&pepper)), "a pepper may come later");
        assert!(!plain.is_of(&text.replace("Bw", "Bx"), None));
        let peppered = KeyDigest::new(text, Some(&pepper));
        assert!(peppered.is_of(text, Some(&pepper)));
        assert!(!peppered.is_of(text, None) && !peppered.is_of(text, Some(&Secret::new("other"))));
        assert_eq!(digest_bytes(&plain.to_text()), Some(plain.bytes));
        for bad in ["", "tby_", "tby_0_x", "web.sig", "tby_0707070707070707"] {
            assert_eq!(KeyText::id_in(bad), None, "{bad}");
        }
    }
}
