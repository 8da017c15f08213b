//! What a push was read from: taken from its headers, put into its batch, and answered.
//!
//! `X-Timberyard-Origin: NAME=FROM-TO, …` names stretches of bytes. All of them stored before: 204 with
//! `X-Timberyard-Duplicate: true`, and nothing is stored. Some of it stored before: 409, nothing is stored, and
//! `X-Timberyard-Stored: NAME=END, …` says from where to send again. A gap before a stretch is taken.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use timberyard_model::IngestRecord;
use timberyard_model::origin::{OriginEnd, OriginRange};
use timberyard_model::sink::SinkError;
use timberyard_pipeline::Receipt;
use timberyard_wire::context::Rejections;
use timberyard_wire::origin_header::{self, DUPLICATE, ORIGIN, STORED};
use timberyard_wire::origin_record;

use crate::error_response::ErrorResponse;

/// The stretches that a push names; none for one that names no origin.
pub(super) struct Origins(Vec<OriginRange>);

impl Origins {
    /// What the headers say.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ErrorResponse> {
        let refuse = |reason: String| ErrorResponse::bad_request("invalid_origin", reason);
        let mut values = headers.get_all(ORIGIN).iter();
        let Some(value) = values.next() else { return Ok(Self(Vec::new())) };
        if values.next().is_some() {
            return Err(refuse(format!("{ORIGIN} stands there twice; name several origins in one")));
        }
        let text = value.to_str().map_err(|_| refuse(format!("{ORIGIN} is not plain text")))?;
        origin_header::read_ranges(text).map(Self).map_err(|error| refuse(error.to_string()))
    }

    /// The record as one that was read from these origins.
    pub(super) fn put_into(&self, record: IngestRecord) -> IngestRecord {
        if self.0.is_empty() {
            return record;
        }
        let IngestRecord { batch, received } = record;
        let batch = Arc::unwrap_or_clone(batch);
        IngestRecord { batch: Arc::new(origin_record::with_origins(batch, self.0.clone())), received }
    }

    /// What the sender is told.
    pub(super) fn answer(
        &self,
        submitted: Result<Receipt, SinkError>,
        rejected: &Rejections,
    ) -> Result<Response, ErrorResponse> {
        let duplicate = match submitted {
            Ok(_) => false,
            Err(SinkError::AlreadyStored(stored)) if stored.whole => true,
            Err(error) => return Err(error.into()),
        };
        // A duplicate was judged when it came first.
        if !rejected.is_empty() && !duplicate {
            let mut error = ErrorResponse::bad_request("entries_rejected", rejected.grouped());
            if let Some((name, value)) = self.stored() {
                error = error.with_header(name, value);
            }
            return Err(error);
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().extend(self.stored());
        if duplicate {
            response.headers_mut().insert(DUPLICATE, HeaderValue::from_static("true"));
        }
        Ok(response)
    }

    /// The header that says that all of this is stored.
    fn stored(&self) -> Option<(HeaderName, HeaderValue)> {
        let end = |range: &OriginRange| OriginEnd { name: range.name.clone(), end: range.to };
        let ends: Vec<OriginEnd> = self.0.iter().map(end).collect();
        let value = HeaderValue::try_from(origin_header::write_ends(&ends)).ok()?;
        (!ends.is_empty()).then_some((HeaderName::from_static(STORED), value))
    }
}
