//! The embedded store: rows in, durable before they are acknowledged; rows out, pruned by time,
//! labels and line filters.
//!
//! A batch goes to the write-ahead log, is synced, becomes visible in the head, and is
//! acknowledged. Heads are cut into immutable segments; the manifest that lists those is replaced
//! atomically, and only then is the log released. Compaction and retention replace and drop whole
//! segments while readers go on with the ones they hold.
//!
//! No clock, no sockets, no async runtime, no knowledge of any query language or wire format.

pub mod error;
pub mod options;
pub mod statistics;
pub mod store;
pub mod verify;

pub use error::StoreError;
pub use options::{Retention, StoreOptions};
pub use statistics::{MaintenanceReport, StoreStatistics};
pub use store::{DecodeRecord, Store};
pub use verify::{VerifyReport, verify};
