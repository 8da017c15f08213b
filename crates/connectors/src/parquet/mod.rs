//! Parquet files by tenant and hour, in a folder or in a bucket of an object store, for other programs to read.
//!
//! `tenant=…/date=…/hour=…/part-….parquet`: a file is there whole or not at all, and holds rows of one hour (UTC). Rows are staged on
//! this disk until there are enough of them, or until they are old enough; what is exported together is written down before, so that
//! whoever comes after a kill writes the same files again, under the same names. `docs/format/parquet.md` has the columns.

mod bucket;
mod encode;
mod exporter;
mod note;
mod partition;
mod schema;
mod settings;
mod sink;
mod staging;
mod target;

pub use settings::{ParquetCompression, ParquetSettings};
pub use sink::ParquetSink;
