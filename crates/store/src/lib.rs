//! The embedded store: rows in, durable before they are acknowledged; rows out, pruned by time,
//! labels and line filters.
//!
//! A batch goes to the write-ahead log, is synced, becomes visible in the head, and is
//! acknowledged. Heads are cut into immutable segments; the manifest that lists those is replaced
//! atomically, and only then is the log released. Compaction and retention replace and drop whole
//! segments while readers go on with the ones they hold.
//!
//! No clock, no sockets, no async runtime, no knowledge of any query language or wire format.

mod append;
mod codec;
mod columnar;
mod compaction;
mod core;
mod counters;
mod cut;
pub mod deletion;
pub mod disk;
mod earlier_rows;
mod equality;

pub mod error;
mod exchange;
mod gaps;
mod head;
mod interpreters;
mod maintenance;
mod manifest;
pub mod options;
mod origin_table;
mod paths;
mod recovery;
pub mod retention;
mod scan;
mod segment;
mod segment_set;
mod snapshot;
pub mod statistics;
pub mod store;
pub mod verify;
mod wal;

pub use deletion::{CancelError, DeleteError, Deletion, DeletionId, DeletionRequest};
pub use error::StoreError;
pub use interpreters::{DecodeRecord, Interpreters};
pub use options::{Retention, StoreOptions, StreamRetention};
pub use retention::RetentionPreview;
pub use statistics::{MaintenanceReport, StoreStatistics};
pub use store::Store;
pub use verify::{VerifyReport, verify};
