//! The whole URL table on one screen, and the rules that every request passes before its handler.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, options, post};

use crate::auth::gate;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;
use crate::{
    admin, error_response, grpc, ingest, limits, login, metrics, observe, openapi, query, security_headers,
    ui,
};

/// All routes with all rules.
pub fn router(state: SharedState) -> Router {
    // Open to everybody.
    let open = Router::new()
        .route("/health", get(admin::health::get))
        .route("/metrics", get(metrics::get))
        .route("/ready", get(admin::readiness::ready))
        .route("/readiness", get(admin::readiness::readiness))
        .route("/liveness", get(admin::readiness::liveness))
        .route("/auth/login", get(login::start))
        .route("/auth/callback", get(login::callback))
        .route("/auth/logout", post(login::logout))
        .route("/openapi.json", get(openapi::json))
        .route("/openapi", get(openapi::html))
        .route("/ui/{*file}", get(ui::files::get))
        .route("/timberyard/api/v1/about", get(ui::about::server))
        .route("/services/collector/event/1.0", options(ingest::splunk_hec::health))
        .route("/services/collector/health", get(ingest::splunk_hec::health))
        .route("/services/collector/health/1.0", get(ingest::splunk_hec::health));

    // Need a key that may push.
    let push = Router::new()
        .route("/loki/api/v1/push", post(ingest::loki_push::post))
        .route("/api/prom/push", post(ingest::loki_push::post))
        .route("/otlp/v1/logs", post(ingest::otlp::post))
        .route(grpc::otlp::EXPORT, post(grpc::otlp::export))
        .route(grpc::push::PUSH, post(grpc::push::push))
        .route("/v1/logs", post(ingest::v1_logs::post))
        .route("/ingest", post(ingest::logpulse::post))
        .route("/api/ingest", post(ingest::logstream::post))
        .route("/api/v1/ingest", post(ingest::change66::post_event))
        .route("/api/v1/batch-ingest", post(ingest::change66::post_batch))
        .route("/timberyard/api/v1/ndjson", post(ingest::ndjson::post))
        .route("/insert/jsonline", post(ingest::ndjson::post))
        .route("/services/collector", post(ingest::splunk_hec::post_events))
        .route("/services/collector/event", post(ingest::splunk_hec::post_events))
        .route("/services/collector/event/1.0", post(ingest::splunk_hec::post_events))
        .route("/services/collector/raw", post(ingest::splunk_hec::post_raw))
        .route("/services/collector/raw/1.0", post(ingest::splunk_hec::post_raw))
        .route("/services/collector/ack", post(ingest::splunk_hec::post_ack))
        .route("/api/v2/logs", post(ingest::datadog::post))
        .route("/v1/input", post(ingest::datadog::post))
        .route("/api/v1/validate", get(ingest::datadog::validate))
        .route("/aws/firehose", post(ingest::firehose::post))
        .route("/alertmanager/webhook", post(ingest::alertmanager::post))
        .route("/", get(ingest::elasticsearch::info))
        .route("/_bulk", stored(ingest::elasticsearch::bulk))
        .route("/{index}/_bulk", stored(ingest::elasticsearch::bulk_of_index))
        .route("/{index}/_doc", post(ingest::elasticsearch::document))
        .route("/{index}/_doc/{id}", stored(ingest::elasticsearch::document_with_id))
        .route("/{index}/_create/{id}", stored(ingest::elasticsearch::document_with_id))
        .route("/_cluster/health", get(ingest::elasticsearch::cluster_health))
        .route("/_cat/health", get(ingest::elasticsearch::cat_health))
        .route("/_license", get(ingest::elasticsearch::license))
        .route("/_nodes/http", get(ingest::elasticsearch::nodes))
        .route("/_template/{name}", known(ingest::elasticsearch::setting))
        .route("/_index_template/{name}", known(ingest::elasticsearch::setting))
        .route("/_component_template/{name}", known(ingest::elasticsearch::setting))
        .route("/_ilm/policy/{name}", known(ingest::elasticsearch::setting))
        .route("/_ingest/pipeline/{name}", known(ingest::elasticsearch::setting))
        .route("/_data_stream/{name}", known(ingest::elasticsearch::setting))
        .route("/_alias/{name}", known(ingest::elasticsearch::setting));

    // The same, for as long as it takes.
    let upload = Router::new().route("/upload", post(ingest::journald::post));

    // Need a key that may read.
    let read = Router::new()
        .route("/loki/api/v1/query_range", asked(query::loki_query::range))
        .route("/loki/api/v1/query", asked(query::loki_query::instant))
        .route("/loki/api/v1/labels", asked(query::loki_labels::names))
        .route("/loki/api/v1/label", asked(query::loki_labels::names))
        .route("/loki/api/v1/label/{name}/values", asked(query::loki_labels::values))
        .route("/loki/api/v1/series", asked(query::loki_labels::series))
        .route("/loki/api/v1/index/stats", asked(query::loki_index::stats))
        .route("/loki/api/v1/index/volume", asked(query::loki_volume::volume))
        .route("/loki/api/v1/index/volume_range", asked(query::loki_volume::volume_range))
        .route("/loki/api/v1/detected_labels", asked(query::loki_index::detected_labels))
        .route("/loki/api/v1/detected_fields", asked(query::loki_detected::fields))
        .route("/loki/api/v1/detected_field/{name}/values", asked(query::loki_detected::values))
        .route("/loki/api/v1/patterns", asked(query::loki_patterns::get))
        .route("/loki/api/v1/drilldown-limits", get(query::loki_limits::drilldown))
        .route("/config/tenant/v1/limits", get(query::loki_limits::page))
        .route("/loki/api/v1/rules", get(query::loki_rules::list))
        .route("/prometheus/api/v1/rules", get(query::loki_rules::rules))
        .route("/prometheus/api/v1/alerts", get(query::loki_rules::alerts))
        .route("/loki/api/v1/format_query", asked(query::format_query::get))
        .route("/timberyard/api/v1/explain", asked(query::explain::get))
        .route("/timberyard/api/v1/whoami", get(ui::about::asker))
        .route("/timberyard/api/v1/searches", get(ui::searches::list).post(ui::searches::add))
        .route("/timberyard/api/v1/searches/{id}", axum::routing::delete(ui::searches::remove))
        .route("/v1/logs", get(query::v1_logs::get))
        .route("/status", get(query::logtopus_status::get))
        .route("/query", get(query::logpulse::query))
        .route("/labels", get(query::logpulse::labels))
        .route("/labels/{name}/values", get(query::logpulse::label_values))
        .route("/api/ingest/logs", get(query::logstream::get))
        .route("/api/health", get(query::logstream::health))
        .route("/api/v1/logs/filter", get(query::events::filter))
        .route("/api/v1/logs/recent", get(query::events::recent))
        .route("/api/v1/status", get(query::events::status))
        .route("/api/v1/metrics", get(query::events::metrics))
        .route("/loki/api/v1/status/buildinfo", get(query::build_info::build_info))
        .route("/services", get(query::build_info::services));

    let deletions = get(admin::loki_delete::list)
        .post(admin::loki_delete::add)
        .put(admin::loki_delete::add)
        .delete(admin::loki_delete::cancel);

    // Need a key that may follow logs as they come in.
    let tail = Router::new()
        .route("/loki/api/v1/tail", get(query::loki_tail::get))
        .route("/stream", get(query::logpulse_stream::get))
        .route("/ticket", post(admin::ticket::post));

    // Need a key that may delete.
    let delete = Router::new().route("/loki/api/v1/delete", deletions);

    // Need a key that may administer.
    let admin = Router::new()
        .route("/admin/keys", get(admin::keys::list).post(admin::keys::create))
        .route("/admin/keys/{which}", axum::routing::delete(admin::keys::revoke))
        .route("/admin/keys/{which}/rotate", post(admin::keys::rotate))
        .route("/timberyard/api/v1/slow-queries", get(admin::slow_queries::list));

    // Need a key that may administer for every tenant.
    let operate = Router::new()
        .route("/admin/config", get(admin::settings::describe))
        .route("/admin/reload", post(admin::settings::reload))
        .route("/flush", post(admin::flush::post))
        .route("/snapshot", post(admin::snapshot::post))
        .route("/retention/preview", get(admin::retention::preview));

    // The last layer sees a request first.
    let keyed = Router::new()
        .merge(
            push.route_layer(from_fn_with_state(state.clone(), limits::bound_seconds))
                .route_layer(from_fn_with_state(state.clone(), limits::keep_promises))
                .route_layer(from_fn(gate::require_push)),
        )
        .merge(upload.route_layer(from_fn(gate::require_push)))
        .merge(read.route_layer(from_fn(gate::require_read)))
        .merge(tail.route_layer(from_fn(gate::require_tail)))
        .merge(
            delete
                .route_layer(from_fn_with_state(state.clone(), gate::audit))
                .route_layer(from_fn_with_state(state.clone(), gate::require_delete)),
        )
        .merge(
            admin
                .route_layer(from_fn_with_state(state.clone(), gate::audit))
                .route_layer(from_fn(gate::require_admin)),
        )
        .merge(
            operate
                .route_layer(from_fn_with_state(state.clone(), gate::audit))
                .route_layer(from_fn(gate::require_operator)),
        );
    let served = if state.settings.operations_only { Router::new() } else { keyed };
    let guarded = served
        .merge(open)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), limits::bound_requests))
        .layer(from_fn_with_state(state.clone(), limits::bound_rates))
        .layer(from_fn_with_state(state.clone(), gate::authenticate))
        .layer(from_fn(ui::files::at_root))
        .layer(from_fn_with_state(state.clone(), gate::check_host_and_origin));
    let shared = match security_headers::cors(&state.settings.allowed_origins) {
        Some(cors) => guarded.layer(cors),
        None => guarded,
    };
    shared
        .layer(from_fn(security_headers::add))
        .layer(from_fn(error_response::render))
        .layer(from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

/// A question that may come as GET, or as POST with a form.
fn asked<H, T>(handler: H) -> MethodRouter<SharedState>
where
    H: Handler<T, SharedState>,
    T: 'static,
{
    get(handler.clone()).post(handler)
}

/// A document or documents, which Elasticsearch's clients send with either method.
fn stored<H, T>(handler: H) -> MethodRouter<SharedState>
where
    H: Handler<T, SharedState>,
    T: 'static,
{
    post(handler.clone()).put(handler)
}

/// A setting that Elasticsearch's clients look at, and bring.
fn known<H, T>(handler: H) -> MethodRouter<SharedState>
where
    H: Handler<T, SharedState>,
    T: 'static,
{
    get(handler.clone()).post(handler.clone()).put(handler)
}

async fn not_found(request: Request) -> ErrorResponse {
    let message = format!("there is no {}", request.uri().path());
    ErrorResponse::new(StatusCode::NOT_FOUND, "not_found", message)
}

async fn method_not_allowed(request: Request) -> ErrorResponse {
    let message = format!("{} does not take {}", request.uri().path(), request.method());
    ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
