//! Every bound of the system, named, with its unit last in the name.
//!
//! Defaults are Loki's where Loki has the limit. `app` fills this from the settings; everyone
//! else is handed a reference.

use crate::time::{NANOS_PER_SECOND, Timestamp};

/// All limits, by what they bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bounds on one request body.
    pub request: RequestLimits,
    /// Bounds on one log record.
    pub record: RecordLimits,
    /// Bounds on one query.
    pub query: QueryLimits,
    /// Bounds on what one client or tenant may ask for over time.
    pub rate: RateLimits,
}

/// Bounds on one request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// A body as it comes over the wire, in bytes.
    pub body_bytes_max: usize,
    /// The same body after decompression, in bytes.
    pub inflated_bytes_max: usize,
    /// How deep JSON arrays and objects may nest.
    pub json_depth_max: usize,
    /// Events in one request to `/api/v1/batch-ingest`.
    pub events_max: usize,
    /// Seconds until an unfinished request is given up.
    pub timeout_seconds: u64,
}

/// Bounds on one log record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// A line, in bytes.
    pub line_bytes_max: usize,
    /// Label names in a stream, without those that Timberyard adds.
    pub label_names_max: usize,
    /// A label name, in bytes.
    pub label_name_bytes_max: usize,
    /// A label value, in bytes.
    pub label_value_bytes_max: usize,
    /// Values of one label of a tenant and day; the label that has more becomes structured metadata. 0: no limit.
    pub label_values_max: usize,
    /// Structured metadata pairs of a record.
    pub metadata_pairs_max: usize,
    /// Structured metadata of a record, names and values, in bytes.
    pub metadata_bytes_max: usize,
    /// How far a timestamp may lie in the future, in seconds.
    pub future_seconds_max: i64,
    /// How far a timestamp may lie in the past, in seconds: what is older would be hidden by retention as soon as it
    /// is stored. Nothing where some stream is kept for ever.
    pub age_seconds_max: Option<u64>,
}

/// Bounds on one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Lines that one log query returns (`max_entries_limit_per_query`).
    pub entries_max: usize,
    /// Series that one metric query returns (`max_query_series`).
    pub series_max: usize,
    /// Steps of one range query (11,000 in Loki).
    pub points_max: usize,
    /// Seconds until a query is given up (`query_timeout`).
    pub timeout_seconds: u64,
    /// Memory that the rows and states of one query may hold, in bytes.
    pub memory_bytes_max: usize,
    /// The text of a query, in bytes.
    pub text_bytes_max: usize,
    /// How deep expressions may nest.
    pub depth_max: usize,
    /// Connections that tail at the same time.
    pub tails_max: usize,
}

/// Bounds on what one client or tenant may ask for over time; `None` is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests a minute of one key, or of one address that sends none.
    pub requests_per_minute: Option<u64>,
    /// Requests that may come at once before the rate counts; a minute's worth when `None`.
    pub burst: Option<u64>,
    /// Requests a minute of one address, whatever its keys.
    pub address_requests_per_minute: Option<u64>,
    /// Bytes of lines and metadata that one tenant may send in a second.
    pub bytes_per_second: Option<u64>,
    /// Requests of one tenant that are answered at the same time.
    pub requests_max: Option<usize>,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            inflated_bytes_max: 64 << 20,
            json_depth_max: 64,
            events_max: 1000,
            timeout_seconds: 30,
        }
    }
}

impl RecordLimits {
    /// The earliest time that a record may have which is received at this one.
    pub fn oldest(&self, received_at: Timestamp) -> Timestamp {
        self.age_seconds_max.map_or(Timestamp::MIN, |seconds| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            received_at.saturating_add_nanos(seconds.saturating_mul(-NANOS_PER_SECOND))
        })
    }
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self {
            line_bytes_max: 262_144,
            label_names_max: 15,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 2048,
            label_values_max: 100_000,
            metadata_pairs_max: 128,
            metadata_bytes_max: 65_536,
            future_seconds_max: 600,
            age_seconds_max: None,
        }
    }
}

impl QueryLimits {
    /// What both allow.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            entries_max: self.entries_max.min(other.entries_max),
            series_max: self.series_max.min(other.series_max),
            points_max: self.points_max.min(other.points_max),
            timeout_seconds: self.timeout_seconds.min(other.timeout_seconds),
            memory_bytes_max: self.memory_bytes_max.min(other.memory_bytes_max),
            text_bytes_max: self.text_bytes_max.min(other.text_bytes_max),
            depth_max: self.depth_max.min(other.depth_max),
            tails_max: self.tails_max.min(other.tails_max),
        }
    }
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            entries_max: 5000,
            series_max: 500,
            points_max: 11_000,
            timeout_seconds: 60,
            memory_bytes_max: 512 << 20,
            text_bytes_max: 131_072,
            depth_max: 256,
            tails_max: 100,
        }
    }
}
