//! A provider's public keys (RFC 7517), and the one check that is done with them.
//!
//! A key says which algorithm it is for, never the token: an RSA key checks RS256, a key on P-256 checks ES256, and nothing
//! else is a key here. So no token can have a public key taken for a shared secret, or be signed by `none`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// The most keys of a provider that are looked at.
const KEYS_MAX: usize = 100;
/// Bytes of a coordinate on P-256.
const COORDINATE_BYTES: usize = 32;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// The algorithm of this name, if it is one that is taken.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// A provider's public keys.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<PublicKey>);

/// A key that checks signatures.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    id: Option<String>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct WrittenKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// The keys of a JWK set that check signatures of tokens; others are left out.
    pub(super) fn read(document: &[u8]) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(document).map_err(|error| format!("no JWK set: {error}"))?;
        let keys = document.keys.into_iter().take(KEYS_MAX);
        let keys = keys.filter_map(|key| PublicKey::read(serde_json::from_value(key).ok()?));
        Ok(Self(keys.collect()))
    }

    /// The key that a token's header names. A token that names none is checked with the only key for its algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&PublicKey> {
        let mut fitting = self.0.iter().filter(|key| key.algorithm() == algorithm);
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

impl PublicKey {
    fn read(written: WrittenKey) -> Option<Self> {
        if written.purpose.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let material = match (written.kty.as_str(), written.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { modulus: bytes(written.n)?, exponent: bytes(written.e)? },
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(written.x)?, bytes(written.y)?);
                if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
                    return None;
                }
                Material::P256([&[4], x.as_slice(), y.as_slice()].concat())
            }
            _ => return None,
        };
        let key = Self { id: written.kid, material };
        // One that is for another algorithm of its kind, such as RS512, checks nothing here.
        let is_for = |name: &String| Algorithm::named(name) == Some(key.algorithm());
        written.alg.as_ref().is_none_or(is_for).then_some(key)
    }

    fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
        }
    }

    /// Whether this key's holder has signed the message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_check_signatures_by_the_two_algorithms_are_keys() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let short = URL_SAFE_NO_PAD.encode([1; 31]);
        let document = format!(
            r#"{{"keys":[
                {{"kty":"EC","crv":"P-256","kid":"good","x":"{x}","y":"{x}","alg":"ES256","use":"sig"}},
                {{"kty":"EC","crv":"P-256","kid":"encrypts","x":"{x}","y":"{x}","use":"enc"}},
                {{"kty":"EC","crv":"P-384","kid":"curve","x":"{x}","y":"{x}"}},
                {{"kty":"EC","crv":"P-256","kid":"short","x":"{short}","y":"{x}"}},
                {{"kty":"RSA","kid":"rs512","n":"{x}","e":"AQAB","alg":"RS512"}},
                {{"kty":"RSA","kid":"no modulus","e":"AQAB"}},
                {{"kty":"RSA","kid":"rsa","n":"{x}","e":"AQAB"}},
                {{"kty":"oct","kid":"secret","k":"{x}"}},
                "nothing"]}}"#
        );
        let keys = KeySet::read(document.as_bytes()).expect("a set");
        let ids: Vec<_> = keys.0.iter().filter_map(|key| key.id.as_deref()).collect();
        assert_eq!(ids, ["good", "rsa"]);
        assert!(keys.find(Some("good"), Algorithm::Es256).is_some());
        assert!(keys.find(Some("good"), Algorithm::Rs256).is_none(), "a key has one algorithm");
        assert!(keys.find(None, Algorithm::Rs256).is_some(), "there is only one");
        assert!(KeySet::read(b"{}").is_err());
    }
}
