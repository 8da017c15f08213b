//! Which fields of a JSON object mean what, from the URL or the headers of a request.
//!
//! `line_field`, `time_field` and `label_fields` hold names with commas between them; VictoriaLogs' `_msg_field`,
//! `_time_field` and `_stream_fields` mean the same, and so do its headers `VL-Msg-Field`, `VL-Time-Field` and `VL-Stream-Fields`.
//! What is not named keeps its default.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use timberyard_wire::field_mapping::FieldMapping;

use crate::error_response::ErrorResponse;
use crate::form::UrlParameters;
use crate::state::SharedState;

/// The mapping that a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldParameters(pub FieldMapping);

impl FromRequestParts<SharedState> for FieldParameters {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &SharedState) -> Result<Self, Self::Rejection> {
        let url = UrlParameters::from_request_parts(parts, state).await?;
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let named = |names: [&str; 3]| {
            let [own, victoria, in_header] = names;
            let list = url.get(own).or_else(|| url.get(victoria)).or_else(|| header(in_header))?;
            Some(list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
        };
        let mut mapping = FieldMapping::default();
        for (fields, names) in [
            (&mut mapping.line_fields, ["line_field", "_msg_field", "vl-msg-field"]),
            (&mut mapping.time_fields, ["time_field", "_time_field", "vl-time-field"]),
            (&mut mapping.label_fields, ["label_fields", "_stream_fields", "vl-stream-fields"]),
        ] {
            if let Some(named) = named(names) {
                *fields = named;
            }
        }
        Ok(Self(mapping))
    }
}
