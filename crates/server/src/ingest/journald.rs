//! `POST /upload`: journald's entries from `systemd-journal-upload`.
//!
//! An upload may last as long as its sender runs: entries are stored while it comes, in batches of what has come. The answer
//! says that all of it is stored. Compressed uploads are refused, since they are not streams to us.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use timberyard_model::Surface;
use timberyard_wire::Decoded;
use timberyard_wire::journal_export::JournalUpload;

use crate::auth::Identity;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// The type of journald's export.
const CONTENT_TYPE: &str = "application/vnd.fdo.journal";
/// Bytes after which what has come is stored.
const PIECE_BYTES: usize = 256 << 10;

/// 202 when the upload has ended and all of it is stored.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    headers: HeaderMap,
    mut body: Body,
) -> Result<(StatusCode, &'static str), ErrorResponse> {
    check(&headers)?;
    let client_ip = client.text();
    let mut upload = JournalUpload::default();
    while let Some(piece) = next_piece(&state, &mut body).await? {
        state.rate_gate.check_bytes(&identity.tenant, &identity.limits, state.elapsed())?;
        let decoded = upload.read(&piece, &state.decode_context(&identity, client_ip.as_deref()))?;
        store(&state, &identity, decoded).await?;
    }
    let last = upload.finish(&state.decode_context(&identity, client_ip.as_deref()))?;
    store(&state, &identity, last).await?;
    Ok((StatusCode::ACCEPTED, "OK.\n"))
}

fn check(headers: &HeaderMap) -> Result<(), ErrorResponse> {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    if !matches!(value(header::CONTENT_ENCODING), "" | "identity") {
        return Err(ErrorResponse::unsupported_media_type("an upload of journald must not be compressed"));
    }
    let content_type = value(header::CONTENT_TYPE);
    match content_type.split(';').next().unwrap_or_default().trim() {
        CONTENT_TYPE => Ok(()),
        _ => Err(ErrorResponse::unsupported_media_type(format!("content type must be {CONTENT_TYPE}"))),
    }
}

/// What has come of the body by now, at least something; `None` at its end.
async fn next_piece(state: &SharedState, body: &mut Body) -> Result<Option<Vec<u8>>, ErrorResponse> {
    let mut piece = Vec::new();
    loop {
        let frame = match piece.is_empty() {
            true => tokio::select! {
                () = state.stopping.cancelled() => return Err(ErrorResponse::unavailable("the server stops")),
                frame = body.frame() => frame,
            },
            // What is there already belongs to the same batch.
            false => match body.frame().now_or_never() {
                Some(frame) => frame,
                None => return Ok(Some(piece)),
            },
        };
        let Some(frame) = frame else { return Ok((!piece.is_empty()).then_some(piece)) };
        let frame = frame.map_err(|error| {
            ErrorResponse::bad_request("incomplete_body", format!("body ended before its end: {error}"))
        })?;
        if let Ok(data) = frame.into_data() {
            piece.extend_from_slice(&data);
        }
        if piece.len() >= PIECE_BYTES {
            return Ok(Some(piece));
        }
    }
}

/// Stores entries; those that were refused would be again, so they are only said to be.
async fn store(state: &SharedState, identity: &Identity, decoded: Decoded) -> Result<(), ErrorResponse> {
    if !decoded.rejected.is_empty() {
        let (refused, reasons) = (decoded.rejected.count, decoded.rejected.grouped());
        tracing::warn!(refused, reasons, "entries of a journal were refused");
    }
    if !decoded.batch.rows.is_empty() {
        state.submit(identity, Surface::Journald, decoded.batch).await?;
    }
    Ok(())
}
