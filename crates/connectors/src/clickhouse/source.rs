//! Rows of a ClickHouse table as something that LogQL runs on.
//!
//! Pages of a scan are read one after the other, so a scan sees rows that are stored while it runs when they lie where it has not
//! been yet. Label sets are known by the day: a question about labels may name a stream that has rows on a day of the range
//! and none inside.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use timberyard_model::cancellation::Cancellation;
use timberyard_model::counting::{CountedRows, Cuts};
use timberyard_model::label_values::{LabelCollector, LabelQuestion, LabelValues};
use timberyard_model::matcher::{LabelMatcher, accepts_all};
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, ScanError, ScanEstimate, ScanRequest, SeriesRequest,
};
use timberyard_model::time::TimeRange;
use timberyard_model::{Labels, TenantId};
use tokio::runtime::Handle;

use super::conditions::StreamConditions;
use super::connection::{AnswerStream, ClickHouseError};
use super::count_scan::{Counted, CountedOf, CountedStreams, Counting, labels_of_service};
use super::relation::{Relation, day_start};
use super::row_binary::RowReader;
use super::row_scan::RowScan;
use super::scan::{ClickHouseScan, counting};
use super::server::ClickHouseServer;
use super::statement::Statement;
use super::stream_labels::{StreamLabels, collect_labels, read_labels, unreadable};

/// How often somebody who waits looks whether the answer is still wanted.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Rows of longer ranges are first asked on which days there are some: two days.
const LONG_RANGE_NS: i64 = 2 * 86_400 * 1_000_000_000;
/// Answers of a few numbers.
const NUMBERS_BYTES_MAX: usize = 1 << 20;

/// Settings of queries that read rows. Equal entries lie in the same partition; which conditions may come before they are made
/// one is written in the statement.
const READ_SETTINGS: &str =
    " SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 0";
/// What concerns the request and not the query.
const REQUEST_SETTINGS: [(&str, &str); 1] = [("cancel_http_readonly_queries_on_client_close", "1")];

/// Reads rows of a ClickHouse table. Every method blocks, and must be called from a thread that may.
pub struct ClickHouseSource {
    server: Arc<ClickHouseServer>,
    labels: StreamLabels,
    handle: Handle,
}

/// What asking a server takes.
#[derive(Clone, Copy)]
pub(super) struct Asking<'s> {
    pub(super) source: &'s ClickHouseSource,
    /// All rows that are wanted lie within.
    pub(super) range: TimeRange,
}

impl ClickHouseSource {
    /// The rows on a server, asked on that runtime.
    pub fn new(server: Arc<ClickHouseServer>, handle: Handle) -> Self {
        Self { server, labels: StreamLabels::default(), handle }
    }

    fn asking(&self, range: TimeRange) -> Asking<'_> {
        Asking { source: self, range }
    }

    /// The part of a range in which streams that SQL accepts have rows, and how many streams there are.
    pub(super) fn covered(
        &self,
        (tenant, range): (&TenantId, TimeRange),
        selector: &StreamConditions,
        cancellation: &Cancellation,
    ) -> Result<(TimeRange, u64), ScanError> {
        let asking = self.asking(range);
        asking.wait(self.server.make_ready(), cancellation)?;
        let asked = self.server.relation().extent(tenant, range, selector);
        let fetched = self.server.connection.fetch(&asked, NUMBERS_BYTES_MAX);
        let answer = asking.wait(fetched, cancellation)?;
        let mut reader = RowReader::new(&answer);
        let first = reader.i64().map_err(unreadable)?;
        let last = reader.i64().map_err(unreadable)?;
        let streams = reader.u64().map_err(unreadable)?;
        if streams == 0 {
            return Ok((TimeRange::new(range.start, range.start), 0));
        }
        let end = if last >= i64::from(range.end.day()) { range.end } else { day_start(last + 1) };
        Ok((TimeRange::new(range.start.max(day_start(first)), range.end.min(end)), streams))
    }

    /// What is selected of streams of which SQL says that any selector accepts them. The tables are there then.
    fn of_streams(
        &self,
        request: &SeriesRequest,
        selected: &Statement,
        joined: &str,
    ) -> Result<Statement, ScanError> {
        self.asking(request.range).wait(self.server.make_ready(), &request.cancellation)?;
        let mut asked = Statement::new("SELECT DISTINCT ");
        let relation = self.server.relation();
        asked.append(selected).push(" FROM ").append(&relation.streams(request.range)).push(joined);
        asked.append(&relation.streams_where(&request.tenant, request.range));
        let parts: Vec<Statement> = request
            .selectors
            .iter()
            .map(|selector| {
                let mut part = Statement::default();
                part.join(&StreamConditions::new(selector).all(), " AND ");
                part
            })
            .collect();
        // A selector without conditions accepts all streams.
        if !parts.is_empty() && parts.iter().all(|part| *part != Statement::default()) {
            asked.push(" AND (").join(&parts, " OR ").push(")");
        }
        Ok(asked)
    }

    fn read_all(
        &self,
        asked: &Statement,
        request: &SeriesRequest,
        mut take: impl FnMut(&[u8]) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        let asking = self.asking(request.range);
        let fetched = self.server.connection.fetch(asked, request.memory_bytes_max);
        take(&asking.wait(fetched, &request.cancellation)?)
    }
}

impl<'s> Asking<'s> {
    /// What is read from.
    pub(super) fn relation(&self) -> &'s Relation {
        self.source.server.relation()
    }

    /// Waits for what a server does, and looks now and then whether it is still wanted.
    pub(super) fn wait<T>(
        &self,
        asked: impl Future<Output = Result<T, ClickHouseError>>,
        cancellation: &Cancellation,
    ) -> Result<T, ScanError> {
        self.source.handle.block_on(async {
            tokio::pin!(asked);
            loop {
                if let Some(reason) = cancellation.reason() {
                    return Err(ScanError::Cancelled(reason));
                }
                if let Ok(answer) = tokio::time::timeout(LOOK_INTERVAL, &mut asked).await {
                    return Ok(answer?);
                }
            }
        })
    }

    /// Begins to read an answer.
    pub(super) fn stream(&self, statement: &Statement) -> Result<AnswerStream, ScanError> {
        tracing::debug!(sql = %statement, "asks ClickHouse");
        let mut statement = statement.clone();
        statement.push(READ_SETTINGS);
        // The request is made as soon as it is on the runtime.
        let _entered = self.source.handle.enter();
        Ok(self.source.server.connection.stream(&statement, &REQUEST_SETTINGS)?)
    }

    /// Takes whole numbers from the bytes that came, each with the labels of its streams, and leaves the rest.
    pub(super) fn take_counted(
        &self,
        tenant: &TenantId,
        counting: &Counting<'_>,
        bytes: &mut Vec<u8>,
    ) -> Result<Vec<CountedRows>, ScanError> {
        let counted = counting.take_counted(bytes)?;
        let mut streams: Vec<u64> =
            counted.iter().filter_map(|counted| counted.rows.streams.hash()).collect();
        // They are sorted.
        streams.dedup();
        let labels = self.labels_of(tenant, &streams)?;
        let mut together: Vec<(CountedOf, CountedRows)> = Vec::new();
        for Counted { rows, cell } in counted {
            if let Some((_, last)) = together.last_mut().filter(|(of, _)| *of == rows) {
                last.cells.push(cell);
                continue;
            }
            let labels = match &rows.streams {
                CountedStreams::One(hash) => labels.get(hash).cloned(),
                CountedStreams::Service(service) => Some(labels_of_service(service)),
                CountedStreams::All => Some(Labels::default()),
            };
            let Some(labels) = labels else { continue };
            let metadata = rows.metadata.clone();
            together.push((rows, CountedRows { labels, metadata, cells: vec![cell] }));
        }
        Ok(together.into_iter().map(|(_, counted)| counted).collect())
    }

    /// The labels of these streams.
    pub(super) fn labels_of(
        &self,
        tenant: &TenantId,
        streams: &[u64],
    ) -> Result<HashMap<u64, Labels>, ScanError> {
        let source = self.source;
        let known =
            source.labels.of(&source.server.connection, self.relation(), (tenant, self.range), streams);
        source.handle.block_on(known)
    }
}

/// The statement that counts rows, but for [`Counting::group_by`].
pub(super) fn count_statement(
    relation: &Relation,
    (tenant, range): (&TenantId, TimeRange),
    selectors: &[StreamConditions],
    counting: &Counting<'_>,
) -> Statement {
    let mut statement = counting.select();
    statement.push(" FROM ").append(&relation.rows(range));
    statement.append(&relation.rows_where(tenant, range, selectors));
    statement
}

impl LogSource for ClickHouseSource {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        if request.range.is_empty() {
            return Ok(Box::new(ClickHouseScan::nothing(self.asking(request.range))));
        }
        let range = request.range;
        let is_long = range.end.as_nanos().saturating_sub(range.start.as_nanos()) > LONG_RANGE_NS;
        let asking = self.asking(range);
        if !is_long || counting(asking, request).is_some() {
            asking.wait(self.server.make_ready(), &request.cancellation)?;
            return Ok(Box::new(ClickHouseScan::new(asking, request)?));
        }
        let selector = StreamConditions::new(&request.matchers);
        let (range, _) = self.covered((&request.tenant, range), &selector, &request.cancellation)?;
        Ok(Box::new(ClickHouseScan::new(self.asking(range), request)?))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        if request.range.is_empty() {
            return Ok(ScanEstimate::default());
        }
        let selector = StreamConditions::new(&request.matchers);
        let (range, streams) =
            self.covered((&request.tenant, request.range), &selector, &request.cancellation)?;
        if streams == 0 {
            return Ok(ScanEstimate::default());
        }
        let relation = self.server.relation();
        let mut asked = Statement::new("EXPLAIN ESTIMATE SELECT count() FROM ");
        asked.append(&relation.rows(range));
        asked.append(&relation.rows_where(&request.tenant, range, &[selector]));
        let fetched = self.server.connection.fetch(&asked, NUMBERS_BYTES_MAX);
        let answer = self.asking(range).wait(fetched, &request.cancellation)?;
        let mut reader = RowReader::new(&answer);
        let mut estimate = ScanEstimate { streams, ..ScanEstimate::default() };
        while !reader.is_at_end() {
            let _names = (reader.text().map_err(unreadable)?, reader.text().map_err(unreadable)?);
            estimate.segments += reader.u64().map_err(unreadable)?;
            estimate.stored_rows += reader.u64().map_err(unreadable)?;
            estimate.blocks += reader.u64().map_err(unreadable)?;
        }
        estimate.segments_total = estimate.segments;
        Ok(estimate)
    }

    fn statement(&self, request: &ScanRequest) -> Option<String> {
        let asking = self.asking(request.range);
        let statement = counting(asking, request)
            .unwrap_or_else(|| RowScan::new(request, request.range, None).first_statement(&asking));
        Some(statement.to_string())
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        let asked = self.of_streams(request, &Statement::new("labels"), "")?;
        let mut series = Vec::new();
        self.read_all(&asked, request, |answer| {
            let mut reader = RowReader::new(answer);
            while !reader.is_at_end() {
                let labels = read_labels(&mut reader).map_err(unreadable)?;
                if accepts_any(&request.selectors, &labels) {
                    series.push(labels);
                }
            }
            Ok(())
        })?;
        series.sort_unstable();
        series.dedup();
        Ok(series)
    }

    fn labels(
        &self,
        request: &SeriesRequest,
        question: &LabelQuestion,
    ) -> Result<Vec<LabelValues>, ScanError> {
        let mut collector = LabelCollector::new(question, request.memory_bytes_max);
        if !request.selectors.iter().all(|selector| StreamConditions::new(selector).are_exact()) {
            for labels in self.series(request)? {
                labels.iter().try_for_each(|(name, value)| collector.add(name, value))?;
            }
            return Ok(collector.finish());
        }
        let mut selected = Statement::default();
        let joined = match question {
            LabelQuestion::Names => {
                selected.push("name, '-'");
                " ARRAY JOIN mapKeys(labels) AS name"
            }
            LabelQuestion::ValuesOf(name) => {
                selected.text(name).push(", labels[").text(name).push("]");
                ""
            }
            LabelQuestion::All => {
                selected.push("pair.1, pair.2");
                " ARRAY JOIN CAST(labels, 'Array(Tuple(String, String))') AS pair"
            }
        };
        let asked = self.of_streams(request, &selected, joined)?;
        self.read_all(&asked, request, |answer| collect_labels(answer, &mut collector))?;
        Ok(collector.finish())
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        if request.range.is_empty() {
            return Ok(());
        }
        let asking = self.asking(request.range);
        asking.wait(self.server.make_ready(), &request.cancellation)?;
        let selectors: Vec<StreamConditions> =
            request.selectors.iter().map(|selector| StreamConditions::new(selector)).collect();
        let counting = Counting::of_streams(cuts);
        let mut asked =
            count_statement(asking.relation(), (&request.tenant, request.range), &selectors, &counting);
        asked.append(&counting.group_by(request.range));
        let mut answer = asking.stream(&asked)?;
        let mut bytes = Vec::new();
        while let Some(part) = asking.wait(answer.next(), &request.cancellation)? {
            bytes.extend_from_slice(&part);
            for CountedRows { labels, cells, .. } in
                asking.take_counted(&request.tenant, &counting, &mut bytes)?
            {
                if accepts_any(&request.selectors, &labels) {
                    cells.iter().try_for_each(|cell| visit(&labels, cell))?;
                }
            }
        }
        Ok(())
    }
}

fn accepts_any(selectors: &[Vec<LabelMatcher>], labels: &Labels) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| accepts_all(selector, labels))
}
