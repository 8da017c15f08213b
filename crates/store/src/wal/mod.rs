//! The write-ahead log: what makes an acknowledged batch survive a crash.
//!
//! The format is drawn in `docs/format/log.md`. Payloads are opaque. Invariants: sequences are
//! consecutive over the whole log; a group of records lies in one file; a file is reused only
//! when the manifest says that all it holds is in segments.

mod format;
mod reader;
mod rewrite;
mod writer;

pub(crate) use reader::{LogRecord, read_log};
pub(crate) use rewrite::rewrite_last_group;
pub(crate) use writer::{LogFiles, LogWriter, SealedFile};
