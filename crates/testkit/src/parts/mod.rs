//! The real programs that connectors speak to, as child processes: on a free port, with their data in a temporary
//! folder, ended when they are dropped and when the test that started them dies.

pub mod clickhouse;
pub mod kafka;
pub mod postgres;
pub mod s3;
