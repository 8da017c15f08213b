//! Timberyard's own push over gRPC: `timberyard.v1.PushService/Push` (`proto/timberyard/v1/push.proto`).
//!
//! Batches come one after the other without waiting for answers, a few are worked on beside each other, and each is acknowledged,
//! in the order in which they came, when it is durable. A client that does not take its acknowledgements is not read from.
//! Each batch is judged as a request of its own: its key, its tenant's limits and its rates are those of the moment.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use timberyard_model::Surface;
use timberyard_wire::context::Rejections;
use timberyard_wire::{loki_push_proto, timberyard_push};

use super::messages::Messages;
use super::status;
use crate::auth::{Identity, gate};
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::ingest::decode::decode;
use crate::limits::RequestPlace;
use crate::state::SharedState;

/// The path of the method.
pub const PUSH: &str = "/timberyard.v1.PushService/Push";

/// Batches of one call that are worked on at the same time.
const IN_FLIGHT_MAX: usize = 8;

/// An acknowledgement for each batch, until the client has said all or the server stops.
pub async fn push(
    State(state): State<SharedState>,
    client: ClientAddress,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let place = state.push_gate.enter()?;
    let (parts, body) = request.into_parts();
    let asked = parts.clone();
    let messages = Messages::of(Request::from_parts(parts, body))?;
    let call = Call { state, client, asked, messages, _place: place };
    Ok(status::answers(acknowledgements(call)))
}

/// A client that pushes.
struct Call {
    state: SharedState,
    client: ClientAddress,
    /// The head of the request, by which each batch is judged.
    asked: Parts,
    messages: Messages,
    _place: RequestPlace,
}

/// A batch that has come.
struct Batch {
    state: SharedState,
    identity: Identity,
    client: ClientAddress,
    sequence: u64,
    body: RequestBody,
}

fn acknowledgements(call: Call) -> impl Stream<Item = Result<Bytes, ErrorResponse>> + Send {
    let state = Arc::clone(&call.state);
    let stopping = state.stopping.clone().cancelled_owned();
    let batches = futures_util::stream::unfold(Some(call), |call| async move {
        let mut call = call?;
        match call.next().await {
            Ok(None) => None,
            Ok(Some(batch)) => Some((Ok(batch), Some(call))),
            Err(error) => Some((Err(error), None)),
        }
    });
    let answers = batches.take_until(stopping).map(|batch| async {
        let response = batch?.store().await;
        status::framed(&response)
    });
    // Why it ends, when it is not the client that ends it.
    let end = async move {
        let is_stopping = state.stopping.is_cancelled();
        is_stopping.then(|| Err(ErrorResponse::unavailable("the server is stopping; go on with another one")))
    };
    answers.buffered(IN_FLIGHT_MAX).chain(futures_util::stream::once(end).filter_map(std::future::ready))
}

impl Call {
    /// The next batch; `None` at the end of the call.
    async fn next(&mut self) -> Result<Option<Batch>, ErrorResponse> {
        if !self.messages.has_next().await? {
            return Ok(None);
        }
        let identity = gate::pusher(&self.state, self.client.0, &self.asked).await?;
        self.state.rate_gate.check_request(&identity, self.state.elapsed())?;
        let body = self.messages.next(&self.state, &identity).await?.inflated().await?;
        let sequence = timberyard_push::sequence(&body.bytes)?;
        Ok(Some(Batch { state: Arc::clone(&self.state), identity, client: self.client, sequence, body }))
    }
}

impl Batch {
    /// Stores it, and gives what the client is told of it.
    async fn store(self) -> Vec<u8> {
        let sequence = self.sequence;
        match self.stored().await {
            Ok(rejected) => timberyard_push::acknowledged(sequence, &rejected),
            Err(error) => {
                let seconds = error.retry_after_seconds();
                timberyard_push::refused(sequence, status::code_of(&error), &error.message, seconds)
            }
        }
    }

    async fn stored(self) -> Result<Rejections, ErrorResponse> {
        let Self { state, identity, client, body, .. } = self;
        let decoded = decode(&state, &identity, client, body, loki_push_proto::decode_message).await?;
        if !decoded.batch.rows.is_empty() {
            state.submit(&identity, Surface::Timberyard, decoded.batch).await?;
        }
        Ok(decoded.rejected)
    }
}
