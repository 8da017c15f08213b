//! Builds a [`LogBatch`] row by row, refusing rows that break the record limits.

use crate::batch::{EqualEntries, LogBatch, UniqueKey};
use crate::labels::Labels;
use crate::limits::RecordLimits;
use crate::rows::{RowsBuilder, RowsFull};
use crate::tenant::TenantId;
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Why one record was refused. Its neighbours can still be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The line is over the limit.
    #[error("line is {bytes} bytes, limit is {limit}")]
    LineTooLong {
        /// The line's length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The timestamp is too far in the future.
    #[error("timestamp {timestamp} is more than {limit_seconds} seconds in the future")]
    InTheFuture {
        /// The record's timestamp.
        timestamp: Timestamp,
        /// The limit in seconds.
        limit_seconds: i64,
    },
    /// The timestamp is older than anything that is kept.
    #[error("timestamp {timestamp} is too old, logs are kept from {oldest} on")]
    TooOld {
        /// The record's timestamp.
        timestamp: Timestamp,
        /// The earliest that is taken.
        oldest: Timestamp,
    },
    /// Too many metadata pairs.
    #[error("record has {pairs} structured metadata pairs, limit is {limit}")]
    TooManyMetadataPairs {
        /// Pairs in the record.
        pairs: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many bytes of metadata.
    #[error("structured metadata of the record is {bytes} bytes, limit is {limit}")]
    MetadataTooLarge {
        /// Bytes in the record.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The batch has as many records as one can have.
    #[error("request has more than {BATCH_RECORDS_MAX} records, the most that one can have")]
    TooManyRecords,
    /// The batch is full.
    #[error(transparent)]
    Full(#[from] RowsFull),
}

/// The most records of one batch. Empty records take a few bytes on the wire and tens in memory, so
/// that a limit on the body's bytes alone would let a small body become a large batch.
pub const BATCH_RECORDS_MAX: usize = 4 << 20;

/// Collects rows for one [`LogBatch`].
#[derive(Debug)]
pub struct BatchBuilder {
    tenant: TenantId,
    received_at: Timestamp,
    equal_entries: EqualEntries,
    limits: RecordLimits,
    rows: RowsBuilder,
    unique_keys: Vec<UniqueKey>,
}

impl BatchBuilder {
    /// An empty batch. `received_at` is also what "in the future" is measured from.
    pub fn new(
        tenant: TenantId,
        received_at: Timestamp,
        equal_entries: EqualEntries,
        limits: &RecordLimits,
    ) -> Self {
        Self {
            tenant,
            received_at,
            equal_entries,
            limits: limits.clone(),
            rows: RowsBuilder::default(),
            unique_keys: Vec::new(),
        }
    }

    /// Makes room for `bytes` of lines and metadata: a decoder knows its body's length.
    pub fn reserve_bytes(&mut self, bytes: usize) {
        self.rows.reserve_bytes(bytes);
    }

    /// The number of a stream, adding it if it is new. Label rules differ between
    /// protocols and are the decoder's business.
    pub fn stream(&mut self, labels: &Labels) -> u32 {
        self.rows.stream(labels)
    }

    /// Adds a row, or says why it is refused; a refused row leaves the batch as it was.
    pub fn push(
        &mut self,
        stream: u32,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &[(&str, &[u8])],
    ) -> Result<(), RecordError> {
        let limits = &self.limits;
        if self.rows.len() >= BATCH_RECORDS_MAX {
            return Err(RecordError::TooManyRecords);
        }
        if line.len() > limits.line_bytes_max {
            return Err(RecordError::LineTooLong { bytes: line.len(), limit: limits.line_bytes_max });
        }
        let latest =
            self.received_at.saturating_add_nanos(limits.future_seconds_max.saturating_mul(NANOS_PER_SECOND));
        if timestamp > latest {
            return Err(RecordError::InTheFuture { timestamp, limit_seconds: limits.future_seconds_max });
        }
        let oldest = limits.oldest(self.received_at);
        if timestamp < oldest {
            return Err(RecordError::TooOld { timestamp, oldest });
        }
        if metadata.len() > limits.metadata_pairs_max {
            return Err(RecordError::TooManyMetadataPairs {
                pairs: metadata.len(),
                limit: limits.metadata_pairs_max,
            });
        }
        let bytes = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > limits.metadata_bytes_max {
            return Err(RecordError::MetadataTooLarge { bytes, limit: limits.metadata_bytes_max });
        }
        self.rows.push(stream, timestamp, line, metadata.iter().copied())?;
        Ok(())
    }

    /// Gives the row that was added last a key that must be unique within the tenant.
    pub fn unique_key(&mut self, key: &str) {
        debug_assert!(!self.rows.is_empty());
        self.unique_keys.push(UniqueKey { row: (self.rows.len() - 1) as u32, key: key.into() });
    }

    /// How many rows were added.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row was added.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The batch.
    pub fn finish(self) -> LogBatch {
        LogBatch {
            tenant: self.tenant,
            received_at: self.received_at,
            equal_entries: self.equal_entries,
            rows: self.rows.finish(),
            unique_keys: self.unique_keys,
            origins: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_row_leaves_its_neighbours() {
        let now = Timestamp::from_nanos(1_000);
        let limits = RecordLimits { line_bytes_max: 3, ..RecordLimits::default() };
        let mut batch = BatchBuilder::new(TenantId::default(), now, EqualEntries::Keep, &limits);
        let stream = batch.stream(&Labels::from_pairs([("app", "api")]));
        batch.push(stream, now, b"one", &[]).expect("fits");
        assert_eq!(
            batch.push(stream, now, b"four", &[]).expect_err("too long").to_string(),
            "line is 4 bytes, limit is 3"
        );
        let late = now.saturating_add_nanos(600 * NANOS_PER_SECOND);
        batch.push(stream, late, b"two", &[]).expect("ten minutes are allowed");
        assert!(batch.push(stream, late.saturating_add_nanos(1), b"", &[]).is_err());
        assert_eq!(batch.finish().rows.len(), 2);
    }
}
