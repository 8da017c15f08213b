//! For operators: readiness, health, flush.

pub mod flush;
pub mod readiness;
