//! Reads files as they grow and sends each line to a server, once: over rotation, restarts, and lost answers.
//!
//! A *log* is a text that is only ever added to. It has a random id and a fingerprint of its first bytes, and lies in a file that may be
//! renamed, copied and truncated, or compressed: it is found again by device and inode, then by fingerprint. A batch names the bytes of
//! each log that it was read from, and the server stores each stretch once. Positions move only when the server has answered.
//!
//! One thread reads and decides ([`tailer`]), one sends ([`ship`]). The files are the buffer: what cannot be sent is not read. No
//! sockets here: requests go through [`Transport`], which the program provides.

mod backoff;
mod batch;
mod checkpoint;
mod content;
mod discover;
mod encoding;
mod fingerprint;
mod follow;
mod format;
mod inputs;
mod journal;
mod kubernetes;
mod line_time;
mod lines;
mod log_file;
mod metrics;
mod multiline;
mod pods;
mod promtail;
mod reading;
pub mod settings;
mod ship;
mod spool;
mod status;
mod steps;
mod streams;
mod tailer;
mod transport;
mod watch;

pub use backoff::Backoff;
pub use checkpoint::CheckpointError;
pub use metrics::AgentMetrics;
pub use pods::PodApi;
pub use promtail::Promtail;
pub use settings::{AgentSettings, SettingsError};
pub use status::page;
pub use tailer::{Agent, AgentError};
pub use transport::{Answer, SendError, Transport};
