//! `GET /api/ingest/logs` and `GET /api/health`: LogStream's way out.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::scan::{LogSource, ScanRequest};
use timberyard_model::{Cancellation, RowRef, TimeRange};
use timberyard_wire::log_entry::LogEntry;
use timberyard_wire::logstream;
use timberyard_wire::service_name::SERVICE_NAME;

use super::json_answer::{array_of, json_text, replaced_values};
use super::ordered_rows::{ReadLimits, read_rows};
use super::plain_parameters::{number, present};
use super::text_condition::TextCondition;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// The newest logs of a service and level, the newest first.
pub async fn get(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let rows_max = number(&form, "limit", LIMIT_DEFAULT, 1..=LIMIT_MAX)?;
    let service = present(&form, "service").map(str::to_owned);
    let level = present(&form, "level").map(TextCondition::equals);
    let (shared, tenant) = (SharedState::clone(&state), identity.tenant.clone());
    let limits = ReadLimits { rows_max, bytes_max: identity.limits.query.memory_bytes_max };
    let answer = move |source: &dyn LogSource, cancellation: Cancellation| {
        let matchers = service.iter().map(|service| LabelMatcher::equal(SERVICE_NAME, service)).collect();
        let request = ScanRequest { cancellation, matchers, ..ScanRequest::all(tenant, TimeRange::ALL) };
        let wanted = |row: RowRef<'_>| {
            let entry = LogEntry::new(row);
            level.as_ref().is_none_or(|level| level.accepts(entry.level()))
        };
        let rows = read_rows(source, &request, limits, wanted)?;
        shared.metrics.count_replaced_utf8(replaced_values(&rows));
        let mut body = format!(r#"{{"status":"success","result":{},"data":"#, rows.len()).into_bytes();
        body.append(&mut array_of(&rows, |out, row| logstream::write_entry(out, &LogEntry::new(row))));
        body.push(b'}');
        Ok(body)
    };
    state.read(&identity, answer).await.map(json_text)
}

/// LogStream's own health page.
pub async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
