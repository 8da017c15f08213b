//! Ways in, one file a protocol.

pub mod alertmanager;
pub mod change66;
pub mod datadog;
pub mod decode;
pub mod elasticsearch;
pub mod event_numbers;
mod field_parameters;
pub mod firehose;
pub mod journald;
pub mod logpulse;
pub mod logstream;
pub mod loki_push;
pub mod ndjson;
mod origins;
pub mod otlp;
pub mod splunk_hec;
pub mod v1_logs;
