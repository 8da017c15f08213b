//! `POST /api/v1/ingest` and `/api/v1/batch-ingest`: Change66's analytics events.
//!
//! An `event_id` is taken once in a tenant: of concurrent equal ones the store lets one through, the others
//! get 409.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use timberyard_model::Surface;
use timberyard_wire::change66::{EventsError, count_events, decode_batch, decode_event};
use timberyard_wire::change66_event::Event;
use timberyard_wire::{DecodeContext, FieldError};

use super::decode::decode;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// How many bad fields are listed.
const DETAILS_MAX: usize = 1000;

/// One event: 201 with its id and number.
pub async fn post_event(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    body: RequestBody,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    body.json()?;
    let numbers = Arc::clone(&state);
    let decoder = move |body: &[u8], context: &DecodeContext<'_>| {
        decode_event(body, context, numbers.event_numbers.take(1, context.received_at))
    };
    let events = decode(&state, &identity, client, body, decoder).await?;
    let number = events.batch.rows.iter().next().map(|row| Event::new(row).id());
    let event_id = events.event_ids.first().cloned();
    store(&state, &identity, events.batch).await?;
    let answer = json!({
        "success": true,
        "message": "event stored",
        "data": { "event_id": event_id, "id": number },
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// A batch: 201 with their number, or nothing is stored.
pub async fn post_batch(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    body: RequestBody,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    body.json()?;
    let numbers = Arc::clone(&state);
    let decoder = move |body: &[u8], context: &DecodeContext<'_>| {
        let count = count_events(body, context.limits.request.json_depth_max);
        let count = count.min(context.limits.request.events_max);
        let first = numbers.event_numbers.take(count, context.received_at);
        decode_batch(body, context, first)
    };
    let events = decode(&state, &identity, client, body, decoder).await?;
    let count = events.event_ids.len();
    store(&state, &identity, events.batch).await?;
    let answer = json!({
        "success": true,
        "message": format!("{count} events stored"),
        "data": { "logs_processed": count, "total_received": count },
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Stores events and counts them by type and priority.
async fn store(
    state: &SharedState,
    identity: &Identity,
    batch: timberyard_model::LogBatch,
) -> Result<(), ErrorResponse> {
    let mut counts: Vec<((&'static str, &'static str), u64)> = Vec::new();
    for row in batch.rows.iter() {
        let event = Event::new(row);
        let kind = (event.event_type(), event.priority());
        match counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind, 1)),
        }
    }
    state.submit(identity, Surface::Change66, batch).await?;
    for ((kind, priority), count) in counts {
        state.metrics.count_events(kind, priority, count);
    }
    Ok(())
}

impl From<EventsError> for ErrorResponse {
    fn from(error: EventsError) -> Self {
        let message = error.to_string();
        match error {
            EventsError::Malformed(_) => Self::bad_request("invalid_json", message),
            EventsError::Empty => Self::bad_request("empty_batch", message),
            EventsError::TooMany { .. } => Self::bad_request("batch_too_large", message),
            EventsError::Invalid(fields) => {
                Self::bad_request("validation_error", message).with_details(details_of(fields))
            }
            EventsError::Repeated { .. } => Self::new(StatusCode::CONFLICT, "duplicate_event", message),
        }
    }
}

fn details_of(fields: Vec<FieldError>) -> Value {
    let fields = fields.into_iter().take(DETAILS_MAX);
    fields.map(|field| json!({ "field": field.field, "message": field.message })).collect()
}
