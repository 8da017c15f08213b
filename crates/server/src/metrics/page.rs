//! `GET /metrics`: the counters of the server, and what other parts count, read at this moment.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use timberyard_pipeline::process::counters::StepCounters;

use super::text_format::to_classic;
use crate::error_response::ErrorResponse;
use crate::state::{ServerState, SharedState};

/// The text format that every version of Prometheus reads.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page.
pub async fn get(State(state): State<SharedState>) -> Response {
    let mut text = String::new();
    let written = encode_registry(&mut text, &state.metrics.registry)
        .and_then(|()| encode_registry(&mut text, &of_this_moment(&state)));
    match written {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], to_classic(&text)).into_response(),
        Err(error) => ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
            .into_response(),
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DroppedLabels {
    sink: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StepLabels {
    step: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

fn of_this_moment(state: &ServerState) -> Registry {
    let mut page = Page(Registry::default());
    let intake = state.intake.counters();
    page.counter("timberyard_rows_accepted", "Rows acknowledged", intake.rows_accepted.get());
    page.counter(
        "timberyard_line_bytes_accepted",
        "Bytes of acknowledged lines",
        intake.line_bytes_accepted.get(),
    );
    page.counter("timberyard_batches_accepted", "Batches acknowledged", intake.batches_accepted.get());
    page.counter(
        "timberyard_rows_refused",
        "Rows of batches that were not stored",
        intake.rows_refused.get(),
    );
    page.counter(
        "timberyard_rows_dropped_by_processing",
        "Rows that were acknowledged and that steps of processing dropped",
        intake.rows_dropped.get(),
    );
    page.counter(
        "timberyard_rows_routed_past_store",
        "Rows that were acknowledged and that steps of processing did not route to the store",
        intake.rows_routed_past.get(),
    );
    page.gauge(
        "timberyard_demoted_labels",
        "Labels that became structured metadata because they had too many values",
        state.intake.demoted_labels() as u64,
    );
    page.gauge(
        "timberyard_ingest_in_flight_bytes",
        "Bytes on their way to the store",
        state.intake.in_flight_bytes() as u64,
    );
    page.gauge(
        "timberyard_request_body_bytes",
        "Bytes of request bodies in memory",
        state.body_budget.held_bytes() as u64,
    );
    page.gauge(
        "timberyard_requests_in_flight",
        "Requests being answered",
        state.request_gate.in_flight() as u64,
    );
    page.gauge("timberyard_queries_running", "Queries running", state.query_gate.running() as u64);
    page.gauge(
        "timberyard_queries_waiting",
        "Queries waiting for others to end",
        state.query_gate.waiting() as u64,
    );
    page.gauge("stream_clients", "Connections that tail", state.tail_hub.subscriptions() as u64);
    page.counter("stream_messages_dropped", "Rows that slow tails missed", state.tail_hub.missed_rows());

    let store = state.operations.statistics();
    page.gauge("storage_disk_bytes", "Bytes on disk: segments and write-ahead log", store.disk_bytes);
    page.gauge("timberyard_disk_free_bytes", "Bytes left on the volume", store.disk_free_bytes);
    page.gauge("timberyard_wal_bytes", "Bytes of the write-ahead log", store.wal_bytes);
    page.gauge("timberyard_segments", "Segments that are listed", store.segments);
    page.gauge(
        "timberyard_segments_damaged",
        "Segments that are left out because they are damaged",
        store.segments_damaged,
    );
    page.gauge("timberyard_rows", "Rows in the store", store.rows);
    page.gauge("timberyard_head_rows", "Rows that no segment has yet", store.head_rows);
    page.gauge("timberyard_streams", "Streams known", store.streams);
    page.gauge("timberyard_line_bytes", "Bytes of the lines in the store, uncompressed", store.line_bytes);
    page.counter("timberyard_storage_errors", "Reads and writes of the store that failed", store.errors);
    page.sinks(state);
    page.steps(state);
    if let Some(inputs) = state.inputs.get() {
        super::inputs::register(&mut page.0, &inputs.figures());
    }

    page.gauge_float("timberyard_uptime_seconds", "Seconds since start", state.uptime_nanos() as f64 / 1e9);
    let started = state.started_at.as_nanos() as f64 / 1e9;
    page.gauge_float(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970",
        started,
    );
    let build = Family::<BuildLabels, prometheus_client::metrics::gauge::Gauge>::default();
    build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
    page.0.register("timberyard_build_info", "1, with the version as label", build);
    page.0
}

struct Page(Registry);

impl Page {
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, ConstCounter::new(value));
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, ConstGauge::new(gauge_value(value)));
    }

    fn gauge_float(&mut self, name: &str, help: &str, value: f64) {
        self.0.register(name, help, ConstGauge::new(value));
    }

    /// The sinks but for the embedded store; their names come from the settings.
    fn sinks(&mut self, state: &ServerState) {
        let written = Family::<SinkLabels, Counter>::default();
        let retries = Family::<SinkLabels, Counter>::default();
        let dropped = Family::<DroppedLabels, Counter>::default();
        let queued = Family::<SinkLabels, Gauge>::default();
        let oldest = Family::<SinkLabels, Gauge>::default();
        let broker = state.intake.broker();
        let best_effort = broker.best_effort().map(|driver| (driver.name(), driver.figures()));
        for (name, figures) in broker.required_figures().chain(best_effort) {
            let labels = SinkLabels { sink: name.to_owned() };
            written.get_or_create(&labels).inc_by(figures.rows_written);
            retries.get_or_create(&labels).inc_by(figures.retries);
            queued.get_or_create(&labels).set(gauge_value(figures.queued_bytes));
            oldest.get_or_create(&labels).set(gauge_value(figures.oldest_age_seconds));
        }
        for driver in broker.best_effort() {
            let (counters, drops) = (driver.counters(), driver.dropped());
            for (reason, rows) in [
                ("queue_full", &drops.queue_full),
                ("spool_full", &drops.spool_full),
                ("spool_failed", &drops.spool_failed),
                ("refused", &counters.rows_refused),
            ] {
                let labels = DroppedLabels { sink: driver.name().to_owned(), reason };
                dropped.get_or_create(&labels).inc_by(rows.get());
            }
        }
        let up = Family::<SinkLabels, Gauge>::default();
        for (name, is_up) in broker.up() {
            up.get_or_create(&SinkLabels { sink: name.to_owned() }).set(i64::from(is_up));
        }
        self.0.register(
            "timberyard_sink_up",
            "Whether the engine of a sink was there when it was asked last: 1 or 0",
            up,
        );
        self.0.register("timberyard_sink_rows_written", "Rows that a sink has", written);
        self.0.register(
            "timberyard_sink_rows_dropped",
            "Rows that a best-effort sink will never have, by reason",
            dropped,
        );
        self.0.register("timberyard_sink_retries", "Writes to a sink that were tried again", retries);
        self.0.register("timberyard_sink_queue_bytes", "Bytes that wait for a sink", queued);
        self.0.register(
            "timberyard_sink_oldest_age_seconds",
            "How long the oldest rows have waited for a sink",
            oldest,
        );
    }

    /// The steps of processing; their names come from the settings.
    fn steps(&mut self, state: &ServerState) {
        let counters = state.intake.processing().counters();
        let mut count = |kind: &str, help: &str, count: &dyn Fn(&StepCounters) -> u64| {
            let family = Family::<StepLabels, Counter>::default();
            for (step, counters) in &counters {
                family.get_or_create(&StepLabels { step: step.clone() }).inc_by(count(counters));
            }
            self.0.register(format!("timberyard_step_rows_{kind}"), help, family);
        };
        count("changed", "Rows that a step of processing changed", &|step| step.rows_changed.get());
        count("dropped", "Rows that a step of processing dropped", &|step| step.rows_dropped.get());
        let failed = "Rows with which a step of processing could not do all that it is for";
        count("failed", failed, &|step| step.rows_failed.get());
    }
}

fn gauge_value(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
