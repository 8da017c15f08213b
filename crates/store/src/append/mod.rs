//! The way in: a bounded queue, and the one thread that takes groups from it, makes them durable
//! and then visible.

mod log_thread;
mod origins;
mod queue;
mod unique_keys;
mod verdict;

pub(crate) use log_thread::LogThread;
pub(crate) use queue::{Queue, QueuedBatch};
