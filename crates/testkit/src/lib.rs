//! What tests share: oracles that are too simple to be wrong. Never shipped.

pub mod memory_source;
