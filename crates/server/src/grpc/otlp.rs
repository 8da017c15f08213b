//! OTLP logs over gRPC: `opentelemetry.proto.collector.logs.v1.LogsService/Export`.
//!
//! What becomes of records is the same as over HTTP; those that break a limit are counted in `partial_success` while their
//! neighbours are stored. <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>

use axum::extract::{Request, State};
use axum::response::Response;
use timberyard_model::Surface;
use timberyard_wire::{otlp_answer, otlp_proto};

use super::messages::Messages;
use super::status;
use crate::auth::Identity;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::ingest::decode::decode;
use crate::state::SharedState;

/// The path of the method.
pub const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// `ExportLogsServiceResponse` when everything but what it counts was stored.
pub async fn export(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let body = Messages::of(request)?.only(&state, &identity).await?.inflated().await?;
    let decoded = decode(&state, &identity, client, body, otlp_proto::decode).await?;
    if !decoded.batch.rows.is_empty() {
        let stored = state.submit(&identity, Surface::Otlp, decoded.batch).await;
        stored.map_err(crate::ingest::otlp::told_to_try_again)?;
    }
    status::answer(&otlp_answer::response_proto(&decoded.rejected))
}
