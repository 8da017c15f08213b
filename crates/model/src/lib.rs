//! The words every other crate speaks: time, labels, tenants, batches of log rows, and the two
//! seams of the system, [`scan::LogSource`] (where rows come from) and [`sink::Sink`] (where they go).
//!
//! Plain values only: no async runtime, no sockets, no clock reads, no files. Everything that could
//! grow has its bound in [`limits`].

pub mod batch;
pub mod batch_builder;
pub mod buffer;
pub mod cancellation;
pub mod counting;
pub mod decimal;
pub mod events;
pub mod field_values;
pub mod fields;
mod go_expression;
pub mod ingest_record;
pub mod label_values;
pub mod labels;
pub mod level;
pub mod limits;
pub mod literal_search;
pub mod matcher;
pub mod origin;
pub mod pattern;
pub mod prehashed;
pub mod quantity;
pub mod required_literals;
pub mod row_condition;
pub mod row_selector;
pub mod rows;
pub mod scan;
pub mod sink;
pub mod surface;
pub mod tenant;
pub mod time;

pub use batch::LogBatch;
pub use batch_builder::BatchBuilder;
pub use cancellation::Cancellation;
pub use ingest_record::IngestRecord;
pub use labels::Labels;
pub use limits::Limits;
pub use row_condition::RowCondition;
pub use row_selector::RowSelector;
pub use rows::{RowRef, Rows};
pub use surface::Surface;
pub use tenant::TenantId;
pub use time::{TimeRange, Timestamp};
