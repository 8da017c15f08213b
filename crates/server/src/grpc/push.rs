//! Timberyard's own push over gRPC: `timberyard.v1.PushService/Push` (`proto/timberyard/v1/push.proto`).
//!
//! Batches come one after the other without waiting for answers, a few are worked on beside each other, and each is acknowledged,
//! in the order in which they came, when it is durable. A client that does not take its acknowledgements is not read from.
//! Batches that say what they were read from are stored one after the other, up to the first that is refused. Each batch is judged as a request of its own: its key, its tenant's limits and its rates are those of the moment.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use timberyard_model::Surface;
use timberyard_model::origin::OriginEnd;
use timberyard_model::sink::SinkError;
use timberyard_wire::timberyard_push::{Head, Outcome};
use timberyard_wire::{loki_push_proto, origin_record, timberyard_push};

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
    let place = state.push_gate.enter(client)?;
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
    head: Head,
    body: RequestBody,
}

/// What is read of a call at a time.
enum Step {
    /// A batch to be stored beside others.
    Batch(Box<Batch>),
    /// The answer to one that had to be stored before anything behind it was read.
    Answered(Vec<u8>),
}

/// Where the reading of a call is: going on, or at its end, which may have a reason.
type Reading = Result<Call, Option<ErrorResponse>>;

fn acknowledgements(call: Call) -> impl Stream<Item = Result<Bytes, ErrorResponse>> + Send {
    let state = Arc::clone(&call.state);
    let stopping = state.stopping.clone().cancelled_owned();
    let steps = futures_util::stream::unfold(Reading::Ok(call), |reading| async {
        match reading {
            Ok(call) => call.next().await,
            Err(reason) => Some((Err(reason?), Err(None))),
        }
    });
    let answers = steps.take_until(stopping).map(|step| async {
        let response = match step? {
            Step::Batch(batch) => batch.store().await.0,
            Step::Answered(response) => response,
        };
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
    /// The next step, and how the reading goes on behind it.
    async fn next(mut self) -> Option<(Result<Step, ErrorResponse>, Reading)> {
        match self.batch().await {
            Ok(None) => None,
            Ok(Some(batch)) if batch.head.origins.is_empty() => {
                Some((Ok(Step::Batch(Box::new(batch))), Ok(self)))
            }
            Ok(Some(batch)) => {
                // An origin only grows: what lies behind a stretch must not be stored before it, or in its stead.
                let (response, refused) = batch.store().await;
                let reading = refused.map_or(Ok(self), |reason| Err(Some(reason)));
                Some((Ok(Step::Answered(response)), reading))
            }
            Err(error) => Some((Err(error), Err(None))),
        }
    }

    /// The next batch; `None` at the end of the call.
    async fn batch(&mut self) -> Result<Option<Batch>, ErrorResponse> {
        if !self.messages.has_next().await? {
            return Ok(None);
        }
        let identity = gate::pusher(&self.state, self.client.0, &self.asked).await?;
        self.state.rate_gate.check_request(&identity, self.state.elapsed())?;
        let body = self.messages.next(&self.state, &identity).await?.inflated().await?;
        let head = timberyard_push::head(&body.bytes)?;
        Ok(Some(Batch { state: Arc::clone(&self.state), identity, client: self.client, head, body }))
    }
}

impl Batch {
    /// Stores it, and gives what the client is told of it, and why nothing was stored where that is so.
    async fn store(self) -> (Vec<u8>, Option<ErrorResponse>) {
        let sequence = self.head.sequence;
        match self.outcome().await {
            Ok(outcome) => (timberyard_push::response(sequence, &outcome), None),
            Err((error, stored)) => {
                let refused = Outcome::Refused {
                    code: status::code_of(&error),
                    message: error.message.clone(),
                    retry_after_seconds: error.retry_after_seconds(),
                    stored,
                };
                (timberyard_push::response(sequence, &refused), Some(error))
            }
        }
    }

    /// What became of it, or why nothing of it was stored, and how far its origins are stored where that is the reason.
    async fn outcome(self) -> Result<Outcome, (ErrorResponse, Vec<OriginEnd>)> {
        let Self { state, identity, client, head, body } = self;
        let refused = |error: ErrorResponse| (error, Vec::new());
        let decoding = decode(&state, &identity, client, body, loki_push_proto::decode_message);
        let decoded = decoding.await.map_err(refused)?;
        if decoded.batch.rows.is_empty() && head.origins.is_empty() {
            return Ok(Outcome::Stored(decoded.rejected));
        }
        let batch = origin_record::with_origins(decoded.batch, head.origins);
        let submitted = state.submit_for_outcome(&identity, Surface::Timberyard, batch).await;
        match submitted.map_err(refused)? {
            Ok(_) => Ok(Outcome::Stored(decoded.rejected)),
            Err(SinkError::AlreadyStored(stored)) if stored.whole => Ok(Outcome::Duplicate),
            Err(SinkError::AlreadyStored(stored)) => {
                let ends = stored.ends.clone();
                Err((SinkError::AlreadyStored(stored).into(), ends))
            }
            Err(error) => Err(refused(error.into())),
        }
    }
}
