//! Events of PostgreSQL as rows that LogQL runs on.
//!
//! Selectors, times and texts that lines contain are asked of the database, and so are counts. Everything here blocks.

use serde_json::Value;
use timberyard_model::counting::{CountedCell, Cuts};
use timberyard_model::events::{EventPage, EventPageRequest, EventStore};
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, ScanError, ScanEstimate, ScanRequest, SeriesRequest,
};
use timberyard_model::{Labels, TimeRange, Timestamp};
use tokio::runtime::Handle;
use tokio_postgres::types::Type;

use super::event_page::read_page;
use super::failure::PostgresError;
use super::pool::PostgresPool;
use super::reading::{Reader, Values};
use super::scan::PostgresScan;
use super::streams::{Streams, in_range};
use super::transaction::Transaction;

/// Reads events.
pub struct PostgresSource {
    reader: Reader,
}

impl PostgresSource {
    /// A source on that runtime; nothing is connected.
    pub fn new(pool: PostgresPool, runtime: Handle) -> Self {
        Self { reader: Reader { pool, runtime } }
    }

    fn begin_with_streams(&self, request: &SeriesRequest) -> Result<(Transaction, Streams), ScanError> {
        let selectors: Vec<&[LabelMatcher]> = request.selectors.iter().map(Vec::as_slice).collect();
        let transaction = self.reader.begin(&request.cancellation)?;
        let streams =
            Streams::read(&self.reader, &transaction, &request.cancellation, &request.tenant, &selectors)?;
        let bytes: usize = streams.labels.values().map(Labels::bytes).sum();
        match bytes > request.memory_bytes_max {
            true => Err(ScanError::Memory { limit: request.memory_bytes_max }),
            false => Ok((transaction, streams)),
        }
    }
}

impl LogSource for PostgresSource {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        Ok(Box::new(PostgresScan::start(&self.reader, request)?))
    }

    /// What the database's planner expects.
    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        let (cancellation, tenant) = (&request.cancellation, &request.tenant);
        let transaction = self.reader.begin(cancellation)?;
        let streams = Streams::read(&self.reader, &transaction, cancellation, tenant, &[&request.matchers])?;
        let mut estimate = ScanEstimate { streams: streams.labels.len() as u64, ..ScanEstimate::default() };
        if estimate.streams > 0 && !request.range.is_empty() {
            let mut values = Values::default();
            let condition = streams.condition(tenant, request.range, &mut values);
            let statement = format!("EXPLAIN (FORMAT JSON) SELECT * FROM analytics_logs WHERE {condition}");
            let rows = self.reader.query(&transaction, cancellation, &statement, &values)?;
            let plan = rows.first().map(|row| row.try_get::<_, JsonText>(0)).transpose();
            let plan = plan.map_err(PostgresError::from)?.map(|JsonText(plan)| plan).unwrap_or_default();
            let number = |name: &str| plan.pointer(&format!("/0/Plan/{name}")).and_then(Value::as_u64);
            estimate.segments_total = 1;
            estimate.segments = 1;
            estimate.stored_rows = number("Plan Rows").unwrap_or_default();
            estimate.stored_bytes = estimate.stored_rows * number("Plan Width").unwrap_or_default();
        }
        self.reader.leave(transaction);
        Ok(estimate)
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        let (transaction, mut streams) = self.begin_with_streams(request)?;
        if request.range != TimeRange::ALL && !streams.labels.is_empty() {
            let mut values = Values::default();
            let numbers = values.add(streams.numbers(), Type::INT8_ARRAY);
            let tenant = values.text(request.tenant.as_str());
            let times = in_range(request.range, &mut values);
            let statement = format!(
                "SELECT s FROM unnest({numbers}) AS s WHERE EXISTS \
                 (SELECT FROM analytics_logs WHERE tenant = {tenant} AND stream = s{times})"
            );
            let rows = self.reader.query(&transaction, &request.cancellation, &statement, &values)?;
            let there: Result<Vec<i64>, _> = rows.iter().map(|row| row.try_get(0)).collect();
            let there = there.map_err(PostgresError::from)?;
            streams.labels.retain(|number, _| there.contains(number));
        }
        self.reader.leave(transaction);
        let mut labels: Vec<Labels> = streams.labels.into_values().collect();
        labels.sort();
        Ok(labels)
    }

    /// Bytes of metadata are those of its values, and eight a pair.
    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        let (transaction, streams) = self.begin_with_streams(request)?;
        if !streams.labels.is_empty() && !request.range.is_empty() {
            let mut values = Values::default();
            let condition = streams.condition(&request.tenant, request.range, &mut values);
            let stretches: String = cuts
                .periodic()
                .into_iter()
                .flat_map(|(period_ns, kinds_ns)| kinds_ns.map(|cut_ns| (period_ns, cut_ns)))
                .map(|(period_ns, cut_ns)| format!(", {}", stretch(period_ns, cut_ns, &mut values)))
                .collect();
            let statement = format!(
                "SELECT stream, max(timestamp_ns), count(*), sum(line_length)::bigint, sum(metadata_length)::bigint \
                 FROM analytics_logs WHERE {condition} GROUP BY stream{stretches}"
            );
            let rows = self.reader.query(&transaction, &request.cancellation, &statement, &values)?;
            for row in &rows {
                let number = |column: usize| row.try_get::<_, i64>(column).map_err(PostgresError::from);
                let cell = CountedCell {
                    time: Timestamp::from_nanos(number(1)?),
                    rows: number(2)?.unsigned_abs(),
                    line_bytes: number(3)?.unsigned_abs(),
                    metadata_bytes: number(4)?.unsigned_abs(),
                };
                visit(streams.of(number(0)?)?, &cell)?;
            }
        }
        self.reader.leave(transaction);
        Ok(())
    }
}

impl EventStore for PostgresSource {
    fn page(&self, request: &EventPageRequest) -> Result<EventPage, ScanError> {
        read_page(&self.reader, request)
    }
}

/// The number of the stretch between two cuts that a row's time is in; a time at a cut is before it.
fn stretch(period_ns: i64, cut_ns: i64, values: &mut Values) -> String {
    // What is added makes every time positive, since `div` rounds towards zero.
    let period = i128::from(period_ns);
    let shift = period * (i128::from(u64::MAX) / period + 2) - 1 - i128::from(cut_ns).rem_euclid(period);
    let (shift, period) = (values.text(&shift.to_string()), values.number(period_ns));
    format!("div(timestamp_ns::numeric + {shift}::numeric, {period}::numeric)")
}

/// The value of a column of type `json`.
struct JsonText(Value);

impl<'a> tokio_postgres::types::FromSql<'a> for JsonText {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(serde_json::from_slice(raw)?))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSON
    }
}
