//! Lines of JSON in files, one file a session, as Logtopus' file subscriber has them.
//!
//! `DIR/TENANT/SESSION.ndjson` is written to; a full one is `SESSION.ndjson.NUMBER`, compressed or not. A line is drawn in
//! [`timberyard_wire::file_line`].

mod folder;
mod name;
mod packing;
mod settings;
mod sink;
mod source;

pub use settings::{FileCompression, FilesSettings, SyncPolicy};
pub use sink::FilesSink;
pub use source::FilesSource;
