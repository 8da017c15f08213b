//! Elasticsearch's API, as far as those that send logs need it: bulk bodies, single documents, and the
//! questions that they ask before.
//!
//! Clients are told of a current version, and that every template and policy they bring is there: documents need none.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use timberyard_model::Surface;
use timberyard_wire::{DecodeContext, elasticsearch};

use super::decode::decode;
use super::field_parameters::FieldParameters;
use crate::admin::readiness;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::{ServerState, SharedState};

/// What clients look for before they trust an answer.
pub const PRODUCT: (HeaderName, &str) = (HeaderName::from_static("x-elastic-product"), "Elasticsearch");

/// The version whose API this is: clients refuse servers that are older than they are.
const VERSION: &str = "9.2.0";

/// `POST /_bulk`.
pub async fn bulk(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    mapping: FieldParameters,
    body: RequestBody,
) -> Result<Response, ErrorResponse> {
    store_bulk(&state, &identity, client, mapping, body, None).await
}

/// `POST /{index}/_bulk`.
pub async fn bulk_of_index(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    Path(index): Path<String>,
    mapping: FieldParameters,
    body: RequestBody,
) -> Result<Response, ErrorResponse> {
    store_bulk(&state, &identity, client, mapping, body, Some(index)).await
}

/// 200 with an answer for each action, in their order: those that are 201 are stored.
async fn store_bulk(
    state: &SharedState,
    identity: &Identity,
    client: ClientAddress,
    FieldParameters(mapping): FieldParameters,
    body: RequestBody,
    index: Option<String>,
) -> Result<Response, ErrorResponse> {
    let began = state.elapsed();
    let decoder = move |body: &[u8], context: &DecodeContext<'_>| {
        elasticsearch::decode_bulk(body, index.as_deref(), &mapping, context)
    };
    let bulk = decode(state, identity, client, body, decoder).await?;
    if !bulk.batch.rows.is_empty() {
        state.submit(identity, Surface::Elasticsearch, bulk.batch).await?;
    }
    let took = state.elapsed().saturating_sub(began).as_millis() as u64;
    let answer = elasticsearch::bulk_answer(&bulk.items, &new_id(), took);
    Ok(([PRODUCT, (header::CONTENT_TYPE, "application/json")], answer).into_response())
}

/// `POST /{index}/_doc`.
pub async fn document(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    Path(index): Path<String>,
    mapping: FieldParameters,
    body: RequestBody,
) -> Result<Response, ErrorResponse> {
    store_document(&state, &identity, client, mapping, body, (index, None)).await
}

/// `PUT` and `POST` of `/{index}/_doc/{id}` and `/{index}/_create/{id}`.
pub async fn document_with_id(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    Path((index, id)): Path<(String, String)>,
    mapping: FieldParameters,
    body: RequestBody,
) -> Result<Response, ErrorResponse> {
    store_document(&state, &identity, client, mapping, body, (index, Some(id))).await
}

async fn store_document(
    state: &SharedState,
    identity: &Identity,
    client: ClientAddress,
    FieldParameters(mapping): FieldParameters,
    body: RequestBody,
    (index, id): (String, Option<String>),
) -> Result<Response, ErrorResponse> {
    let answer = elasticsearch::stored(&index, &id.clone().unwrap_or_else(new_id));
    let decoder = move |body: &[u8], context: &DecodeContext<'_>| {
        elasticsearch::decode_document(body, &index, id.as_deref(), &mapping, context)
    };
    let batch = decode(state, identity, client, body, decoder).await?;
    state.submit(identity, Surface::Elasticsearch, batch).await?;
    Ok((StatusCode::CREATED, [PRODUCT], Json(answer)).into_response())
}

fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// `GET /`: who this is.
pub async fn info(State(state): State<SharedState>) -> Response {
    answer(json!({
        "name": &*state.settings.node_id,
        "cluster_name": "timberyard",
        "cluster_uuid": "timberyard",
        "version": {
            "number": VERSION, "build_flavor": "default", "build_type": "tar", "build_snapshot": false,
            "build_hash": env!("CARGO_PKG_VERSION"), "build_date": "1970-01-01T00:00:00.000Z",
            "lucene_version": "10.3.1", "minimum_wire_compatibility_version": "8.19.0",
            "minimum_index_compatibility_version": "8.0.0",
        },
        "tagline": "You Know, for Search",
    }))
}

/// `GET /_cluster/health`.
pub async fn cluster_health(State(state): State<SharedState>) -> Response {
    answer(json!({
        "cluster_name": "timberyard", "status": status(&state), "timed_out": false, "number_of_nodes": 1,
        "number_of_data_nodes": 1, "active_primary_shards": 1, "active_shards": 1, "relocating_shards": 0,
        "initializing_shards": 0, "unassigned_shards": 0, "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0, "active_shards_percent_as_number": 100.0,
    }))
}

/// `GET /_cat/health`, which rsyslog asks.
pub async fn cat_health(State(state): State<SharedState>) -> Response {
    let seconds = state.now().as_nanos() / 1_000_000_000;
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    let clock = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    let line = format!("{seconds} {clock} timberyard {} 1 1 1 1 0 0 0 0 - 100.0%\n", status(&state));
    ([PRODUCT, (header::CONTENT_TYPE, "text/plain; charset=utf-8")], line).into_response()
}

fn status(state: &ServerState) -> &'static str {
    if readiness::check(state).is_ok() { "green" } else { "red" }
}

/// `GET /_license`: what Beats and Logstash ask for.
pub async fn license() -> Response {
    answer(json!({ "license": {
        "status": "active", "uid": "timberyard", "type": "basic", "issue_date": "1970-01-01T00:00:00.000Z",
        "issue_date_in_millis": 0, "max_nodes": 1000, "issued_to": "timberyard", "issuer": "timberyard",
        "start_date_in_millis": -1,
    } }))
}

/// `GET /_nodes/http`: the nodes that a client may spread its requests over. This is the only one.
pub async fn nodes() -> Response {
    answer(
        json!({ "_nodes": { "total": 0, "successful": 0, "failed": 0 }, "cluster_name": "timberyard", "nodes": {} }),
    )
}

/// Templates, policies, pipelines and data streams: all that are asked about are there, all that are sent are acknowledged,
/// and none is needed.
pub async fn setting(method: Method) -> Response {
    match method {
        Method::PUT | Method::POST => answer(json!({ "acknowledged": true })),
        _ => answer(json!({})),
    }
}

fn answer(value: Value) -> Response {
    ([PRODUCT], Json(value)).into_response()
}

/// An error as Elasticsearch's clients read it.
pub fn error(error: &ErrorResponse) -> Response {
    let kind = match error.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "security_exception",
        StatusCode::TOO_MANY_REQUESTS => "es_rejected_execution_exception",
        StatusCode::BAD_REQUEST => "illegal_argument_exception",
        _ => "exception",
    };
    let body = elasticsearch::error_answer(error.status.as_u16(), kind, &error.message);
    (error.status, [PRODUCT], Json(body)).into_response()
}
