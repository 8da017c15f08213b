//! Other engines as sinks, sources and inputs: one folder an engine, with the same names in each.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `settings` | what is written about it, with defaults, and what is refused before anything is connected |
//! | `schema` | the tables it keeps logs in, and how they come to be (where there are tables) |
//! | `sink` | how a batch becomes durable there: `timberyard_model::sink::Sink` |
//! | `source` | how rows are read there: `timberyard_model::scan::LogSource` |
//!
//! `watch` asks engines whether they are there while a server runs.
//!
//! A connector is built from its settings without a connection; it connects when it is first used and again when a
//! connection was lost. It spells nothing of the wire protocols that logs come in by: that is `timberyard_wire`.

pub mod clickhouse;
mod client_tls;
pub mod files;
pub mod kafka;
pub mod parquet;
mod password;
pub mod postgres;
mod quantity;
mod watch;

pub use password::Password;
pub use quantity::{ByteSize, Seconds};
