//! The head: rows that are durable in the log but not in segments yet, queryable at once.
//!
//! Rows stay in the batches they came in; a family (tenant and `service_name`) holds, by UTC day,
//! which rows of which batches are its own. Invariant: the entries of a family are in the order
//! of their log sequence, so that "everything up to a sequence" is a prefix.

mod entry;
mod family;
mod heads;

pub(crate) use entry::HeadEntry;
pub(crate) use family::FamilyCut;
pub(crate) use heads::{CutChoice, Heads};
