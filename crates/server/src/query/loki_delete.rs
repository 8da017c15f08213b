//! `/loki/api/v1/delete`: lines go by retention only; asking for more is refused, never silently taken.

use axum::http::StatusCode;

use crate::error_response::ErrorResponse;

/// Refuses to delete lines, and to list or call off requests to do so.
pub async fn refuse() -> ErrorResponse {
    let message = "deleting lines by query is not supported yet; lines go by retention, by age or bytes";
    ErrorResponse::new(StatusCode::NOT_IMPLEMENTED, "not_supported", message)
}
