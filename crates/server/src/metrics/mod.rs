//! What happened since start, counted as it happens, and the page that Prometheus reads.
//!
//! No tenant, no client and no label value of a log ever becomes a label here: the page is open.

mod inputs;
mod page;
mod queries;
mod rate;
mod slow_queries;
mod text_format;

pub use page::get;
pub use queries::QueryMetrics;
pub use rate::RowRate;
pub use slow_queries::{SlowQueries, SlowQuery};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Labels of [`Metrics::requests`].
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    endpoint: String,
    status: u16,
}

/// Labels of the durations.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DurationLabels {
    method: &'static str,
    endpoint: String,
}

/// Labels of [`Metrics::count_events`].
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EventLabels {
    r#type: &'static str,
    priority: &'static str,
}

/// Counters and histograms of the server. Cheap to touch from many threads.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    events: Family<EventLabels, Counter>,
    batch_rows: Histogram,
    ingest_requests: Counter,
    validation_errors: Counter,
    store_errors: Counter,
    rate_limit_rejections: Counter,
    replaced_utf8: Counter,
    /// What queries cost the store.
    pub queries: QueryMetrics,
    /// Queries that took long.
    pub slow_queries: SlowQueries,
    row_rate: RowRate,
    answered: AtomicU64,
    answered_nanos: AtomicU64,
    failed: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_5, 2.5, 12))),
            events: Family::default(),
            batch_rows: Histogram::new(exponential_buckets(1.0, 4.0, 9)),
            ingest_requests: Counter::default(),
            validation_errors: Counter::default(),
            store_errors: Counter::default(),
            rate_limit_rejections: Counter::default(),
            replaced_utf8: Counter::default(),
            queries: QueryMetrics::default(),
            slow_queries: SlowQueries::default(),
            row_rate: RowRate::default(),
            answered: AtomicU64::new(0),
            answered_nanos: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    /// Names without `_total`: the text format adds it to counters.
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time from the head of a request to the head of its answer",
            self.durations.clone(),
        );
        registry.register("logs_ingested", "Analytics events stored", self.events.clone());
        registry.register("batch_size_rows", "Rows in a batch that was stored", self.batch_rows.clone());
        registry.register(
            "ingest_requests",
            "Batches handed in, stored or not",
            self.ingest_requests.clone(),
        );
        registry.register(
            "validation_errors",
            "Requests refused because of what they hold",
            self.validation_errors.clone(),
        );
        registry.register("store_errors", "Batches that the store did not take", self.store_errors.clone());
        registry.register(
            "rate_limit_rejections",
            "Requests refused because there were too many",
            self.rate_limit_rejections.clone(),
        );
        registry.register(
            "timberyard_replaced_utf8_values",
            "Values in answers whose bytes are not UTF-8 and were shown with U+FFFD",
            self.replaced_utf8.clone(),
        );
        self.queries.register(registry);
    }

    /// Counts an answer. `endpoint` is the template of the route, never the path itself.
    pub fn count_answer(&self, method: &'static str, endpoint: &str, status: u16, took: Duration) {
        let endpoint = endpoint.to_owned();
        self.durations
            .get_or_create(&DurationLabels { method, endpoint: endpoint.clone() })
            .observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, endpoint, status }).inc();
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.answered_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.failed.fetch_add(u64::from(status >= 500), Ordering::Relaxed);
        match status {
            400 | 413 | 415 => drop(self.validation_errors.inc()),
            429 => drop(self.rate_limit_rejections.inc()),
            _ => {}
        }
    }

    /// Counts analytics events that were stored. Both words come from closed lists.
    pub fn count_events(&self, kind: &'static str, priority: &'static str, events: u64) {
        self.events.get_or_create(&EventLabels { r#type: kind, priority }).inc_by(events);
    }

    /// Counts a batch that was handed in, and how many rows of it were stored at that `second`.
    pub fn count_batch(&self, stored_rows: Option<u64>, second: i64) {
        self.ingest_requests.inc();
        if let Some(rows) = stored_rows {
            self.batch_rows.observe(rows as f64);
            self.row_rate.add(second, rows);
        }
    }

    /// Counts a batch that the store did not take.
    pub fn count_store_error(&self) {
        self.store_errors.inc();
    }

    /// Counts values in answers whose bytes were not UTF-8.
    pub fn count_replaced_utf8(&self, values: u64) {
        self.replaced_utf8.inc_by(values);
    }

    /// Rows stored a second, over the last minute.
    pub fn rows_per_second(&self, now_second: i64) -> f64 {
        self.row_rate.per_second(now_second)
    }

    /// Requests answered since start.
    pub fn requests_answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Mean milliseconds to an answer since start; 0 before the first.
    pub fn latency_ms_mean(&self) -> f64 {
        let nanos = self.answered_nanos.load(Ordering::Relaxed) as f64;
        nanos / 1e6 / (self.requests_answered().max(1) as f64)
    }

    /// Answers of 500 and above since start, in percent; 0 before the first.
    pub fn error_rate_percent(&self) -> f64 {
        let failed = self.failed.load(Ordering::Relaxed) as f64;
        failed * 100.0 / (self.requests_answered().max(1) as f64)
    }
}
