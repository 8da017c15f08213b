//! Answers to queries as rows of text, NDJSON or CSV, without a limit on their number.
//!
//! Lines are read page by page: a query runs only while a page is read, so that a slow client holds one page of
//! memory and no place among running queries, and a client that goes away ends the page under way. An error
//! behind the first page breaks the answer off; NDJSON says why in its last row.

use std::cmp::Reverse;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use timberyard_logql::result::Entry;
use timberyard_logql::syntax::Expression;
use timberyard_logql::{LinePosition, Page, QueryRequest, QueryResult, QueryValue, Streams};
use timberyard_model::Labels;
use timberyard_model::scan::Direction;
use timberyard_wire::row_text::{RowFormat, RowKind, RowsWriter};

use super::run;
use crate::auth::Identity;
use crate::error_response::{ErrorResponse, QUERY_LIMIT};
use crate::state::SharedState;

/// Lines of the first page.
const FIRST_LINES: usize = 1000;
/// The most lines of a page: beyond this larger ones save little.
const LINES_MAX: usize = 50_000;
/// Bytes of text that a page should come to.
const PAGE_BYTES: usize = 8 << 20;

/// Answers the query, of a log query all lines or the first `lines_max`.
pub(super) async fn answer(
    state: SharedState,
    identity: Identity,
    request: QueryRequest,
    lines_max: Option<usize>,
    format: RowFormat,
) -> Result<Response, ErrorResponse> {
    let body = match &request.expression {
        Expression::Metric(_) => Body::from(
            run::answer(&state, &identity, request, move |_, result| values(&result, format)).await?,
        ),
        Expression::Logs(_) => {
            let mut lines = Lines::new(state, identity, request, lines_max, format);
            // What is wrong with the query has a status of its own.
            let first = lines.next_page().await?;
            let others = stream::unfold(lines, |mut lines| async move {
                let text = lines.next_text().await?;
                Some((text, lines))
            });
            Body::from_stream(stream::iter([Ok(first)]).chain(others))
        }
    };
    Ok(([(header::CONTENT_TYPE, format.content_type())], body).into_response())
}

fn values(result: &QueryResult, format: RowFormat) -> Vec<u8> {
    let mut rows = RowsWriter::new(format, RowKind::Value);
    match &result.value {
        QueryValue::Matrix(series) => {
            for one in series {
                one.points
                    .iter()
                    .for_each(|point| rows.point(point.timestamp, one.labels.iter(), point.value));
            }
        }
        QueryValue::Vector(samples) => {
            for sample in samples {
                rows.point(sample.point.timestamp, sample.labels.iter(), sample.point.value);
            }
        }
        QueryValue::Scalar { timestamp, value } => rows.point(*timestamp, [], *value),
        QueryValue::Streams(_) => {}
    }
    for warning in &result.warnings {
        rows.remark("warning", warning);
    }
    rows.finish()
}

/// The answer ends here, and not because everything was said.
#[derive(Debug, thiserror::Error)]
#[error("the answer is broken off: {0}")]
struct BrokenOff(String);

/// A log query on its way through its pages.
struct Lines {
    state: SharedState,
    identity: Identity,
    request: QueryRequest,
    format: RowFormat,
    /// Lines that are still wanted.
    wanted: usize,
    /// Lines of the next page.
    page_lines: usize,
    is_first: bool,
    is_over: bool,
    /// Why no more pages come, once that was said in a row.
    broken: Option<String>,
}

/// What a page came to.
struct Written {
    text: Vec<u8>,
    lines: usize,
    last: Option<LinePosition>,
    warnings: Vec<String>,
}

impl Lines {
    fn new(
        state: SharedState,
        identity: Identity,
        mut request: QueryRequest,
        lines_max: Option<usize>,
        format: RowFormat,
    ) -> Self {
        request.extras.page = Some(Page::default());
        let wanted = lines_max.unwrap_or(usize::MAX);
        let page_lines = FIRST_LINES;
        Self {
            state,
            identity,
            request,
            format,
            wanted,
            page_lines,
            is_first: true,
            is_over: false,
            broken: None,
        }
    }

    /// The next piece of the body.
    async fn next_text(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        if let Some(reason) = self.broken.take() {
            self.is_over = true;
            return Some(Err(BrokenOff(reason)));
        }
        if self.is_over {
            return None;
        }
        match self.next_page().await {
            Ok(page) => Some(Ok(page)),
            Err(error) => Some(self.break_off(error.message)),
        }
    }

    /// Says why in a last row, where the format has a place for it.
    fn break_off(&mut self, reason: String) -> Result<Bytes, BrokenOff> {
        let mut rows = RowsWriter::going_on(self.format);
        if rows.remark("error", &reason) {
            self.broken = Some(reason);
            return Ok(rows.finish().into());
        }
        self.is_over = true;
        Err(BrokenOff(reason))
    }

    async fn next_page(&mut self) -> Result<Bytes, ErrorResponse> {
        let page = loop {
            self.request.limit = self.page_lines.min(self.wanted);
            let (format, is_first) = (self.format, self.is_first);
            let write = move |_: &_, result: QueryResult| write_page(result, format, is_first);
            match run::answer(&self.state, &self.identity, self.request.clone(), write).await {
                Ok(page) => break page,
                // Long lines: fewer of them may fit.
                Err(error) if error.error == QUERY_LIMIT && self.request.limit > 1 => {
                    self.page_lines = self.request.limit.div_ceil(8);
                }
                Err(error) => return Err(error),
            }
        };
        self.is_first = false;
        self.wanted -= page.lines.min(self.wanted);
        self.is_over = page.last.is_none() || self.wanted == 0;
        self.request.extras.page = Some(Page { after: page.last });
        let line_bytes = page.text.len() / page.lines.max(1);
        self.page_lines = (PAGE_BYTES / line_bytes.max(1)).clamp(1, self.request.limit.saturating_mul(8));
        self.page_lines = self.page_lines.min(LINES_MAX);
        if let ([warning, ..], RowFormat::Csv) = (page.warnings.as_slice(), self.format) {
            // An incomplete answer must not look like a whole one.
            return Err(ErrorResponse::unavailable(warning));
        }
        Ok(page.text.into())
    }
}

fn write_page(result: QueryResult, format: RowFormat, is_first: bool) -> Written {
    let mut rows = match is_first {
        true => RowsWriter::new(format, RowKind::Line),
        false => RowsWriter::going_on(format),
    };
    let mut lines = 0;
    if let QueryValue::Streams(streams) = &result.value {
        for (labels, entry) in in_order(streams) {
            rows.line(entry.timestamp, labels.iter(), &entry.line);
            lines += 1;
        }
    }
    for warning in &result.warnings {
        rows.remark("warning", warning);
    }
    Written { text: rows.finish(), lines, last: result.last, warnings: result.warnings }
}

/// The lines of all streams in the order of time, each with all its labels.
fn in_order(streams: &Streams) -> Vec<(Labels, &Entry)> {
    let entries = streams
        .streams
        .iter()
        .flat_map(|stream| stream.entries.iter().map(|entry| (entry.labels(&stream.stream), entry)));
    let mut entries: Vec<(Labels, &Entry)> = entries.collect();
    match streams.direction {
        Direction::Forward => entries.sort_by_key(|(_, entry)| entry.timestamp),
        Direction::Backward => entries.sort_by_key(|(_, entry)| Reverse(entry.timestamp)),
    }
    entries
}
