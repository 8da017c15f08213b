//! gRPC: methods over HTTP/2 whose messages come in frames, and whose outcome stands in the trailers.
//!
//! A method is a path of the router, so that keys, tenants, limits and metrics are those of every other request; a handler
//! reads [`messages::Messages`] and answers with what [`status`] makes. Nothing here decodes a payload.

pub(crate) mod messages;
pub mod otlp;
pub mod push;
pub(crate) mod status;

use axum::http::{HeaderMap, header};

/// Whether a request, or an answer, says that it is gRPC. gRPC-Web is something else.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let format = headers.get(header::CONTENT_TYPE).and_then(|value| format_of(value.to_str().ok()?));
    format.is_some()
}

/// The format of messages that a content type names; `None` when it is not gRPC.
fn format_of(content_type: &str) -> Option<&str> {
    let essence = content_type.split(';').next()?.trim();
    let (start, format) = essence.split_at_checked(GRPC.len())?;
    match (start.eq_ignore_ascii_case(GRPC), format.strip_prefix('+')) {
        (true, None) if format.is_empty() => Some("proto"),
        (true, Some(format)) => Some(format),
        _ => None,
    }
}

const GRPC: &str = "application/grpc";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_of_grpc_are_known_with_their_format() {
        for (content_type, format) in [
            ("application/grpc", Some("proto")),
            ("Application/gRPC+proto; charset=utf-8", Some("proto")),
            ("application/grpc+json", Some("json")),
            ("application/grpc-web+proto", None),
            ("application/grpcé", None),
            ("application/json", None),
        ] {
            assert_eq!(format_of(content_type), format, "{content_type}");
        }
    }
}
