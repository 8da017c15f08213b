//! LogQL: from a query's text to its result.
//!
//! `syntax` turns text into a tree and back, `stage` runs the pipeline of a log query over rows. Rows come
//! from any [`timberyard_model::scan::LogSource`]. No sockets, no clock reads, no async runtime:
//! values in, values out.

pub mod stage;
pub mod syntax;
