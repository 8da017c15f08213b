//! One stored row as the five systems' answers see it, whichever surface it came in through.
//!
//! Every answer takes its fields from here, so that what one client sent makes sense to every other one.

use std::borrow::Cow;

use timberyard_model::level::Level;
use timberyard_model::{Labels, RowRef, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::json::{DEPTH_MAX, JsonReader};
use crate::json_text::{write_key, write_string};
use crate::level_detection::{DETECTED_LEVEL, UNKNOWN};
use crate::service_name::{SERVICE_NAME, UNKNOWN_SERVICE};

/// A row, with the names that all systems share.
#[derive(Clone, Copy, Debug)]
pub struct LogEntry<'a> {
    row: RowRef<'a>,
}

impl<'a> LogEntry<'a> {
    /// The row must have been read with all columns.
    pub fn new(row: RowRef<'a>) -> Self {
        Self { row }
    }

    /// When it happened.
    pub fn timestamp(&self) -> Timestamp {
        self.row.timestamp()
    }

    /// The labels of its stream.
    pub fn labels(&self) -> &'a Labels {
        self.row.labels()
    }

    /// The line, byte for byte.
    pub fn line(&self) -> &'a [u8] {
        self.row.line()
    }

    /// Structured metadata in the order sent.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> + Clone + use<'a> {
        self.row.metadata()
    }

    /// A label's value, else structured metadata of that name: a label with too many values becomes metadata.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        match self.row.labels().get(name) {
            Some(value) => Some(value.as_bytes()),
            None => self.row.metadata_value(name),
        }
    }

    /// What the server added under that name; a label of that name only where it added nothing.
    pub fn enrichment(&self, name: &str) -> Option<&'a [u8]> {
        self.row.metadata_value(name).or_else(|| self.field(name))
    }

    /// A [`field`](Self::field) as text, with U+FFFD for what is not UTF-8.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.field(name).map(String::from_utf8_lossy)
    }

    /// The service: `service_name`, which every stream has.
    pub fn service(&self) -> &'a [u8] {
        self.field(SERVICE_NAME).unwrap_or(UNKNOWN_SERVICE.as_bytes())
    }

    /// The level's word as it was sent, else the level that was detected, else `unknown`.
    pub fn level(&self) -> &'a [u8] {
        let sent = self.field("level").filter(|level| !level.is_empty());
        sent.or_else(|| self.row.metadata_value(DETECTED_LEVEL)).unwrap_or(UNKNOWN.as_bytes())
    }

    /// What the level's word stands for, when it is a known one.
    pub fn severity(&self) -> Option<Level> {
        std::str::from_utf8(self.level()).ok().and_then(Level::from_word)
    }

    /// An id for a row that has none of its own: see [`entry_id`].
    pub fn derived_id(&self) -> String {
        entry_id(self.labels(), self.timestamp(), self.line(), 0)
    }

    /// Writes everything that is not shown elsewhere (labels and metadata but service and level) as the
    /// members of a JSON object, without its braces. Returns whether there was any.
    pub fn write_context_members(&self, out: &mut Vec<u8>) -> bool {
        const SHOWN: [&str; 4] = [SERVICE_NAME, "service", "level", DETECTED_LEVEL];
        let labels = self.labels().iter().map(|(name, value)| (name, value.as_bytes()));
        let mut any = false;
        for (name, value) in labels.chain(self.metadata()) {
            if SHOWN.contains(&name) {
                continue;
            }
            if any {
                out.push(b',');
            }
            any = true;
            write_key(out, name);
            write_string(out, value);
        }
        any
    }
}

/// An id derived from stream, time and line: the same on every surface. Rows that are equal in all three have
/// the same one; `ordinal` tells them apart where that matters.
pub fn entry_id(stream: &Labels, timestamp: Timestamp, line: &[u8], ordinal: u64) -> String {
    let (stream, nanos, line) = (stream.stable_hash(), timestamp.as_nanos(), xxh3_64(line) as u32);
    if ordinal == 0 {
        format!("{stream:016x}-{nanos:x}-{line:08x}")
    } else {
        format!("{stream:016x}-{nanos:x}-{line:08x}-{ordinal}")
    }
}

/// Appends bytes that should be a JSON text: as they are when they are one, else as a string.
pub fn write_json_or_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut reader = JsonReader::new(bytes, DEPTH_MAX);
    match reader.skip().and_then(|()| reader.finish()) {
        // Only strings can hold bytes that are not UTF-8, and there U+FFFD is as good.
        Ok(()) => out.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes()),
        Err(_) => write_string(out, bytes),
    }
}

/// Appends a string, or `null` when there is none.
pub fn write_optional_string(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => write_string(out, bytes),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends a JSON text, or `null` when there is none.
pub fn write_optional_json(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => write_json_or_string(out, bytes),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends digits as a number, anything else as a string.
pub fn write_optional_number(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(digits) if std::str::from_utf8(digits).is_ok_and(|text| text.parse::<i128>().is_ok()) => {
            // `+7` is an integer to Rust, but not to JSON.
            out.extend_from_slice(digits.strip_prefix(b"+").unwrap_or(digits));
        }
        other => write_optional_string(out, other),
    }
}
