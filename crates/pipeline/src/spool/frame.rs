//! How a record lies in a spool's file: its length, a checksum, when it went in, and its bytes.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes before a record's own.
pub(super) const HEADER_BYTES: u64 = 16;

/// What is said before a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// How many bytes follow.
    pub(super) payload_bytes: u32,
    /// The low half of XXH3 of the time and these bytes.
    checksum: u32,
    /// Seconds since the epoch.
    pub(super) at_seconds: u64,
}

impl Header {
    /// Reads one; every sixteen bytes are one.
    pub(super) fn read(bytes: &[u8; HEADER_BYTES as usize]) -> Self {
        let [a, b, c, d, e, f, g, h, time @ ..] = *bytes;
        Self {
            payload_bytes: u32::from_le_bytes([a, b, c, d]),
            checksum: u32::from_le_bytes([e, f, g, h]),
            at_seconds: u64::from_le_bytes(time),
        }
    }

    /// Whether these are the bytes it was written for.
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        self.checksum == checksum(payload, self.at_seconds)
    }
}

/// A record with its header.
pub(super) fn framed(payload: &[u8], at_seconds: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + HEADER_BYTES as usize);
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&checksum(payload, at_seconds).to_le_bytes());
    out.extend_from_slice(&at_seconds.to_le_bytes());
    out.extend_from_slice(payload);
    out
}

fn checksum(payload: &[u8], at_seconds: u64) -> u32 {
    (xxh3_64(payload) ^ at_seconds) as u32
}
