//! The handshake of Fluent's forward protocol: the server's greeting, what the client answers, and what becomes of it.
//!
//! Users and passwords are not asked for; who knows the shared key may send. Digests are the server's business.

use crate::error::DecodeError;
use crate::msgpack::{MsgpackReader, Value, write_text};

/// What a client shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Its name.
    pub host: Vec<u8>,
    /// What it puts before its name in the digest.
    pub salt: Vec<u8>,
    /// The digest, in hexadecimal digits.
    pub digest: Vec<u8>,
}

/// The greeting, with what the client's digest must have in it.
pub fn encode_helo(nonce: &[u8]) -> Vec<u8> {
    let mut out = vec![0x92];
    write_text(&mut out, b"HELO");
    out.push(0x83);
    write_text(&mut out, b"nonce");
    out.extend([0xc4, nonce.len() as u8]);
    out.extend_from_slice(nonce);
    write_text(&mut out, b"auth");
    write_text(&mut out, b"");
    write_text(&mut out, b"keepalive");
    out.push(0xc3);
    out
}

/// Reads what the client answers: `["PING", host, salt, digest, user, password]`.
///
/// # Errors
/// It is something else.
pub fn decode_ping(message: &[u8]) -> Result<Ping, DecodeError> {
    let is_no_ping = || DecodeError::malformed("client does not answer the greeting");
    let Value::Array(parts) = MsgpackReader::new(message).value(2)? else { return Err(is_no_ping()) };
    let bytes = |place: usize| match parts.get(place) {
        Some(Value::Text(text) | Value::Binary(text)) => Ok(*text),
        _ => Err(is_no_ping()),
    };
    if bytes(0)? != b"PING" {
        return Err(is_no_ping());
    }
    Ok(Ping { host: bytes(1)?.to_vec(), salt: bytes(2)?.to_vec(), digest: bytes(3)?.to_vec() })
}

/// Whether the client may send; with the server's own digest, by which the client knows it.
pub fn encode_pong(is_known: bool, host: &str, digest: &str) -> Vec<u8> {
    let mut out = vec![0x95];
    write_text(&mut out, b"PONG");
    out.push(if is_known { 0xc3 } else { 0xc2 });
    write_text(&mut out, if is_known { b"" } else { b"shared_key mismatch" });
    write_text(&mut out, host.as_bytes());
    write_text(&mut out, if is_known { digest.as_bytes() } else { b"" });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_answered_with_a_ping() {
        let helo = encode_helo(b"nonce");
        let Value::Array(parts) = MsgpackReader::new(&helo).value(3).expect("a value") else {
            panic!("a list")
        };
        assert_eq!(parts[0], Value::Text(b"HELO"));
        let ping = decode_ping(b"\x96\xa4PING\xa1h\xc4\x01s\xa2ab\xa0\xa0").expect("a ping");
        assert_eq!((ping.host, ping.salt, ping.digest), (b"h".to_vec(), b"s".to_vec(), b"ab".to_vec()));
        for other in [&b"\x01"[..], b"\x91\xa4PING", b"\x94\xa4PONG\xa0\xa0\xa0", b"\x94\xa4PING\x01\xa0\xa0"]
        {
            assert!(decode_ping(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn only_who_is_known_is_told_the_servers_digest() {
        for is_known in [true, false] {
            let pong = encode_pong(is_known, "node", "0123");
            let Value::Array(parts) = MsgpackReader::new(&pong).value(2).expect("a value") else {
                panic!("a list")
            };
            assert_eq!(parts[1], Value::Boolean(is_known));
            assert_eq!(parts[4] == Value::Text(b"0123"), is_known);
        }
    }
}
