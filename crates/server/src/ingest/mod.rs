//! Ways in, one file a protocol.

pub mod decode;
pub mod loki_push;
