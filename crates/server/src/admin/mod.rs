//! For operators: readiness, health, flush.

pub mod flush;
pub mod health;
pub mod readiness;
