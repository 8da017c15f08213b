//! Cursors of tails: what a client has seen, so that another connection goes on there.
//!
//! Lines come to a tail as they are stored, and senders lag behind by more or less, so that no one point of time says what
//! was shown. Within a stream lines come nearly always in the order of time: a cursor has the last line shown of each
//! stream, and a time for all other streams.
//!
//! ```text
//! cursor = base64url, without padding, of
//!          1 version (129) · 8 hash of tenant and query · 8 floor · (8 hash of a stream · 8 time · 4 lines)* ·
//!          4 check: the low half of xxh3-64 over what stands before
//! ```
//! Numbers are little-endian.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use timberyard_model::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use crate::query_cursor::CursorError;

/// The version that is written, and the only one that is read; no cursor of a query has it.
const VERSION: u8 = 129;
/// Bytes before the streams.
const HEAD_BYTES: usize = 17;
/// Bytes of a stream.
const STREAM_BYTES: usize = 20;
/// The most streams that a cursor names.
pub const TAIL_CURSOR_STREAMS_MAX: usize = 256;

/// What a client has seen of a tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailCursor {
    /// Which query, as [`crate::query_cursor::query_hash`] tells it.
    pub query: u64,
    /// Lines before this time were shown, of streams that are not named.
    pub floor: Timestamp,
    /// The last line shown of each of these streams; at most [`TAIL_CURSOR_STREAMS_MAX`].
    pub streams: Vec<StreamPosition>,
}

/// The last line shown of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    /// The stable hash of its labels.
    pub stream: u64,
    /// The line's time.
    pub timestamp: Timestamp,
    /// How many lines of that time were shown.
    pub lines: u32,
}

impl TailCursor {
    /// The cursor as a text of letters, digits, `-` and `_`.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.streams.len() * STREAM_BYTES + 4);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.query.to_le_bytes());
        bytes.extend_from_slice(&self.floor.as_nanos().to_le_bytes());
        for position in &self.streams {
            bytes.extend_from_slice(&position.stream.to_le_bytes());
            bytes.extend_from_slice(&position.timestamp.as_nanos().to_le_bytes());
            bytes.extend_from_slice(&position.lines.to_le_bytes());
        }
        bytes.extend_from_slice(&check(&bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`TailCursor::encode`] wrote.
    pub fn decode(text: &str) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError::Malformed)?;
        Self::read(&bytes).ok_or(CursorError::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (body, written) = bytes.split_last_chunk::<4>()?;
        let (head, streams) = body.split_at_checked(HEAD_BYTES)?;
        let sound = *written == check(body)
            && head.first() == Some(&VERSION)
            && streams.len() % STREAM_BYTES == 0
            && streams.len() / STREAM_BYTES <= TAIL_CURSOR_STREAMS_MAX;
        let streams = streams.chunks_exact(STREAM_BYTES).map(StreamPosition::read).collect::<Option<_>>()?;
        let cursor = Self { query: number(head.get(1..9))?, floor: time(head.get(9..17))?, streams };
        sound.then_some(cursor)
    }
}

impl StreamPosition {
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            stream: number(bytes.get(..8))?,
            timestamp: time(bytes.get(8..16))?,
            lines: u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?),
        })
    }
}

fn number(bytes: Option<&[u8]>) -> Option<u64> {
    bytes?.try_into().ok().map(u64::from_le_bytes)
}

fn time(bytes: Option<&[u8]>) -> Option<Timestamp> {
    number(bytes).map(|nanos| Timestamp::from_nanos(nanos as i64))
}

fn check(body: &[u8]) -> [u8; 4] {
    (xxh3_64(body) as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(streams: usize) -> TailCursor {
        let position = |stream| StreamPosition { stream, timestamp: Timestamp::from_nanos(7), lines: 2 };
        let streams = (0..streams as u64).map(position).collect();
        TailCursor { query: u64::MAX, floor: Timestamp::from_nanos(-3), streams }
    }

    #[test]
    fn a_cursor_is_read_back_and_a_changed_one_refused() {
        for streams in [0, 1, 3] {
            let text = cursor(streams).encode();
            assert_eq!(TailCursor::decode(&text), Ok(cursor(streams)));
            for at in 0..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).expect("letters");
                assert!(TailCursor::decode(&changed).is_err(), "{changed}");
                assert!(TailCursor::decode(&text[..at]).is_err());
            }
        }
    }

    #[test]
    fn a_cursor_names_a_bounded_number_of_streams() {
        assert!(TailCursor::decode(&cursor(TAIL_CURSOR_STREAMS_MAX).encode()).is_ok());
        assert!(TailCursor::decode(&cursor(TAIL_CURSOR_STREAMS_MAX + 1).encode()).is_err());
    }
}
