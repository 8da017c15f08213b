//! The ClickHouse connector against the real engine.

mod adopted_tables;
mod fields;
mod fixture;
mod own_tables;
