//! ClickHouse as a sink of batches and a source of rows.
//!
//! Rows lie in one table that people can query by hand (`docs/format/clickhouse.md`); a second one, filled by the engine itself,
//! has the label sets of each day. Small requests become large inserts, whose answers they wait for. Queries are SQL where it
//! means exactly what LogQL means; what it cannot say is done on the rows that it returns. What comes from outside is a bound
//! parameter, never part of the SQL.

mod address;
mod adopted;
mod adopted_writes;
mod conditions;
mod connection;
mod count_scan;
mod layout;
mod ledger;
mod recent_batches;
mod relation;
mod row_binary;
mod row_encoding;
mod row_scan;
mod scan;
mod schema;
mod server;
mod settings;
mod sink;
mod source;
mod statement;
mod stream_labels;

pub use connection::ClickHouseError;
pub use layout::Layout;
pub use schema::{Schema, SchemaStep};
pub use server::ClickHouseServer;
pub use settings::ClickHouseSettings;
pub use sink::{ClickHouseSink, ClickHouseSinkCounters};
pub use source::ClickHouseSource;
