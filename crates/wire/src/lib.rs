//! Bytes to model and back: one file a format.
//!
//! A decoder takes a whole body that is already inflated and a [`DecodeContext`] with everything
//! that does not stand in the body, and gives a batch, or an error that names the place. Nothing
//! here reads a clock, opens a socket or keeps state between calls.

pub mod alertmanager;
pub mod batch_record;
pub mod byte_reader;
pub mod change66;
pub mod change66_event;
pub mod compression;
pub mod context;
pub mod datadog;
pub mod elasticsearch;
pub mod error;
pub mod field_mapping;
pub mod file_line;
pub mod firehose;
pub mod fluent;
pub mod fluent_handshake;
pub mod fuzz_targets;
pub mod gelf;
pub mod gelf_framing;
pub mod grpc_frame;
pub mod journal_export;
pub mod journal_record;
pub mod json;
pub mod json_text;
pub mod label_attributes;
pub mod label_text;
pub mod level_detection;
mod level_word;
pub mod log_entry;
pub mod log_record;
pub mod loggo;
pub mod logpulse;
pub mod logstream;
pub mod logtopus;
pub mod loki_delete;
pub mod loki_push;
pub mod loki_push_encode;
pub mod loki_push_json;
pub mod loki_push_proto;
pub mod loki_query_json;
pub mod loki_query_params;
pub mod loki_query_stats;
pub mod loki_tail;
mod mapped_object;
mod mapped_record;
pub mod metadata_name;
pub mod msgpack;
pub mod ndjson;
pub mod origin_header;
pub mod origin_record;
mod otlp;
pub mod otlp_answer;
pub mod otlp_json;
pub mod otlp_proto;
mod otlp_value;
pub mod prometheus_text;
pub mod protobuf;
pub mod query_cursor;
pub mod raw_lines;
pub mod received_record;
mod record_batch;
mod record_fields;
pub mod row_text;
pub mod rpc_status;
pub mod service_name;
pub mod splunk_hec;
mod step_texts;
mod syslog;
pub mod syslog_stream;
pub mod tail_cursor;
mod text_lines;
pub mod timberyard_push;
pub mod v1_logs;

#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod test_context;

pub use context::{DecodeContext, Decoded, Rejection, Rejections};
pub use error::{DecodeError, FieldError};
pub use label_attributes::LabelAttributes;
