//! A signed token (RFC 7519) that somebody shows: whether the provider made it, for this server, and when. Pure: keys and
//! time come in as arguments.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use timberyard_model::Timestamp;
use timberyard_model::time::NANOS_PER_SECOND;

use super::jwks::{Algorithm, KeySet};

/// What a token says, once it is known to be the provider's.
pub(super) type Claims = Map<String, Value>;

/// Why a token is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It is not put together as tokens are.
    #[error("the token is no signed JWT: {0}")]
    Malformed(&'static str),
    /// It is signed in a way that is not taken.
    #[error("the token is signed by `{0}`; RS256 and ES256 are taken")]
    Algorithm(String),
    /// The provider has no such key.
    #[error("the token is signed with a key that the provider does not have")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing, or is not what it must be.
    #[error("the token's claim `{0}` is missing or is no value that it can have")]
    Claim(&'static str),
    /// Another provider made it.
    #[error("the token is another issuer's")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not good yet")]
    NotYet,
    /// Nobody has granted its holder anything.
    #[error("nothing is granted to the holder of this token (auth.oidc.grants)")]
    NothingGranted,
    /// The provider's keys could not be had.
    #[error("the provider's keys cannot be had now")]
    NoKeys,
}

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    /// One of these.
    pub(super) audiences: &'a [String],
    /// How far the provider's clock may be from this one.
    pub(super) skew_seconds: u64,
    pub(super) now: Timestamp,
}

/// A token taken apart, of which nothing is believed yet.
#[derive(Clone, Debug)]
pub(super) struct UncheckedToken<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    signed: &'a str,
    claims: Claims,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Whether a text looks like a token rather than a key: three parts, the first of which begins a JSON object.
pub(super) fn is_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl<'a> UncheckedToken<'a> {
    /// Takes a token apart.
    pub(super) fn read(text: &'a str) -> Result<Self, TokenError> {
        let malformed = TokenError::Malformed;
        let (signed, signature) = text.rsplit_once('.').ok_or(malformed("it has no parts"))?;
        let (header, claims) = signed.split_once('.').ok_or(malformed("it has two parts"))?;
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed("a part is no base64url"));
        let header: Header =
            serde_json::from_slice(&part(header)?).map_err(|_| malformed("its header is not JSON"))?;
        if header.crit.is_some() {
            // RFC 7515: what is critical and not understood makes a token void.
            return Err(malformed("its header has critical extensions"));
        }
        let algorithm =
            Algorithm::named(&header.alg).ok_or_else(|| TokenError::Algorithm(shortened(&header.alg)))?;
        let claims =
            serde_json::from_slice(&part(claims)?).map_err(|_| malformed("its claims are not JSON"))?;
        Ok(Self { algorithm, key_id: header.kid, signed, claims, signature: part(signature)? })
    }

    /// What it says, if the provider has signed it and it is meant for this server and time.
    pub(super) fn check(self, keys: &KeySet, expected: Expected<'_>) -> Result<Claims, TokenError> {
        let key = keys.find(self.key_id.as_deref(), self.algorithm).ok_or(TokenError::UnknownKey)?;
        if !key.has_signed(self.signed.as_bytes(), &self.signature) {
            return Err(TokenError::Signature);
        }
        let claims = self.claims;
        if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
            return Err(TokenError::Issuer);
        }
        if !texts(claims.get("aud")).any(|own| expected.audiences.iter().any(|audience| audience == own)) {
            return Err(TokenError::Audience);
        }
        let (now, skew) =
            (expected.now.as_nanos() as f64 / NANOS_PER_SECOND as f64, expected.skew_seconds as f64);
        let expires = time(&claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
        if expires + skew <= now {
            return Err(TokenError::Expired);
        }
        for begin in ["nbf", "iat"] {
            if time(&claims, begin)?.is_some_and(|begin| begin - skew > now) {
                return Err(TokenError::NotYet);
            }
        }
        Ok(claims)
    }
}

/// The texts of a claim that is one, or a list of them.
pub(super) fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = match claim {
        Some(Value::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    list.iter().filter_map(Value::as_str)
}

/// Seconds since 1970. A claim that is there and no number makes the token void.
fn time(claims: &Claims, name: &'static str) -> Result<Option<f64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(TokenError::Claim(name)),
    }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_graphic()).take(16).collect()
}
