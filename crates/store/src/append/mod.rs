//! The way in: a bounded queue, and one thread at a time that takes groups from it, makes them durable
//! and then visible.

mod committer;
mod origins;
mod queue;
mod unique_keys;
mod verdict;

pub(crate) use committer::Committer;
pub(crate) use queue::{Pushed, Queue, QueuedBatch, SMALL_BYTES_MAX};
