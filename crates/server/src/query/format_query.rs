//! `GET /loki/api/v1/format_query`: a query as its formatter writes it.

use axum::Json;
use serde_json::{Value, json};
use timberyard_logql::syntax;

use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;

/// The query, broken over lines where it is long.
pub async fn get(identity: Identity, form: Form) -> Result<Json<Value>, ErrorResponse> {
    let expression = syntax::parse(form.parameters().get("query"), &identity.limits.query)?;
    Ok(Json(json!({ "status": "success", "data": syntax::pretty(&expression) })))
}
