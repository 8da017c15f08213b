//! A batch of records that each bring their own labels, as the formats without streams do.
//!
//! Label sets that were just used are known again without being built again, and every record gets its
//! `detected_level` when the request asks for it.

use timberyard_model::batch::EqualEntries;
use timberyard_model::batch_builder::RecordError;
use timberyard_model::limits::RecordLimits;
use timberyard_model::{BatchBuilder, Labels, LogBatch, TenantId, Timestamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::context::DecodeContext;
use crate::level_detection::{DETECTED_LEVEL, LevelDetector};

/// How many label sets are remembered.
const STREAMS_KNOWN_MAX: usize = 256;

/// The places in which a label set may stand: its hash says the first, the others follow it.
const PLACES: usize = 4;

/// Collects the records of one tenant. Equal ones are kept apart: only Loki's pushes merge. Metadata may be
/// as large as a line, where that limit is the higher one.
#[derive(Debug)]
pub(crate) struct RecordBatch {
    builder: BatchBuilder,
    detect_level: bool,
    known: Vec<KnownStream>,
    /// By a label set's hash, its number in `known`; where none was seen, one beyond all.
    places: [u16; STREAMS_KNOWN_MAX],
    /// Kept for its memory.
    pairs: Vec<(&'static str, &'static [u8])>,
}

#[derive(Debug)]
struct KnownStream {
    hash: u64,
    /// As they were given: any order, any duplicates.
    pairs: Vec<(Box<str>, Box<str>)>,
    number: u32,
    detector: LevelDetector,
}

/// One record, with texts of any kind.
pub(crate) struct Record<'r, N, V, M> {
    /// Labels, in any order; pairs with an empty value are left out, of equal names the last counts.
    pub(crate) labels: &'r [(N, V)],
    pub(crate) timestamp: Timestamp,
    pub(crate) line: &'r [u8],
    pub(crate) metadata: &'r [(M, &'r [u8])],
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
            places: [u16::MAX; STREAMS_KNOWN_MAX],
            pairs: Vec::new(),
        }
    }

    /// Adds a record, or says why it is refused.
    pub(crate) fn push<N, V, M>(&mut self, record: &Record<'_, N, V, M>) -> Result<(), RecordError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
        M: AsRef<str>,
    {
        let stream = self.stream(record.labels);
        let Some(stream) = self.known.get(stream) else { return Ok(()) };
        let mut pairs = recycled(std::mem::take(&mut self.pairs));
        pairs.extend(record.metadata.iter().map(|(name, value)| (name.as_ref(), *value)));
        if self.detect_level
            && let Some(level) = stream.detector.detect(&pairs, record.line)
        {
            pairs.push((DETECTED_LEVEL, level));
        }
        let pushed = self.builder.push(stream.number, record.timestamp, record.line, &pairs);
        self.pairs = recycled(pairs);
        pushed
    }

    /// Gives the record that was added last a key that must be unique within the tenant.
    pub(crate) fn unique_key(&mut self, key: &str) {
        self.builder.unique_key(key);
    }

    pub(crate) fn finish(self) -> LogBatch {
        self.builder.finish()
    }

    /// Where the label set stands among the known ones. A new one takes a free place, or that of one that was known.
    fn stream<N: AsRef<str>, V: AsRef<str>>(&mut self, labels: &[(N, V)]) -> usize {
        let hash = labels.iter().fold(0, |hash, (name, value)| {
            let hash = xxh3_64_with_seed(name.as_ref().as_bytes(), hash);
            xxh3_64_with_seed(value.as_ref().as_bytes(), hash)
        });
        let new = self.known.len();
        // Where a new one goes when all places are taken depends on the hash too, so that two do not take turns at one.
        let mut chosen = (hash as usize).wrapping_add((hash >> 32) as usize % PLACES) % STREAMS_KNOWN_MAX;
        for step in 0..PLACES {
            let place = (hash as usize).wrapping_add(step) % STREAMS_KNOWN_MAX;
            let index = self.places.get(place).map_or(new, |index| usize::from(*index));
            match self.known.get(index) {
                Some(stream) if stream.hash == hash && stream.has(labels) => return index,
                Some(_) => {}
                None => {
                    chosen = place;
                    break;
                }
            }
        }
        let Some(place) = self.places.get_mut(chosen) else { return new };
        let index = usize::from(*place).min(new);
        let pairs = labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        let set = Labels::from_pairs(pairs.clone());
        let stream = KnownStream {
            hash,
            pairs: pairs.map(|(name, value)| (name.into(), value.into())).collect(),
            number: self.builder.stream(&set),
            detector: LevelDetector::new(&set),
        };
        match self.known.get_mut(index) {
            Some(known) => *known = stream,
            None => self.known.push(stream),
        }
        *place = index as u16;
        index
    }
}

impl KnownStream {
    /// Whether these are its labels, given in the same order.
    fn has<N: AsRef<str>, V: AsRef<str>>(&self, labels: &[(N, V)]) -> bool {
        self.pairs.len() == labels.len()
            && self
                .pairs
                .iter()
                .zip(labels)
                .all(|(known, (name, value))| (&*known.0, &*known.1) == (name.as_ref(), value.as_ref()))
    }
}

/// The memory of a list, for pairs that live as long as is wanted.
pub(crate) fn recycled<'b>(mut pairs: Vec<(&str, &[u8])>) -> Vec<(&'b str, &'b [u8])> {
    pairs.clear();
    pairs.into_iter().map(|_| ("", &b""[..])).collect()
}
