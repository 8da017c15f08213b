//! `/loki/api/v1/detected_fields` and `/detected_field/{name}/values`: what the lines of a query hold.
//!
//! Looks at the first `line_limit` lines (100) only, newest first, as Loki does.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use timberyard_logql::detect::{self, DetectedField};
use timberyard_logql::syntax::Expression;
use timberyard_logql::{QueryExtras, QueryRequest, QueryValue, syntax};
use timberyard_model::Cancellation;
use timberyard_model::scan::Direction;

use super::run;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

/// The fields, with their types, numbers of values, and parsers.
pub async fn fields(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let (request, fields_max) = question(&state, &identity, &form)?;
    let fields = run::answer(&state, &identity, request, move |_, result| match result.value {
        QueryValue::Streams(streams) => detect::fields(&streams, fields_max as usize),
        QueryValue::Matrix(_) | QueryValue::Vector(_) | QueryValue::Scalar { .. } => Vec::new(),
    })
    .await?;
    Ok(answer("fields", fields.iter().map(field_json).collect(), fields_max))
}

/// The values of one field.
pub async fn values(
    State(state): State<SharedState>,
    identity: Identity,
    Path(name): Path<String>,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let (request, values_max) = question(&state, &identity, &form)?;
    let values: Vec<Value> = run::answer(&state, &identity, request, move |_, result| match result.value {
        QueryValue::Streams(streams) => {
            detect::values(&streams, &name, values_max as usize).into_iter().map(Value::from).collect()
        }
        QueryValue::Matrix(_) | QueryValue::Vector(_) | QueryValue::Scalar { .. } => Vec::new(),
    })
    .await?;
    Ok(answer("values", values, values_max))
}

/// The query for the lines, and how many fields or values are wanted.
fn question(
    state: &SharedState,
    identity: &Identity,
    form: &Form,
) -> Result<(QueryRequest, u32), ErrorResponse> {
    let limits = &identity.limits.query;
    let now = state.now();
    let asked = form.parameters().detected_fields_query(now, limits.points_max)?;
    let expression = syntax::parse(&asked.lines.query, limits)?;
    if let Expression::Metric(_) = expression {
        return Err(ErrorResponse::bad_request("invalid_query", "only log selector is supported"));
    }
    let request = QueryRequest {
        tenant: identity.tenant.clone(),
        expression,
        start: asked.lines.start,
        end: asked.lines.end,
        step_ns: asked.lines.step_nanos,
        interval_ns: 0,
        limit: asked.lines.limit as usize,
        direction: Direction::Backward,
        extras: QueryExtras::default(),
        now,
        cancellation: Cancellation::default(),
    };
    Ok((request, asked.fields_max))
}

/// Without anything found the answer is empty, as Loki's.
fn answer(name: &str, found: Vec<Value>, limit: u32) -> Json<Value> {
    if found.is_empty() {
        return Json(json!({}));
    }
    let mut body = Map::new();
    body.insert(name.to_owned(), found.into());
    body.insert("limit".to_owned(), limit.into());
    Json(body.into())
}

fn field_json(field: &DetectedField) -> Value {
    let parsers = if field.parsers.is_empty() { Value::Null } else { json!(field.parsers) };
    let mut json = json!({
        "label": field.name,
        "type": field.field_type.name(),
        "cardinality": field.cardinality,
        "parsers": parsers,
    });
    if let (Value::Object(members), false) = (&mut json, field.json_path.is_empty()) {
        members.insert("jsonPath".to_owned(), json!(field.json_path));
    }
    json
}
