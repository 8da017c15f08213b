//! The fields of one line.

use timberyard_model::Labels;

use crate::result::Entry;
use crate::stage::row::{ERROR_DETAILS_LABEL, ERROR_LABEL, PRESERVE_ERROR_LABEL};
use crate::stage::{Category, Pipeline, WorkingRow};
use crate::syntax::ast::{LogfmtParser, PipelineStage};

/// What made fields of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldParser {
    Json,
    Logfmt,
}

impl FieldParser {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Logfmt => "logfmt",
        }
    }
}

/// Reads the lines of one stream.
pub(super) struct Reader<'a> {
    stream: &'a Labels,
    json: Pipeline,
    logfmt: Pipeline,
    row: WorkingRow<'a>,
}

/// A line with its fields.
pub(super) struct LineFields<'a> {
    entry: &'a Entry,
    own: Labels,
    parser: FieldParser,
}

impl<'a> Reader<'a> {
    pub(super) fn new(stream: &'a Labels) -> Self {
        let logfmt = LogfmtParser { strict: false, keep_empty: false, extractions: Vec::new() };
        let compiled = |stage| Pipeline::new(&[stage]).expect("a parser without expressions compiles");
        Self {
            stream,
            json: compiled(PipelineStage::Json(Vec::new())),
            logfmt: compiled(PipelineStage::Logfmt(logfmt)),
            row: WorkingRow::new(stream),
        }
    }

    pub(super) fn read(&mut self, entry: &'a Entry) -> LineFields<'a> {
        self.row.reset(entry.timestamp, &entry.line, self.stream, []);
        self.json.process(&mut self.row);
        let mut parser = FieldParser::Json;
        if self.row.error().is_some() {
            parser = FieldParser::Logfmt;
            self.row.reset(entry.timestamp, &entry.line, self.stream, []);
            self.logfmt.process(&mut self.row);
        }
        LineFields { entry, own: self.row.labels_of(Category::Parsed), parser }
    }
}

impl LineFields<'_> {
    pub(super) fn text(&self) -> &[u8] {
        &self.entry.line
    }

    /// The parser that the line's own fields come from.
    pub(super) fn parser(&self) -> FieldParser {
        self.parser
    }

    pub(super) fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entry.metadata.iter()
    }

    /// What the query parsed, then what is found in the line; a name may come twice. No errors.
    pub(super) fn parsed(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_field = |name: &str| ![ERROR_LABEL, ERROR_DETAILS_LABEL, PRESERVE_ERROR_LABEL].contains(&name);
        self.entry.parsed.iter().chain(self.own.iter()).filter(move |(name, _)| is_field(name))
    }
}
