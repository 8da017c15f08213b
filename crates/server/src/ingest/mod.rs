//! Ways in, one file a protocol.

pub mod change66;
pub mod decode;
pub mod event_numbers;
pub mod logpulse;
pub mod logstream;
pub mod loki_push;
pub mod otlp;
pub mod v1_logs;
