//! Rows as PostgreSQL's binary COPY takes them.
//!
//! Format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format"; numbers are big-endian, a field is
//! its length and its bytes, and an absent one has the length -1.

use bytes::{BufMut, Bytes, BytesMut};
use timberyard_model::Timestamp;

/// What a COPY begins with: the signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The version of the binary form of `jsonb`.
const JSONB_VERSION: u8 = 1;
/// Microseconds from 1970 to 2000, which PostgreSQL counts from.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Nanoseconds of what PostgreSQL tells apart.
pub(super) const NANOS_PER_MICRO: i64 = 1_000;

/// Rows in the order of their fields.
#[derive(Debug, Default)]
pub(super) struct CopyRows {
    out: BytesMut,
}

impl CopyRows {
    /// The beginning of a COPY.
    pub(super) fn new() -> Self {
        let mut out = BytesMut::new();
        out.put_slice(HEADER);
        Self { out }
    }

    /// Begins a row of so many fields.
    pub(super) fn row(&mut self, fields: i16) {
        self.out.put_i16(fields);
    }

    /// Writes a `bigint`.
    pub(super) fn bigint(&mut self, value: Option<i64>) {
        match value {
            Some(value) => {
                self.out.put_i32(8);
                self.out.put_i64(value);
            }
            None => self.out.put_i32(-1),
        }
    }

    /// Writes an `integer`; larger numbers count as the largest.
    pub(super) fn integer(&mut self, value: usize) {
        self.out.put_i32(4);
        self.out.put_i32(i32::try_from(value).unwrap_or(i32::MAX));
    }

    /// Writes a `timestamptz`, to the microsecond before.
    pub(super) fn time(&mut self, time: Timestamp) {
        self.bigint(Some(time.as_nanos().div_euclid(NANOS_PER_MICRO) - EPOCH_MICROS));
    }

    /// Writes a `text` without NUL, or a `bytea`.
    pub(super) fn bytes(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => {
                self.out.put_i32(field_length(value.len()));
                self.out.put_slice(value);
            }
            None => self.out.put_i32(-1),
        }
    }

    /// Writes a `jsonb`.
    pub(super) fn json(&mut self, text: &str) {
        self.out.put_i32(field_length(text.len() + 1));
        self.out.put_u8(JSONB_VERSION);
        self.out.put_slice(text.as_bytes());
    }

    /// Ends the COPY.
    pub(super) fn end(&mut self) {
        self.out.put_i16(-1);
    }

    /// Bytes that are waiting to be sent.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes what there is.
    pub(super) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }
}

/// A batch is far below 2 GiB, and so is a field of it.
fn field_length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
