//! `POST /timberyard/api/v1/ndjson`, and VictoriaLogs' `/insert/jsonline`: newline-delimited JSON of any shape.

use axum::extract::State;
use axum::http::StatusCode;
use timberyard_model::Surface;
use timberyard_wire::{DecodeContext, ndjson};

use super::decode::decode;
use super::field_parameters::FieldParameters;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// 204 when every line was stored; 400 that names the lines that were not, while their neighbours are stored.
/// The content type does not matter.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    FieldParameters(mapping): FieldParameters,
    body: RequestBody,
) -> Result<StatusCode, ErrorResponse> {
    let decoder = move |body: &[u8], context: &DecodeContext<'_>| ndjson::decode(body, &mapping, context);
    let decoded = decode(&state, &identity, client, body, decoder).await?;
    state.submit_decoded(&identity, Surface::Ndjson, decoded).await?;
    Ok(StatusCode::NO_CONTENT)
}
