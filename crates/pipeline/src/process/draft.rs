//! One row while steps work on it.
//!
//! What was sent stays where it is in its batch; what steps make lies in buffers that are used again for the next row, so
//! that a row costs no allocation. A row's limits hold here too: what does not fit is left out, and the step is told.

use std::ops::Range;

use timberyard_model::limits::RecordLimits;
use timberyard_model::rows::{RowsBuilder, RowsFull};
use timberyard_model::{Labels, RowRef, Timestamp};

use super::destinations::Destinations;

/// How many changes of labels are remembered.
const RELABELLED_MAX: usize = 32;

/// The row, with buffers for whatever is made of it.
pub(super) struct Draft<'b> {
    limits: &'b RecordLimits,
    timestamp: Timestamp,
    labels: Labels,
    line: Piece<'b>,
    metadata: Vec<(Name<'b>, Piece<'b>)>,
    metadata_bytes: usize,
    /// Where the row goes.
    pub(super) destinations: Destinations,
    made: Vec<u8>,
    made_names: String,
    scratch: Vec<u8>,
    fields: Fields,
    relabelled: Vec<Relabelling>,
}

#[derive(Clone)]
enum Piece<'b> {
    Sent(&'b [u8]),
    Made(Range<usize>),
}

#[derive(Clone)]
enum Name<'b> {
    Sent(&'b str),
    Made(Range<usize>),
}

/// What became of labels before; it becomes of them again.
struct Relabelling {
    step: usize,
    from: Labels,
    value: Box<[u8]>,
    to: Relabelled,
}

/// What a step makes of labels.
#[derive(Clone)]
pub(super) enum Relabelled {
    /// Nothing else.
    Same,
    /// These.
    To(Labels),
    /// The row goes away.
    Dropped,
    /// They would break a limit, so they stay.
    Refused,
}

/// Fields of one text, before they are taken.
#[derive(Default)]
pub(super) struct Fields {
    bytes: Vec<u8>,
    pairs: Vec<(Range<usize>, Range<usize>)>,
}

impl Fields {
    /// Adds a field. Names that no label could have are made into such.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        if name.first().is_some_and(u8::is_ascii_digit) {
            self.bytes.push(b'_');
        }
        self.bytes.extend(name.iter().map(|byte| if byte.is_ascii_alphanumeric() { *byte } else { b'_' }));
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        if middle > start {
            self.pairs.push((start..middle, middle..self.bytes.len()));
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.pairs.iter().filter_map(|(name, value)| {
            let name = std::str::from_utf8(self.bytes.get(name.clone())?).ok()?;
            Some((name, self.bytes.get(value.clone())?))
        })
    }

    fn get(&self, wanted: &str) -> Option<&[u8]> {
        self.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }
}

/// Which fields are taken.
pub(super) struct FieldsWanted {
    /// These; all of them when empty.
    pub(super) names: Vec<String>,
    /// What goes before their names.
    pub(super) prefix: String,
    /// The one that takes the line's place.
    pub(super) line: Option<String>,
}

/// What came of reading fields.
pub(super) struct Taken {
    /// Whether the row is another.
    pub(super) changed: bool,
    /// Whether the text could be read and everything had room.
    pub(super) whole: bool,
}

impl<'b> Draft<'b> {
    /// No row yet.
    pub(super) fn new(limits: &'b RecordLimits) -> Self {
        Self {
            limits,
            timestamp: Timestamp::MIN,
            labels: Labels::default(),
            line: Piece::Sent(&[]),
            metadata: Vec::new(),
            metadata_bytes: 0,
            destinations: Destinations::ALL,
            made: Vec::new(),
            made_names: String::new(),
            scratch: Vec::new(),
            fields: Fields::default(),
            relabelled: Vec::new(),
        }
    }

    /// Takes up the next row.
    pub(super) fn load(&mut self, row: RowRef<'b>) {
        self.timestamp = row.timestamp();
        self.labels = row.labels().clone();
        self.line = Piece::Sent(row.line());
        self.made.clear();
        self.made_names.clear();
        self.metadata.clear();
        self.metadata.extend(row.metadata().map(|(name, value)| (Name::Sent(name), Piece::Sent(value))));
        self.metadata_bytes = row.metadata().map(|(name, value)| name.len() + value.len()).sum();
        self.destinations = Destinations::ALL;
    }

    /// Adds the row to others.
    pub(super) fn push_to(&self, rows: &mut RowsBuilder) -> Result<(), RowsFull> {
        let stream = rows.stream(&self.labels);
        let metadata = self.metadata.iter().map(|(name, value)| (self.name(name), self.bytes(value)));
        rows.push(stream, self.timestamp, self.line(), metadata)
    }

    pub(super) fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn line(&self) -> &[u8] {
        self.bytes(&self.line)
    }

    /// A label's value, else structured metadata of that name.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        let metadata = || {
            let found = self.metadata.iter().find(|(known, _)| self.name(known) == name);
            found.map(|(_, value)| self.bytes(value))
        };
        self.labels.get(name).map(str::as_bytes).or_else(metadata)
    }

    /// Rewrites the line, where `rewrite` says that it wrote another one.
    pub(super) fn rewrite_line(&mut self, rewrite: impl FnOnce(&[u8], &mut Vec<u8>) -> bool) -> bool {
        let mut line = self.line.clone();
        let changed = self.rewrite(&mut line, rewrite);
        self.line = line;
        changed
    }

    /// Rewrites the values of structured metadata, each where `rewrite` says that it wrote another one.
    pub(super) fn rewrite_metadata(&mut self, mut rewrite: impl FnMut(&[u8], &mut Vec<u8>) -> bool) -> bool {
        let mut metadata = std::mem::take(&mut self.metadata);
        let mut changed = false;
        for (_, value) in &mut metadata {
            changed |= self.rewrite(value, &mut rewrite);
        }
        self.metadata = metadata;
        changed
    }

    fn rewrite(&mut self, piece: &mut Piece<'b>, rewrite: impl FnOnce(&[u8], &mut Vec<u8>) -> bool) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let changed = rewrite(self.bytes(piece), &mut scratch);
        if changed {
            *piece = self.make(&scratch);
        }
        self.scratch = scratch;
        changed
    }

    /// Gives the row other labels. What `change` makes of labels and value is remembered, so it must depend on them alone.
    pub(super) fn relabel(
        &mut self,
        step: usize,
        value: impl FnOnce(&Self, &mut Vec<u8>),
        change: impl FnOnce(&Labels, &[u8]) -> Relabelled,
    ) -> Relabelled {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        value(self, &mut scratch);
        let is_known = |known: &&Relabelling| {
            known.step == step && known.from == self.labels && *known.value == *scratch
        };
        let to = match self.relabelled.iter().find(is_known) {
            Some(known) => known.to.clone(),
            None => {
                let to = self.checked(change(&self.labels, &scratch));
                if self.relabelled.len() == RELABELLED_MAX {
                    self.relabelled.clear();
                }
                let (from, value) = (self.labels.clone(), scratch.as_slice().into());
                self.relabelled.push(Relabelling { step, from, value, to: to.clone() });
                to
            }
        };
        self.scratch = scratch;
        if let Relabelled::To(labels) = &to {
            let earlier = std::mem::replace(&mut self.labels, labels.clone());
            self.forget_metadata(&earlier);
        }
        to
    }

    /// A new label takes the place of structured metadata of its name.
    fn forget_metadata(&mut self, earlier: &Labels) {
        let mut metadata = std::mem::take(&mut self.metadata);
        metadata.retain(|(name, _)| {
            let name = self.name(name);
            self.labels.get(name).is_none() || earlier.get(name).is_some()
        });
        self.metadata = metadata;
    }

    /// The same, if it is within the limits and another.
    fn checked(&self, to: Relabelled) -> Relabelled {
        let Relabelled::To(mut labels) = to else { return to };
        // Every stream has a service.
        if let (None, Some(service)) = (labels.get(SERVICE_NAME), self.labels.get(SERVICE_NAME)) {
            labels = labels.with(SERVICE_NAME, service);
        }
        if labels == self.labels {
            return Relabelled::Same;
        }
        let limits = self.limits;
        let grew = labels.len() > self.labels.len() && labels.len() > limits.label_names_max + ADDED_LABELS;
        let is_long = |(name, value): (&str, &str)| {
            (name.len() > limits.label_name_bytes_max || value.len() > limits.label_value_bytes_max)
                && self.labels.get(name) != Some(value)
        };
        if grew || labels.iter().any(is_long) { Relabelled::Refused } else { Relabelled::To(labels) }
    }

    /// Reads fields out of the line, or of another field, and takes those that are wanted and that the row does not have.
    /// `read` is false where the text is not what it should be: what it found until then counts.
    pub(super) fn take_fields(
        &mut self,
        from: Option<&str>,
        wanted: &FieldsWanted,
        read: impl FnOnce(&[u8], &mut Fields) -> bool,
    ) -> Taken {
        let mut fields = std::mem::take(&mut self.fields);
        fields.bytes.clear();
        fields.pairs.clear();
        let text = match from {
            None => Some(self.line()),
            Some(name) => self.field(name),
        };
        let mut taken = Taken { changed: false, whole: true };
        if let Some(text) = text {
            taken.whole = read(text, &mut fields);
        }
        for (name, value) in fields.iter() {
            if wanted.names.is_empty() || wanted.names.iter().any(|known| known == name) {
                match self.add(&wanted.prefix, name, value) {
                    Some(added) => taken.changed |= added,
                    None => taken.whole = false,
                }
            }
        }
        let line = wanted.line.as_deref().and_then(|name| fields.get(name));
        if let Some(line) = line {
            if line.len() <= self.limits.line_bytes_max {
                taken.changed |= line != self.line();
                self.line = self.make(line);
            } else {
                taken.whole = false;
            }
        }
        self.fields = fields;
        taken
    }

    /// Adds structured metadata, unless the row has that name already; `None` when there is no room for it.
    fn add(&mut self, prefix: &str, name: &str, value: &[u8]) -> Option<bool> {
        let start = self.made_names.len();
        self.made_names.push_str(prefix);
        self.made_names.push_str(name);
        let range = start..self.made_names.len();
        let name = self.made_names.get(range.clone())?;
        if self.field(name).is_some() {
            self.made_names.truncate(start);
            return Some(false);
        }
        let bytes = range.len() + value.len();
        let (pairs_max, bytes_max) = (self.limits.metadata_pairs_max, self.limits.metadata_bytes_max);
        if self.metadata.len() >= pairs_max || self.metadata_bytes + bytes > bytes_max {
            self.made_names.truncate(start);
            return None;
        }
        self.metadata_bytes += bytes;
        let value = self.make(value);
        self.metadata.push((Name::Made(range), value));
        Some(true)
    }

    fn make(&mut self, bytes: &[u8]) -> Piece<'b> {
        let start = self.made.len();
        self.made.extend_from_slice(bytes);
        Piece::Made(start..self.made.len())
    }

    fn bytes<'s>(&'s self, piece: &'s Piece<'b>) -> &'s [u8] {
        match piece {
            Piece::Sent(bytes) => bytes,
            Piece::Made(range) => self.made.get(range.clone()).unwrap_or_default(),
        }
    }

    fn name<'s>(&'s self, name: &'s Name<'b>) -> &'s str {
        match name {
            Name::Sent(name) => name,
            Name::Made(range) => self.made_names.get(range.clone()).unwrap_or_default(),
        }
    }
}

/// The label that every stream has.
const SERVICE_NAME: &str = "service_name";
/// Labels that the server adds, which do not count against the limit.
const ADDED_LABELS: usize = 1;
