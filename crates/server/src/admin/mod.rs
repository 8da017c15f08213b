//! For operators: readiness, health, flush, snapshots.

pub mod flush;
pub mod health;
pub mod loki_delete;
pub mod readiness;
pub mod snapshot;
