//! The row that stages work on: a line and labels of three kinds, with what stages did to them.
//!
//! Labels that come from the stream, from structured metadata and from parsing are kept apart, as
//! Loki does; of equal names the parsed one is seen, then metadata, then the stream's. A row is
//! made once and reset for each entry: names and values lie in one buffer that is used again, so a
//! row that stages add labels to costs no allocation once the buffer has grown.

use std::borrow::Cow;
use std::collections::HashSet;

use timberyard_model::field_values::RowFields;
use timberyard_model::{Labels, RowRef, Timestamp};

/// The label that tells what went wrong in a stage.
pub const ERROR_LABEL: &str = "__error__";
/// The label with the words of that error.
pub const ERROR_DETAILS_LABEL: &str = "__error_details__";
/// A template sets it to keep `__error__` where it would be dropped.
pub const PRESERVE_ERROR_LABEL: &str = "__preserve_error__";
/// Ends the name of a parsed or metadata label that a stream label has taken.
pub const EXTRACTED_SUFFIX: &str = "_extracted";

/// From so many parsed labels on, names are looked up in a set instead of one after the other, so
/// that a line with thousands of keys does not take time for each pair of them.
const NARROW_LABELS_MAX: usize = 64;

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// The stream.
    Stream,
    /// Structured metadata of the entry.
    Metadata,
    /// A stage.
    Parsed,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Added {
    category: Category,
    name: Span,
    value: Span,
}

/// An entry on its way through a pipeline.
#[derive(Debug)]
pub struct WorkingRow<'a> {
    timestamp: Timestamp,
    now: Option<Timestamp>,
    stream: &'a Labels,
    line: Cow<'a, [u8]>,
    fields: Option<RowFields<'a>>,
    spare: Vec<u8>,
    text: String,
    added: Vec<Added>,
    deleted: Vec<Span>,
    /// Names that were ever set as parsed labels, even if they are gone: parsers skip them.
    extracted: Vec<Span>,
    /// The same names once there are many.
    wide: HashSet<Box<str>>,
    error: Option<&'static str>,
    error_text: String,
    error_details: String,
}

impl<'a> WorkingRow<'a> {
    /// An empty row of a stream; [`WorkingRow::reset`] fills it.
    pub fn new(stream: &'a Labels) -> Self {
        Self {
            timestamp: Timestamp::default(),
            now: None,
            stream,
            line: Cow::Borrowed(&[]),
            fields: None,
            spare: Vec::new(),
            text: String::new(),
            added: Vec::new(),
            deleted: Vec::new(),
            extracted: Vec::new(),
            wide: HashSet::new(),
            error: None,
            error_text: String::new(),
            error_details: String::new(),
        }
    }

    /// Starts over with another entry. Metadata values that are not UTF-8 are shown with U+FFFD.
    pub fn reset<'m>(
        &mut self,
        timestamp: Timestamp,
        line: &'a [u8],
        stream: &'a Labels,
        metadata: impl IntoIterator<Item = (&'m str, &'m [u8])>,
    ) {
        self.timestamp = timestamp;
        self.stream = stream;
        self.fields = None;
        self.replace_line(Cow::Borrowed(line));
        self.text.clear();
        self.added.clear();
        self.deleted.clear();
        self.extracted.clear();
        self.wide.clear();
        self.clear_error();
        self.clear_error_details();
        for (name, value) in metadata {
            let value = String::from_utf8_lossy(value);
            match name {
                ERROR_LABEL => self.set_error_text(&value),
                ERROR_DETAILS_LABEL => self.set_error_details(&value),
                _ if stream.get(name).is_some() => {
                    let name = self.store_suffixed(name);
                    let value = self.store(&value);
                    self.set_spans(Category::Metadata, name, value);
                }
                _ => self.set(Category::Metadata, name, &value),
            }
        }
    }

    /// Starts over with a row of a scan, which may have [fields](WorkingRow::fields) instead of a line.
    pub fn begin(&mut self, row: RowRef<'a>) {
        self.reset(row.timestamp(), row.line(), row.labels(), row.metadata());
        self.fields = row.fields();
    }

    /// What a parser would find in the line, when the source says it instead of giving the line.
    pub fn fields(&self) -> Option<RowFields<'a>> {
        self.fields
    }

    /// When it happened.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The time at which the query was asked, for templates that use `now`; `None` unless it was set.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// Sets that time, for this row and all that follow.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = Some(now);
    }

    /// The line as it is now.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The labels of the stream, untouched by stages.
    pub fn stream(&self) -> &'a Labels {
        self.stream
    }

    /// Takes the line out, so that a stage can read it while it changes labels.
    /// The row's line is empty until [`WorkingRow::replace_line`].
    pub fn take_line(&mut self) -> Cow<'a, [u8]> {
        std::mem::take(&mut self.line)
    }

    /// Puts a line in; the buffer of the one before is kept for [`WorkingRow::take_buffer`].
    pub fn replace_line(&mut self, line: Cow<'a, [u8]>) {
        if let Cow::Owned(mut buffer) = std::mem::replace(&mut self.line, line) {
            buffer.clear();
            if buffer.capacity() > self.spare.capacity() {
                self.spare = buffer;
            }
        }
    }

    /// An empty buffer to build a line in, with the room of an earlier one.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.clear();
        buffer
    }

    /// The value of a label and where it comes from. Does not see `__error__`.
    pub fn get(&self, name: &str) -> Option<(Category, &str)> {
        if let Some(added) = self.added_as(name) {
            return Some((added.category, self.span(added.value)));
        }
        if self.deleted.iter().any(|span| self.span(*span) == name) {
            return None;
        }
        self.stream.get(name).map(|value| (Category::Stream, value))
    }

    /// What was added under a name: stream before metadata before parsed, as Loki searches.
    fn added_as(&self, name: &str) -> Option<&Added> {
        let mut found: Option<&Added> = None;
        for added in &self.added {
            if self.span(added.name) == name && found.is_none_or(|f| added.category < f.category) {
                found = Some(added);
            }
        }
        found
    }

    /// The value that a condition on `name` sees: the empty text when there is no such label;
    /// errors under their own names.
    pub fn value(&self, name: &str) -> &str {
        match name {
            ERROR_LABEL => self.error().unwrap_or(""),
            ERROR_DETAILS_LABEL => &self.error_details,
            _ => self.get(name).map_or("", |(_, value)| value),
        }
    }

    /// Whether the stream itself has the label, whatever stages did.
    pub fn stream_has(&self, name: &str) -> bool {
        self.stream.get(name).is_some()
    }

    /// Whether a label of that category was added.
    pub fn has_in_category(&self, name: &str, category: Category) -> bool {
        self.position(category, name).is_some()
    }

    /// Sets a label. Does nothing when a label of a stronger category (parsed, then metadata,
    /// then stream) has the name.
    pub fn set(&mut self, category: Category, name: &str, value: &str) {
        let name = self.store(name);
        let value = self.store(value);
        self.set_spans(category, name, value);
    }

    /// Sets a parsed label as parsers do: under `name_extracted` when the stream or metadata has
    /// `name`; not at all when a parsed label of that name was set before, even if it is gone.
    pub fn extract(&mut self, name: &str, value: &str) {
        let start = self.text.len();
        let suffixed = self.stream_has(name) || self.metadata_has(name);
        let name = if suffixed { self.store_suffixed(name) } else { self.store(name) };
        if self.was_extracted(self.span(name)) {
            self.text.truncate(start);
            return;
        }
        let hides_metadata = suffixed && self.metadata_has(self.span(name));
        let value = self.store(value);
        if hides_metadata {
            self.set_spans(Category::Parsed, name, value);
        } else {
            self.added.push(Added { category: Category::Parsed, name, value });
            self.note_extracted(name);
        }
    }

    /// Whether metadata has a label; it is added first, so it stands in front.
    fn metadata_has(&self, name: &str) -> bool {
        let metadata = self.added.iter().take_while(|added| added.category == Category::Metadata);
        metadata.into_iter().any(|added| self.span(added.name) == name)
    }

    fn note_extracted(&mut self, name: Span) {
        self.extracted.push(name);
        if self.extracted.len() == NARROW_LABELS_MAX {
            self.wide = self.extracted.iter().map(|span| self.span(*span).into()).collect();
        } else if self.extracted.len() > NARROW_LABELS_MAX {
            let name = self.span(name).into();
            self.wide.insert(name);
        }
    }

    fn set_spans(&mut self, category: Category, name: Span, value: Span) {
        let text = &self.text;
        let key = &text[name.start..name.end];
        let mut settled = false;
        self.added.retain_mut(|added| {
            if text[added.name.start..added.name.end] != *key {
                return true;
            }
            if added.category == category {
                added.value = value;
            }
            let stays = added.category >= category;
            settled |= stays;
            stays
        });
        if !settled {
            self.added.push(Added { category, name, value });
        }
        if category == Category::Parsed && !self.was_extracted(self.span(name)) {
            self.note_extracted(name);
        }
    }

    /// Sets a parsed label as parsers of certain labels do: under `name_extracted` when the stream or metadata has
    /// `name`, and in place of one that was set before.
    pub fn extract_again(&mut self, name: &str, value: &str) {
        let suffixed = self.stream_has(name) || self.metadata_has(name);
        let name = if suffixed { self.store_suffixed(name) } else { self.store(name) };
        let value = self.store(value);
        self.set_spans(Category::Parsed, name, value);
    }

    /// Sets the labels that a parser would find in the line from the fields that the row has in its place, in the order
    /// of `names`; whether it has any.
    pub fn extract_fields(&mut self, names: &[Box<str>]) -> bool {
        let Some(fields) = self.fields() else { return false };
        for (field, name) in names.iter().enumerate() {
            if let Some(value) = fields.get(field) {
                self.extract(name, value);
            }
        }
        true
    }

    /// Whether a parsed label of that name was ever set.
    pub fn was_extracted(&self, name: &str) -> bool {
        if self.extracted.len() >= NARROW_LABELS_MAX {
            return self.wide.contains(name);
        }
        self.extracted.iter().any(|span| self.span(*span) == name)
    }

    /// Removes a label from all categories.
    pub fn delete(&mut self, name: &str) {
        let text = &self.text;
        self.added.retain(|added| text[added.name.start..added.name.end] != *name);
        if self.stream_has(name) {
            let name = self.store(name);
            self.deleted.push(name);
        }
    }

    /// What went wrong so far: the value of `__error__`.
    pub fn error(&self) -> Option<&str> {
        match self.error {
            Some(error) => Some(error),
            None if self.error_text.is_empty() => None,
            None => Some(&self.error_text),
        }
    }

    /// The words of the error, empty when there are none.
    pub fn error_details(&self) -> &str {
        &self.error_details
    }

    /// Notes what went wrong; a later error takes the place of an earlier one.
    pub fn set_error(&mut self, error: &'static str) {
        self.error = Some(error);
    }

    /// The same for an error that a label or a template names.
    pub fn set_error_text(&mut self, error: &str) {
        self.error = None;
        self.error_text.clear();
        self.error_text.push_str(error);
    }

    /// Sets the words of the error.
    pub fn set_error_details(&mut self, details: &str) {
        self.error_details.clear();
        self.error_details.push_str(details);
    }

    /// Forgets the error.
    pub fn clear_error(&mut self) {
        self.error = None;
        self.error_text.clear();
    }

    /// Forgets the words of the error.
    pub fn clear_error_details(&mut self) {
        self.error_details.clear();
    }

    /// Calls `visit` with every label there is now, errors as parsed labels, in no order; each
    /// name once.
    pub fn for_each_label<'s>(&'s self, mut visit: impl FnMut(Category, &'s str, &'s str)) {
        for (name, value) in self.stream.iter() {
            if self.deleted.iter().any(|span| self.span(*span) == name) {
                continue;
            }
            match self.added_as(name) {
                Some(added) if added.category == Category::Stream => {
                    visit(Category::Stream, name, self.span(added.value));
                }
                Some(_) => {}
                None => visit(Category::Stream, name, value),
            }
        }
        for added in &self.added {
            let name = self.span(added.name);
            if added.category != Category::Stream || !self.stream_has(name) || self.is_deleted(name) {
                visit(added.category, name, self.span(added.value));
            }
        }
        if let Some(error) = self.error() {
            visit(Category::Parsed, ERROR_LABEL, error);
        }
        // Details that are left alone show only beside something else, as in Loki.
        if !self.error_details.is_empty() && self.is_changed() {
            visit(Category::Parsed, ERROR_DETAILS_LABEL, &self.error_details);
        }
    }

    /// Whether any label differs from the stream's.
    pub fn is_changed(&self) -> bool {
        !self.added.is_empty() || !self.deleted.is_empty() || self.error().is_some()
    }

    /// All labels as one set, empty ones too. Costs nothing when no stage changed any and there is no metadata.
    pub fn labels(&self) -> Labels {
        if !self.is_changed() {
            return self.stream.clone();
        }
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        self.for_each_label(|_, name, value| pairs.push((name, value)));
        Labels::keeping_empty(pairs)
    }

    /// The labels of one category, empty ones too. Costs next to nothing where there are none, or where they are those of
    /// the stream.
    pub fn labels_of(&self, wanted: Category) -> Labels {
        match wanted {
            Category::Stream if self.leaves_stream() => return self.stream.clone(),
            Category::Metadata if !self.has_category(wanted) => return Labels::default(),
            Category::Parsed if !self.has_category(wanted) && !self.has_error_text() => {
                return Labels::default();
            }
            _ => {}
        }
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        self.for_each_label(|category, name, value| {
            if category == wanted {
                pairs.push((name, value));
            }
        });
        Labels::keeping_empty(pairs)
    }

    /// Whether the labels of the stream are all there as they were.
    fn leaves_stream(&self) -> bool {
        let is_beside =
            |added: &Added| added.category != Category::Stream && !self.stream_has(self.span(added.name));
        self.deleted.is_empty() && self.added.iter().all(is_beside)
    }

    fn has_category(&self, category: Category) -> bool {
        self.added.iter().any(|added| added.category == category)
    }

    fn has_error_text(&self) -> bool {
        self.error().is_some() || !self.error_details.is_empty()
    }

    fn is_deleted(&self, name: &str) -> bool {
        self.deleted.iter().any(|span| self.span(*span) == name)
    }

    fn position(&self, category: Category, name: &str) -> Option<usize> {
        self.added.iter().position(|added| added.category == category && self.span(added.name) == name)
    }

    fn span(&self, span: Span) -> &str {
        &self.text[span.start..span.end]
    }

    fn store(&mut self, text: &str) -> Span {
        let start = self.text.len();
        self.text.push_str(text);
        Span { start, end: self.text.len() }
    }

    fn store_suffixed(&mut self, name: &str) -> Span {
        let start = self.text.len();
        self.text.push_str(name);
        self.text.push_str(EXTRACTED_SUFFIX);
        Span { start, end: self.text.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_labels_hide_metadata_and_metadata_takes_a_suffix_beside_the_stream() {
        let stream = Labels::from_pairs([("app", "api"), ("env", "prod")]);
        let mut row = WorkingRow::new(&stream);
        row.reset(
            Timestamp::from_nanos(1),
            b"line",
            &stream,
            [("app", &b"other"[..]), ("trace", b"t1"), ("bad", b"\xff")],
        );
        assert_eq!(row.value("app"), "api");
        assert_eq!(row.value("app_extracted"), "other");
        assert_eq!(row.get("trace"), Some((Category::Metadata, "t1")));
        row.set(Category::Parsed, "trace", "t2");
        row.set(Category::Metadata, "trace", "t3");
        assert_eq!(row.get("trace"), Some((Category::Parsed, "t2")));
        row.extract("env", "inner");
        row.extract("env", "later");
        row.delete("env");
        assert_eq!(
            row.labels().to_string(),
            r#"{app="api", app_extracted="other", bad="�", env_extracted="inner", trace="t2"}"#
        );
        assert_eq!(row.labels_of(Category::Metadata).to_string(), r#"{app_extracted="other", bad="�"}"#);
    }

    #[test]
    fn a_reset_row_remembers_nothing() {
        let stream = Labels::from_pairs([("app", "api")]);
        let mut row = WorkingRow::new(&stream);
        row.reset(Timestamp::from_nanos(1), b"x", &stream, [("__error__", &b"e"[..])]);
        row.delete("app");
        assert_eq!(row.labels().to_string(), r#"{__error__="e"}"#);
        row.reset(Timestamp::from_nanos(2), b"y", &stream, []);
        assert_eq!(row.labels(), stream);
        assert_eq!(row.line(), b"y");
    }
}
