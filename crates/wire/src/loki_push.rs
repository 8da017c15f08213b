//! What the JSON and the protobuf form of a Loki push have in common: which streams and entries
//! Loki takes, in which words it refuses the others, and what it adds to them.
//!
//! Labels that cannot be read refuse the whole body, as in Loki; a stream or an entry that breaks a
//! limit is refused alone and its neighbours are kept. Equal entries merge. Structured metadata is
//! kept sorted by name, without empty values, names made into label names, and `detected_level` added
//! last. Unlike Loki, metadata values that are not UTF-8 stay as they are.

use std::borrow::Cow;
use std::collections::HashMap;

use timberyard_model::batch::EqualEntries;
use timberyard_model::batch_builder::RecordError;
use timberyard_model::limits::RecordLimits;
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{BatchBuilder, Labels, Timestamp};

use crate::context::{DecodeContext, Decoded, Rejections};
use crate::error::DecodeError;
use crate::label_text;
use crate::level_detection::{self, DETECTED_LEVEL, LevelDetector};
use crate::metadata_name;
use crate::record_batch::recycled;
use crate::service_name::{SERVICE_NAME, with_service_name};

/// What Loki answers, with status 422, to a push without streams.
pub const NO_STREAMS: &str = "error at least one valid stream is required for ingestion";

/// The longest text of one stream's labels, in bytes.
pub const LABEL_TEXT_BYTES_MAX: usize = 1 << 24;

/// Structured metadata of one entry as it was sent.
pub(crate) type Metadata<'a> = Vec<(Cow<'a, str>, Cow<'a, [u8]>)>;

/// A push that is being decoded.
pub(crate) struct Push<'c, 'a> {
    context: &'c DecodeContext<'c>,
    batch: BatchBuilder,
    rejected: Rejections,
    streams: Vec<Stream>,
    /// Streams by the text of their labels, so that a text is read once.
    by_text: HashMap<&'a [u8], usize>,
    /// Entries seen so far, taken or refused.
    entries: u64,
    streams_seen: bool,
    /// Kept for its memory.
    pairs: Vec<(&'static str, &'static [u8])>,
}

/// A stream of the body.
struct Stream {
    labels: Labels,
    detector: LevelDetector,
    state: StreamState,
}

enum StreamState {
    /// No entry yet: a stream without entries is neither checked nor kept.
    New,
    /// Taken, under this number of the batch.
    Taken(u32),
    /// Refused; the reason, until it was told.
    Refused(Option<String>),
}

impl<'c, 'a> Push<'c, 'a> {
    /// For a body of `body_bytes`, whose equal entries merge or, where it is not Loki's, are kept apart.
    pub(crate) fn new(context: &'c DecodeContext<'c>, body_bytes: usize, equal: EqualEntries) -> Self {
        let record = &context.limits.record;
        // The level that is added here does not count against the sender's metadata.
        let limits = RecordLimits {
            metadata_pairs_max: record.metadata_pairs_max.saturating_add(1),
            metadata_bytes_max: record
                .metadata_bytes_max
                .saturating_add(DETECTED_LEVEL.len() + record.label_value_bytes_max.max(16)),
            ..record.clone()
        };
        let mut batch = BatchBuilder::new(context.tenant.clone(), context.received_at, equal, &limits);
        // What surrounds an entry in either form is longer than the level that is added to it.
        batch.reserve_bytes(body_bytes);
        Self {
            context,
            batch,
            rejected: Rejections::default(),
            streams: Vec::new(),
            by_text: HashMap::new(),
            entries: 0,
            streams_seen: false,
            pairs: Vec::new(),
        }
    }

    /// The stream with labels that came as text.
    pub(crate) fn stream_of_text(&mut self, text: &'a [u8]) -> Result<usize, DecodeError> {
        self.streams_seen = true;
        if let Some(stream) = self.by_text.get(text) {
            return Ok(*stream);
        }
        let stream = self.stream_of_owned_text(text)?;
        self.by_text.insert(text, stream);
        Ok(stream)
    }

    /// As [`Self::stream_of_text`], for a text that does not stand in the body.
    pub(crate) fn stream_of_owned_text(&mut self, text: &[u8]) -> Result<usize, DecodeError> {
        self.streams_seen = true;
        if text.len() > LABEL_TEXT_BYTES_MAX {
            return Err(DecodeError::TooLarge { what: "text of stream labels", limit: LABEL_TEXT_BYTES_MAX });
        }
        let text = std::str::from_utf8(text)
            .map_err(|_| DecodeError::malformed("couldn't parse labels: not valid UTF-8"))?;
        let pairs = label_text::parse(text)
            .map_err(|error| DecodeError::malformed(format!("couldn't parse labels: {error}")))?;
        self.stream_of_pairs(pairs, true)
    }

    /// The stream with these labels, whose names follow the rule.
    pub(crate) fn stream_of_pairs(
        &mut self,
        mut pairs: label_text::Pairs,
        refuse_duplicates: bool,
    ) -> Result<usize, DecodeError> {
        self.streams_seen = true;
        // A label set cannot hold one name twice, so that is looked for before one is made.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let duplicate = pairs.windows(2).find_map(|two| match two {
            [(first, _), (second, _)] if refuse_duplicates && first == second => Some(first.clone()),
            _ => None,
        });
        let text = duplicate
            .as_ref()
            .map(|_| label_text::write(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
        let mut labels = Labels::from_pairs(pairs);
        if self.context.discover_service_name {
            labels = with_service_name(&labels);
        }
        let detector = LevelDetector::new(&labels);
        let state = match (duplicate, text) {
            (Some(name), Some(text)) => {
                StreamState::Refused(Some(format!("stream '{text}' has duplicate label name: '{name}'")))
            }
            _ => StreamState::New,
        };
        self.streams.push(Stream { labels, detector, state });
        Ok(self.streams.len() - 1)
    }

    /// Adds one entry, or refuses it alone. Metadata is taken out of `metadata`, whose memory stays.
    pub(crate) fn entry(
        &mut self,
        stream: usize,
        timestamp: Option<Timestamp>,
        line: &[u8],
        metadata: &mut Metadata<'_>,
    ) {
        let index = self.entries;
        self.entries += 1;
        let Some(stream) = self.streams.get_mut(stream) else { return };
        if let StreamState::New = stream.state {
            stream.state = match refusal_of_labels(&stream.labels, &self.context.limits.record) {
                Some(reason) => StreamState::Refused(Some(reason)),
                None => StreamState::Taken(self.batch.stream(&stream.labels)),
            };
        }
        let number = match &mut stream.state {
            StreamState::Taken(number) => *number,
            StreamState::Refused(reason) => {
                // Loki tells it once a stream, however many entries there are.
                return match reason.take() {
                    Some(reason) => self.rejected.add(index, || reason),
                    None => self.rejected.count += 1,
                };
            }
            StreamState::New => return,
        };
        let checked = check_entry(self.context, timestamp, line, metadata);
        let timestamp = match checked {
            Ok(timestamp) => timestamp,
            Err(refusal) => {
                return self.rejected.add(index, || refusal.in_words(&stream.labels));
            }
        };
        let level = if self.context.detect_level { Some(&stream.detector) } else { None };
        let mut pairs = recycled(std::mem::take(&mut self.pairs));
        pairs.extend(metadata.iter().map(|(name, value)| (&**name, &**value)));
        if let Some(detector) = level {
            if let Some(found) = detector.detect(&pairs, line) {
                pairs.push((DETECTED_LEVEL, found));
            } else if let Some(own) = pairs.iter_mut().find(|(name, _)| *name == DETECTED_LEVEL) {
                own.1 = level_detection::normalized(own.1);
            }
        }
        let pushed = self.batch.push(number, timestamp, line, &pairs);
        self.pairs = recycled(pairs);
        if let Err(error) = pushed {
            self.rejected.add(index, || Refusal::Record(error).in_words(&stream.labels));
        }
    }

    /// The batch. A body without any stream is [`DecodeError::Empty`].
    pub(crate) fn finish(self) -> Result<Decoded, DecodeError> {
        if !self.streams_seen {
            return Err(DecodeError::Empty(NO_STREAMS));
        }
        Ok(Decoded { batch: self.batch.finish(), rejected: self.rejected })
    }
}

/// Why a stream with these labels is refused, in Loki's words.
fn refusal_of_labels(labels: &Labels, limits: &RecordLimits) -> Option<String> {
    if labels.is_empty() {
        return Some("error at least one label pair is required per stream".to_owned());
    }
    let text = || label_text::write(labels.iter());
    // `service_name` is not counted: it may have been added here.
    let names = labels.len() - usize::from(labels.get(SERVICE_NAME).is_some());
    if names > limits.label_names_max {
        let limit = limits.label_names_max;
        return Some(format!("entry for stream '{}' has {names} label names; limit {limit}", text()));
    }
    labels.iter().find_map(|(name, value)| {
        if name.len() > limits.label_name_bytes_max {
            Some(format!("stream '{}' has label name too long: '{name}'", text()))
        } else if value.len() > limits.label_value_bytes_max {
            Some(format!("stream '{}' has label value too long: '{value}'", text()))
        } else {
            None
        }
    })
}

/// Why an entry is refused.
enum Refusal {
    NoTimestamp,
    MetadataName(metadata_name::MetadataNameError),
    Record(RecordError),
}

impl Refusal {
    /// In Loki's words, where Loki has some.
    fn in_words(&self, labels: &Labels) -> String {
        let stream = label_text::write(labels.iter());
        match self {
            Self::NoTimestamp => {
                format!("entry for stream '{stream}' has no timestamp, or one outside of 1677 to 2262")
            }
            Self::MetadataName(error) => format!("entry for stream '{stream}': {error}"),
            Self::Record(RecordError::LineTooLong { bytes, limit }) => format!(
                "max entry size '{limit}' bytes exceeded for stream '{stream}' while adding an entry with length '{bytes}' bytes"
            ),
            Self::Record(RecordError::InTheFuture { timestamp, .. }) => {
                let second = whole_second(*timestamp);
                format!("entry for stream '{stream}' has timestamp too new: {second}")
            }
            Self::Record(RecordError::TooOld { timestamp, oldest }) => format!(
                "entry for stream '{stream}' has timestamp too old: {}, oldest acceptable timestamp is: {}",
                whole_second(*timestamp),
                whole_second(*oldest)
            ),
            Self::Record(RecordError::TooManyMetadataPairs { pairs, limit }) => format!(
                "stream '{stream}' has too many structured metadata labels: '{pairs}', limit: '{limit}'"
            ),
            Self::Record(RecordError::MetadataTooLarge { bytes, limit }) => format!(
                "stream '{stream}' has structured metadata too large: '{bytes}' bytes, limit: '{limit}' bytes"
            ),
            Self::Record(error @ (RecordError::TooManyRecords | RecordError::Full(_))) => error.to_string(),
        }
    }
}

/// The time without its part of a second, as Loki shows it.
fn whole_second(time: Timestamp) -> Timestamp {
    let nanos = time.as_nanos();
    Timestamp::from_nanos(nanos.saturating_sub(nanos.rem_euclid(NANOS_PER_SECOND)))
}

/// Checks an entry in Loki's order and brings its metadata into Loki's form.
fn check_entry(
    context: &DecodeContext<'_>,
    timestamp: Option<Timestamp>,
    line: &[u8],
    metadata: &mut Metadata<'_>,
) -> Result<Timestamp, Refusal> {
    let limits = &context.limits.record;
    let timestamp = timestamp.ok_or(Refusal::NoTimestamp)?;
    // Loki asks for the age first.
    let oldest = limits.oldest(context.received_at);
    if timestamp < oldest {
        return Err(Refusal::Record(RecordError::TooOld { timestamp, oldest }));
    }
    let future_nanos = limits.future_seconds_max.saturating_mul(NANOS_PER_SECOND);
    if timestamp > context.received_at.saturating_add_nanos(future_nanos) {
        let limit_seconds = limits.future_seconds_max;
        return Err(Refusal::Record(RecordError::InTheFuture { timestamp, limit_seconds }));
    }
    if line.len() > limits.line_bytes_max {
        let limit = limits.line_bytes_max;
        return Err(Refusal::Record(RecordError::LineTooLong { bytes: line.len(), limit }));
    }
    if metadata.is_empty() {
        return Ok(timestamp);
    }
    let bytes = metadata
        .iter()
        .filter(|(name, _)| name != DETECTED_LEVEL)
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > limits.metadata_bytes_max {
        let limit = limits.metadata_bytes_max;
        return Err(Refusal::Record(RecordError::MetadataTooLarge { bytes, limit }));
    }
    if metadata.len() > limits.metadata_pairs_max {
        let (pairs, limit) = (metadata.len(), limits.metadata_pairs_max);
        return Err(Refusal::Record(RecordError::TooManyMetadataPairs { pairs, limit }));
    }
    normalize(metadata).map_err(Refusal::MetadataName)?;
    Ok(timestamp)
}

/// Makes names into label names, drops empty values, sorts by name. Of pairs that come to one name the
/// last counts, and one whose name had to be changed counts before one that had it already.
fn normalize(metadata: &mut Metadata<'_>) -> Result<(), metadata_name::MetadataNameError> {
    let mut changed = Vec::new();
    let mut index = 0;
    while let Some((name, value)) = metadata.get(index) {
        match metadata_name::sanitized(name)? {
            Cow::Owned(name) => {
                changed.push((Cow::Owned(name), value.clone()));
                metadata.remove(index);
            }
            Cow::Borrowed(_) => index += 1,
        }
    }
    metadata.append(&mut changed);
    metadata.retain(|(_, value)| !value.is_empty());
    metadata.sort_by(|a, b| a.0.cmp(&b.0));
    metadata.dedup_by(|later, earlier| {
        let equal = later.0 == earlier.0;
        if equal {
            std::mem::swap(later, earlier);
        }
        equal
    });
    Ok(())
}
