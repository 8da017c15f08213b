//! Runs a decoder over a body: small ones at once, large ones on a thread of their own.

use std::sync::Arc;

use timberyard_wire::DecodeContext;

use crate::auth::Identity;
use crate::body::{INLINE_BYTES_MAX, RequestBody};
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// What the decoder makes of the body. The memory of the body is given back afterwards.
pub async fn decode<T, E, D>(
    state: &SharedState,
    identity: &Identity,
    client: ClientAddress,
    body: RequestBody,
    decoder: D,
) -> Result<T, ErrorResponse>
where
    T: Send + 'static,
    E: Into<ErrorResponse> + Send + 'static,
    D: FnOnce(&[u8], &DecodeContext<'_>) -> Result<T, E> + Send + 'static,
{
    let client_ip = client.text();
    if body.bytes.len() <= INLINE_BYTES_MAX {
        return decoder(&body.bytes, &state.decode_context(identity, client_ip.as_deref()))
            .map_err(Into::into);
    }
    let (state, identity) = (Arc::clone(state), identity.clone());
    let decoding = tokio::task::spawn_blocking(move || {
        decoder(&body.bytes, &state.decode_context(&identity, client_ip.as_deref()))
    });
    decoding.await.map_err(|error| ErrorResponse::internal(&error))?.map_err(Into::into)
}
