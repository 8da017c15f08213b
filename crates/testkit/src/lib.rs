//! What tests share: oracles that are too simple to be wrong, the real binary as a child process, and clients
//! that speak its protocols. Never shipped.

pub mod cutting_relay;
pub mod eventually;
pub mod http;
pub mod loki_push;
pub mod memory_source;
pub mod naive_logql;
pub mod oidc_provider;
pub mod parts;
pub mod random_logql;
pub mod server_process;
pub mod stored_source;
pub mod websocket;
