//! A batch of records that each bring their own labels, as the formats without streams do.
//!
//! Label sets that were just used are known again without being built again, and every record gets its
//! `detected_level` when the request asks for it.

use timberyard_model::batch::EqualEntries;
use timberyard_model::batch_builder::RecordError;
use timberyard_model::limits::RecordLimits;
use timberyard_model::{BatchBuilder, Labels, LogBatch, TenantId, Timestamp};

use crate::context::DecodeContext;
use crate::level_detection::{DETECTED_LEVEL, LevelDetector};

/// How many label sets are remembered.
const STREAMS_KNOWN_MAX: usize = 32;

/// Collects the records of one tenant. Equal ones are kept apart: only Loki's pushes merge. Metadata may be
/// as large as a line, where that limit is the higher one.
#[derive(Debug)]
pub(crate) struct RecordBatch {
    builder: BatchBuilder,
    detect_level: bool,
    known: Vec<KnownStream>,
}

#[derive(Debug)]
struct KnownStream {
    /// As they were given: any order, any duplicates.
    pairs: Vec<(Box<str>, Box<str>)>,
    number: u32,
    detector: LevelDetector,
}

/// One record.
pub(crate) struct Record<'r> {
    /// Labels, in any order; pairs with an empty value are left out, of equal names the last counts.
    pub(crate) labels: &'r [(&'r str, &'r str)],
    pub(crate) timestamp: Timestamp,
    pub(crate) line: &'r [u8],
    pub(crate) metadata: &'r [(&'r str, &'r [u8])],
}

impl RecordBatch {
    pub(crate) fn new(tenant: &TenantId, context: &DecodeContext<'_>) -> Self {
        // Objects and stack traces, which Loki would have in the line, are metadata here.
        let limits = RecordLimits {
            metadata_bytes_max: context
                .limits
                .record
                .metadata_bytes_max
                .max(context.limits.record.line_bytes_max),
            // How long another tenant's logs are kept is not known here.
            age_seconds_max: context.limits.record.age_seconds_max.filter(|_| tenant == context.tenant),
            ..context.limits.record.clone()
        };
        Self {
            builder: BatchBuilder::new(tenant.clone(), context.received_at, EqualEntries::Keep, &limits),
            detect_level: context.detect_level,
            known: Vec::new(),
        }
    }

    /// Adds a record, or says why it is refused.
    pub(crate) fn push(&mut self, record: &Record<'_>) -> Result<(), RecordError> {
        let index = self.stream(record.labels);
        let Some(stream) = self.known.get(index) else { return Ok(()) };
        let metadata = record.metadata;
        let level = if self.detect_level { stream.detector.detect(metadata, record.line) } else { None };
        if let Some(level) = level {
            // The level may borrow from the detector, which outlives this call only.
            let mut with_level: Vec<(&str, &[u8])> = Vec::with_capacity(metadata.len() + 1);
            with_level.extend(metadata.iter());
            with_level.push((DETECTED_LEVEL, level));
            return self.builder.push(stream.number, record.timestamp, record.line, &with_level);
        }
        self.builder.push(stream.number, record.timestamp, record.line, metadata)
    }

    /// Gives the record that was added last a key that must be unique within the tenant.
    pub(crate) fn unique_key(&mut self, key: &str) {
        self.builder.unique_key(key);
    }

    pub(crate) fn finish(self) -> LogBatch {
        self.builder.finish()
    }

    /// Where the label set stands among the known ones.
    fn stream(&mut self, labels: &[(&str, &str)]) -> usize {
        let same = |stream: &KnownStream| {
            stream.pairs.len() == labels.len()
                && stream.pairs.iter().zip(labels).all(|(known, pair)| (&*known.0, &*known.1) == *pair)
        };
        if let Some(index) = self.known.iter().position(same) {
            return index;
        }
        if self.known.len() == STREAMS_KNOWN_MAX {
            self.known.clear();
        }
        let set = Labels::from_pairs(labels.iter().copied());
        self.known.push(KnownStream {
            pairs: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            number: self.builder.stream(&set),
            detector: LevelDetector::new(&set),
        });
        self.known.len() - 1
    }
}
