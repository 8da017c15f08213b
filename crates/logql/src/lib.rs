//! LogQL: from a query's text to its result.
//!
//! `syntax` turns text into a tree and back, `stage` runs the pipeline of a log query over rows, `plan`
//! decides what the store does and what is left, `logs` and `metric` do it, `engine` is the way in. Rows
//! come from any [`timberyard_model::scan::LogSource`]. No sockets, no clock reads, no async runtime:
//! values in, values out.

pub mod condition;
pub mod detect;
pub mod engine;
pub mod error;
pub mod explain;
pub mod patterns;
pub mod quantity;
pub mod query_request;
pub mod result;
pub mod stage;
pub mod syntax;
pub mod tail;

mod budget;
mod logs;
mod metric;
mod plan;

pub use condition::LogqlConditions;
pub use engine::Engine;
pub use error::{LimitError, QueryError};
pub use plan::row_selection::RowSelection;
pub use query_request::{LinePosition, Page, QueryExtras, QueryRequest};
pub use result::{QueryResult, QueryStatistics, QueryValue, Streams};
pub use tail::TailFilter;
