//! Digests by which both sides of Fluent's handshake show that they know the shared key.

use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;
use timberyard_wire::fluent_handshake::Ping;

use crate::auth::Secret;

/// The digest of one side, in hexadecimal digits.
pub(super) fn digest(key: &Secret, salt: &[u8], host: &[u8], nonce: &[u8]) -> String {
    let mut digest = Sha512::new();
    for part in [salt, host, nonce, key.reveal().as_bytes()] {
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a sender's digest is that of somebody who knows the key.
pub(super) fn is_right(key: &Secret, ping: &Ping, nonce: &[u8]) -> bool {
    digest(key, &ping.salt, &ping.host, nonce).as_bytes().ct_eq(&ping.digest).into()
}
