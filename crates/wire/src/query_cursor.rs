//! Cursors: where the answer to a log query goes on, as a text that clients hand back unread.
//!
//! A cursor names everything that must not change between two pages: the query (by hash), its range and direction, and
//! the last line of the page before. It holds no state of a server, so it outlives one.
//!
//! ```text
//! cursor = base64url, without padding, of
//!          1 version (1) · 1 direction (0 forward, 1 backward) · 8 hash of tenant and query · 8 start · 8 end ·
//!          8 time of the last line · 8 hash of its stream · 4 lines of that stream and time up to it ·
//!          4 check: the low half of xxh3-64 over what stands before
//! ```
//! Numbers are little-endian.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use timberyard_model::scan::Direction;
use timberyard_model::{TenantId, Timestamp};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;
/// Bytes before the check.
const BODY_BYTES: usize = 46;

/// Where a query goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryCursor {
    /// Which query, as [`query_hash`] tells it.
    pub query: u64,
    /// Where its range begins.
    pub start: Timestamp,
    /// Where its range ends.
    pub end: Timestamp,
    /// Which lines come first.
    pub direction: Direction,
    /// The time of the last line.
    pub timestamp: Timestamp,
    /// The stable hash of the labels of its stream.
    pub stream: u64,
    /// How many lines of that stream and time come up to it.
    pub lines: u32,
}

/// Why a text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It is damaged, or was never one.
    #[error("cursor is not one that this server gave; leave it empty to begin anew")]
    Malformed,
    /// It is of another build.
    #[error("cursor has version {0}, this build reads version {VERSION}; leave it empty to begin anew")]
    Version(u8),
}

/// Tells queries apart: a hash of the tenant and of the query as its printer writes it.
pub fn query_hash(tenant: &TenantId, query: &str) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(tenant.as_str().as_bytes());
    hasher.update(&[0xff]);
    hasher.update(query.as_bytes());
    hasher.digest()
}

impl QueryCursor {
    /// The cursor as a text of letters, digits, `-` and `_`.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(BODY_BYTES + 4);
        bytes.push(VERSION);
        bytes.push(u8::from(self.direction == Direction::Backward));
        bytes.extend_from_slice(&self.query.to_le_bytes());
        for time in [self.start, self.end, self.timestamp] {
            bytes.extend_from_slice(&time.as_nanos().to_le_bytes());
        }
        bytes.extend_from_slice(&self.stream.to_le_bytes());
        bytes.extend_from_slice(&self.lines.to_le_bytes());
        bytes.extend_from_slice(&check(&bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`QueryCursor::encode`] wrote.
    pub fn decode(text: &str) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError::Malformed)?;
        match bytes.first() {
            Some(&VERSION) => {}
            Some(version) if bytes.len() == BODY_BYTES + 4 => return Err(CursorError::Version(*version)),
            _ => return Err(CursorError::Malformed),
        }
        Self::read(&bytes).ok_or(CursorError::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (body, written) = bytes.split_at_checked(BODY_BYTES)?;
        if written != check(body) {
            return None;
        }
        let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
        let time = |at: usize| number(at).map(|number| Timestamp::from_nanos(number as i64));
        let direction = match body.get(1)? {
            0 => Direction::Forward,
            1 => Direction::Backward,
            _ => return None,
        };
        Some(Self {
            query: number(2)?,
            start: time(10)?,
            end: time(18)?,
            direction,
            timestamp: time(26)?,
            stream: number(34)?,
            lines: u32::from_le_bytes(body.get(42..46)?.try_into().ok()?),
        })
    }
}

fn check(body: &[u8]) -> [u8; 4] {
    (xxh3_64(body) as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> QueryCursor {
        QueryCursor {
            query: query_hash(&TenantId::default(), r#"{app="a"}"#),
            start: Timestamp::from_nanos(-5),
            end: Timestamp::MAX,
            direction: Direction::Backward,
            timestamp: Timestamp::from_nanos(1_793_491_200_000_000_001),
            stream: u64::MAX - 1,
            lines: 7,
        }
    }

    #[test]
    fn a_cursor_is_read_back() {
        for direction in [Direction::Forward, Direction::Backward] {
            let cursor = QueryCursor { direction, ..cursor() };
            assert_eq!(QueryCursor::decode(&cursor.encode()), Ok(cursor));
        }
    }

    #[test]
    fn the_first_version_stays_readable() {
        let text = QueryCursor { query: 1, ..cursor() }.encode();
        assert_eq!(text, "AQEBAAAAAAAAAPv__________________38BAMp7vsLjGP7_________BwAAAHV5WHA");
    }

    #[test]
    fn a_changed_cursor_is_refused() {
        let text = cursor().encode();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("letters");
            assert!(QueryCursor::decode(&changed).is_err(), "{changed}");
            assert!(QueryCursor::decode(&text[..at]).is_err());
        }
        let mut next = URL_SAFE_NO_PAD.decode(&text).expect("base64");
        next[0] = 2;
        assert_eq!(QueryCursor::decode(&URL_SAFE_NO_PAD.encode(next)), Err(CursorError::Version(2)));
        assert_eq!(QueryCursor::decode("next"), Err(CursorError::Malformed));
    }

    #[test]
    fn queries_and_tenants_are_told_apart() {
        let tenant = TenantId::new("acme").expect("valid");
        assert_ne!(query_hash(&tenant, "{}"), query_hash(&TenantId::default(), "{}"));
        assert_ne!(query_hash(&tenant, "{}"), query_hash(&tenant, "{ }"));
    }
}
