//! What OTLP senders are answered: `ExportLogsServiceResponse`. What they are told of a request that failed is in
//! [`rpc_status`](crate::rpc_status).
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>

use crate::context::Rejections;
use crate::json_text::{write_key, write_string};
use crate::protobuf::{write_bytes, write_number};

/// The answer in protobuf to a request of which these records were rejected; empty when none was.
pub fn response_proto(rejected: &Rejections) -> Vec<u8> {
    let mut response = Vec::new();
    if !rejected.is_empty() {
        let mut partial_success = Vec::new();
        write_number(&mut partial_success, 1, rejected.count);
        write_bytes(&mut partial_success, 2, rejected.grouped().as_bytes());
        write_bytes(&mut response, 1, &partial_success);
    }
    response
}

/// The same as JSON, where 64 bits are a string.
pub fn response_json(rejected: &Rejections) -> Vec<u8> {
    if rejected.is_empty() {
        return b"{}".to_vec();
    }
    let mut out = Vec::new();
    out.extend_from_slice(br#"{"partialSuccess":{"#);
    write_key(&mut out, "rejectedLogRecords");
    write_string(&mut out, rejected.count.to_string().as_bytes());
    out.push(b',');
    write_key(&mut out, "errorMessage");
    write_string(&mut out, rejected.grouped().as_bytes());
    out.extend_from_slice(b"}}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_unless_records_were_rejected() {
        let mut rejected = Rejections::default();
        assert_eq!(response_proto(&rejected), b"");
        assert_eq!(response_json(&rejected), b"{}");
        rejected.add(3, || "too \"new\"".to_owned());
        assert_eq!(response_proto(&rejected), b"\x0a\x0d\x08\x01\x12\x09too \"new\"");
        assert_eq!(
            String::from_utf8(response_json(&rejected)).expect("JSON"),
            r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too \"new\""}}"#
        );
    }
}
