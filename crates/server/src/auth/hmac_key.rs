//! HMAC keys: `CLIENT.SIG`, where SIG is base64url without padding of HMAC-SHA256(secret, CLIENT).
//!
//! Checked without any store and in constant time. The signature follows the last dot, so a client's
//! name may hold dots.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::Secret;

/// The longest client name, in bytes.
pub const CLIENT_BYTES_MAX: usize = 256;

/// Issues and verifies the keys of one secret.
#[derive(Clone, Debug)]
pub struct HmacKeys {
    secret: Secret,
}

/// A client name that no key can be issued for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client name must be 1 to {CLIENT_BYTES_MAX} printable ASCII characters without spaces")]
pub struct ClientNameError;

impl HmacKeys {
    /// Keys made with this secret.
    pub fn new(secret: Secret) -> Self {
        Self { secret }
    }

    /// The key of a client. The name must be able to stand in a header.
    pub fn issue(&self, client: &str) -> Result<String, ClientNameError> {
        if !is_client_name(client) {
            return Err(ClientNameError);
        }
        Ok(format!("{client}.{}", URL_SAFE_NO_PAD.encode(self.code(client).finalize().into_bytes())))
    }

    /// The client whose key this is; `None` when it is not a key of this secret.
    pub fn verify<'a>(&self, key: &'a str) -> Option<&'a str> {
        let (client, signature) = key.rsplit_once('.')?;
        if !is_client_name(client) {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.code(client).verify_slice(&signature).ok().map(|()| client)
    }

    fn code(&self, client: &str) -> Hmac<Sha256> {
        let mut code = Hmac::<Sha256>::new_from_slice(self.secret.reveal().as_bytes())
            .expect("HMAC takes a key of any length");
        code.update(client.as_bytes());
        code
    }
}

fn is_client_name(client: &str) -> bool {
    (1..=CLIENT_BYTES_MAX).contains(&client.len()) && client.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_verifies_with_its_own_secret_only() {
        let keys = HmacKeys::new(Secret::new("s3cret"));
        for client in ["web", "team.web", "a.b.c"] {
            let key = keys.issue(client).expect("a name");
            assert_eq!(keys.verify(&key), Some(client));
            assert_eq!(HmacKeys::new(Secret::new("other")).verify(&key), None);
        }
        assert_eq!(keys.issue(""), Err(ClientNameError));
        assert_eq!(keys.issue("a b"), Err(ClientNameError));
    }

    #[test]
    fn a_known_answer_of_hmac_sha256() {
        // RFC 4231, test case 2.
        let keys = HmacKeys::new(Secret::new("Jefe"));
        let code = keys.code("what do ya want for nothing?").finalize().into_bytes();
        assert_eq!(URL_SAFE_NO_PAD.encode(code), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let keys = HmacKeys::new(Secret::new("s3cret"));
        let key = keys.issue("web").expect("a name");
        let padded = format!("{key}=");
        let cut = &key[..key.len() - 1];
        for bad in ["", ".", "web", "web.", ".AAAA", "web.!!!!", cut, &padded, &key.replace("web", "wob")] {
            assert_eq!(keys.verify(bad), None, "{bad}");
        }
    }
}
