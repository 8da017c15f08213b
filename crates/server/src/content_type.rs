//! What a request says its body is.

use axum::http::{HeaderMap, header};

/// The kinds of bodies that handlers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// No `Content-Type` header.
    Absent,
    /// `application/json`, `text/json` or anything that ends in `+json`.
    Json,
    /// `application/x-ndjson` and its like.
    NdJson,
    /// `application/x-protobuf` and its like, and `application/octet-stream`.
    Protobuf,
    /// `application/x-www-form-urlencoded`; also what curl says when it is told nothing.
    Form,
    /// Anything else.
    Other,
}

impl ContentType {
    /// From the headers of a request; parameters such as `charset` do not count.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Self::Absent };
        let Ok(text) = value.to_str() else { return Self::Other };
        let essence = text.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            "" => Self::Absent,
            "application/json" | "text/json" => Self::Json,
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines" => Self::NdJson,
            "application/x-protobuf"
            | "application/protobuf"
            | "application/vnd.google.protobuf"
            | "application/octet-stream" => Self::Protobuf,
            "application/x-www-form-urlencoded" => Self::Form,
            other if other.ends_with("+json") => Self::Json,
            _ => Self::Other,
        }
    }
}
