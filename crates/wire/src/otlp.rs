//! What the protobuf and the JSON form of OTLP logs have in common: how resources, scopes and records become
//! streams and entries, as in Loki.
//!
//! The resource attributes of [`LabelAttributes`](crate::LabelAttributes) are labels, and `service_name` is discovered when there is no
//! `service.name`. Everything else is structured metadata: of equal names the scope's counts before the
//! resource's, and that before the record's own. Maps in attributes are flattened, with `_` between the keys;
//! the body is the line. What a limit refuses is refused record by record, and what Loki refuses a request for
//! (an attribute without a letter or digit in its name), only the records that have it. Equal records are kept.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::{Labels, Timestamp};

use crate::context::{DecodeContext, Decoded, Rejections};
use crate::error::DecodeError;
use crate::loki_push::{Metadata, Push};
use crate::metadata_name;
use crate::otlp_value::{Attribute, Value};

/// What a request is called whose attributes outgrow it.
const EXPANDED_REQUEST: &str = "request, with the attributes of resource and scope at each record,";

/// A request that is being decoded.
pub(crate) struct Export<'c> {
    context: &'c DecodeContext<'c>,
    push: Push<'c, 'static>,
    /// Streams by their labels, so that many empty resources are not many streams.
    streams: HashMap<Labels, usize>,
    /// Bytes of lines and metadata so far. A resource's attributes count for each of its records.
    expanded_bytes: usize,
}

/// A resource that is being read.
pub(crate) struct Resource<'a> {
    labels: Vec<(String, String)>,
    metadata: Metadata<'a>,
    /// Known from its first record on.
    stream: OnceCell<usize>,
}

/// A scope as it was sent.
#[derive(Default)]
pub(crate) struct Scope<'a> {
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) version: Cow<'a, [u8]>,
    pub(crate) attributes: Vec<Attribute<'a>>,
    pub(crate) dropped_attributes_count: u32,
}

/// A record as it was sent; 0 and nothing are the same throughout.
#[derive(Default)]
pub(crate) struct LogRecord<'a> {
    pub(crate) time_nanos: u64,
    pub(crate) observed_time_nanos: u64,
    pub(crate) severity_number: i32,
    pub(crate) severity_text: Cow<'a, [u8]>,
    pub(crate) body: Value<'a>,
    pub(crate) attributes: Vec<Attribute<'a>>,
    pub(crate) dropped_attributes_count: u32,
    pub(crate) flags: u32,
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) event_name: Cow<'a, [u8]>,
}

impl<'c> Export<'c> {
    /// For a body of `body_bytes`.
    pub(crate) fn new(context: &'c DecodeContext<'c>, body_bytes: usize) -> Self {
        Self {
            context,
            push: Push::new(context, body_bytes, EqualEntries::Keep),
            streams: HashMap::new(),
            expanded_bytes: 0,
        }
    }

    /// A resource with these attributes.
    pub(crate) fn resource<'a>(&self, attributes: Vec<Attribute<'a>>) -> Resource<'a> {
        let limits = &self.context.limits.record;
        let (mut labels, mut metadata) = (Vec::new(), Vec::new());
        let (indexed, others): (Vec<_>, Vec<_>) =
            attributes.into_iter().partition(|(key, _)| self.context.label_attributes.accept(key));
        flatten(indexed, limits, &mut labels);
        flatten(others, limits, &mut metadata);
        let labels = labels
            .into_iter()
            .map(|(name, value)| (name.into_owned(), String::from_utf8_lossy(&value).into_owned()))
            .collect();
        Resource { labels, metadata, stream: OnceCell::new() }
    }

    /// The structured metadata of a scope.
    pub(crate) fn scope<'a>(&self, scope: Scope<'a>) -> Metadata<'a> {
        let mut metadata = Vec::new();
        flatten(scope.attributes, &self.context.limits.record, &mut metadata);
        push_text(&mut metadata, "scope_name", scope.name);
        push_text(&mut metadata, "scope_version", scope.version);
        push_number(&mut metadata, "scope_dropped_attributes_count", scope.dropped_attributes_count.into());
        metadata
    }

    /// Adds one record, or refuses it alone. `metadata` is kept for its memory.
    pub(crate) fn record<'r>(
        &mut self,
        resource: &'r Resource<'_>,
        scope: &'r Metadata<'_>,
        record: LogRecord<'r>,
        metadata: &mut Metadata<'r>,
    ) -> Result<(), DecodeError> {
        let timestamp = match (record.time_nanos, record.observed_time_nanos) {
            (0, 0) => Some(self.context.received_at),
            (0, nanos) | (nanos, _) => i64::try_from(nanos).ok().map(Timestamp::from_nanos),
        };
        metadata.clear();
        let line = own_metadata(record, &self.context.limits.record, metadata);
        for (name, value) in resource.metadata.iter().chain(scope) {
            metadata.push((Cow::Borrowed(&**name), Cow::Borrowed(&**value)));
        }
        let metadata_bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.expanded_bytes = self.expanded_bytes.saturating_add(line.len()).saturating_add(metadata_bytes);
        let limit = self.context.limits.request.inflated_bytes_max;
        if self.expanded_bytes > limit {
            return Err(DecodeError::TooLarge { what: EXPANDED_REQUEST, limit });
        }
        let stream = self.stream(resource)?;
        self.push.entry(stream, timestamp, &line, metadata);
        Ok(())
    }

    fn stream(&mut self, resource: &Resource<'_>) -> Result<usize, DecodeError> {
        if let Some(stream) = resource.stream.get() {
            return Ok(*stream);
        }
        let labels = Labels::from_pairs(resource.labels.iter().map(|(name, value)| (&**name, &**value)));
        let stream = match self.streams.get(&labels) {
            Some(stream) => *stream,
            None => {
                let stream = self.push.stream_of_pairs(resource.labels.clone(), false)?;
                self.streams.insert(labels, stream);
                stream
            }
        };
        Ok(*resource.stream.get_or_init(|| stream))
    }

    /// The batch; a request without a record is an empty one.
    pub(crate) fn finish(self) -> Result<Decoded, DecodeError> {
        if self.streams.is_empty() {
            let batch = self.context.batch(EqualEntries::Keep).finish();
            return Ok(Decoded { batch, rejected: Rejections::default() });
        }
        self.push.finish()
    }
}

/// Puts what a record brings itself into `metadata`, and gives its line.
fn own_metadata<'r>(
    record: LogRecord<'r>,
    limits: &RecordLimits,
    metadata: &mut Metadata<'r>,
) -> Cow<'r, [u8]> {
    let mut attributes = record.attributes;
    if !record.event_name.is_empty() {
        attributes.retain(|(key, _)| key != "event_name");
    }
    flatten(attributes, limits, metadata);
    if record.time_nanos != 0 {
        push_number(metadata, "observed_timestamp", record.observed_time_nanos.into());
    }
    push_number(metadata, "severity_number", record.severity_number.into());
    push_text(metadata, "severity_text", record.severity_text);
    push_number(metadata, "dropped_attributes_count", record.dropped_attributes_count.into());
    push_number(metadata, "flags", record.flags.into());
    push_id(metadata, "trace_id", &record.trace_id);
    push_id(metadata, "span_id", &record.span_id);
    push_text(metadata, "event_name", record.event_name);
    record.body.into_text()
}

fn push_text<'r>(metadata: &mut Metadata<'r>, name: &'static str, value: Cow<'r, [u8]>) {
    if !value.is_empty() {
        metadata.push((Cow::Borrowed(name), value));
    }
}

fn push_number(metadata: &mut Metadata<'_>, name: &'static str, number: i128) {
    if number != 0 {
        metadata.push((Cow::Borrowed(name), Cow::Owned(number.to_string().into_bytes())));
    }
}

/// An id in hexadecimal digits; zeros are none.
fn push_id(metadata: &mut Metadata<'_>, name: &'static str, id: &[u8]) {
    if id.iter().any(|byte| *byte != 0) {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).map_or(b'0', |digit| digit as u8);
        let digits = id.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        metadata.push((Cow::Borrowed(name), Cow::Owned(digits)));
    }
}

/// Appends attributes under the names that labels may have, with the members of maps under the joined names.
///
/// Stops behind the pair that breaks a limit on metadata, by which the record will be refused: long keys over
/// many members would else grow without bound.
fn flatten<'a>(attributes: Vec<Attribute<'a>>, limits: &RecordLimits, out: &mut Metadata<'a>) {
    let mut flattening = Flattening { path: Vec::new(), out, pairs: 0, bytes: 0, limits };
    flattening.add_all(attributes);
}

struct Flattening<'f, 'a> {
    /// Keys of the maps around.
    path: Vec<Cow<'a, str>>,
    out: &'f mut Metadata<'a>,
    pairs: usize,
    bytes: usize,
    limits: &'f RecordLimits,
}

impl<'a> Flattening<'_, 'a> {
    fn add_all(&mut self, attributes: Vec<Attribute<'a>>) {
        for (key, value) in attributes {
            if self.pairs > self.limits.metadata_pairs_max || self.bytes > self.limits.metadata_bytes_max {
                return;
            }
            match value {
                Value::Map(members) => {
                    self.path.push(key);
                    self.add_all(members);
                    self.path.pop();
                }
                value => self.add(key, value.into_text()),
            }
        }
    }

    fn add(&mut self, key: Cow<'a, str>, value: Cow<'a, [u8]>) {
        let name = if self.path.is_empty() {
            key
        } else {
            let mut joined = self.path.join("_");
            joined.push('_');
            joined.push_str(&key);
            Cow::Owned(joined)
        };
        // A name that no label name can be made of stays, and its record is refused for it.
        let changed = match metadata_name::sanitized(&name) {
            Ok(Cow::Owned(changed)) => Some(changed),
            Ok(Cow::Borrowed(_)) | Err(_) => None,
        };
        let name = changed.map_or(name, Cow::Owned);
        self.pairs += 1;
        self.bytes += name.len() + value.len();
        self.out.push((name, value));
    }
}
