//! What tests share: oracles that are too simple to be wrong. Never shipped.

pub mod http;
pub mod memory_source;
pub mod server_process;
