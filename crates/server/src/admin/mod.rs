//! For operators: readiness, health, flush, snapshots, keys.

pub mod flush;
pub mod health;
pub mod keys;
pub mod loki_delete;
pub mod readiness;
pub mod retention;
pub mod settings;
pub mod slow_queries;
pub mod snapshot;
pub mod ticket;
