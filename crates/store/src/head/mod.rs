//! The head: rows that are durable in the log but not in segments yet, queryable at once.
//!
//! A family (tenant and `service_name`) holds by UTC day its rows of each batch: the batch itself when that has no
//! others, else a copy. Invariant: the entries of a family are in the order
//! of their log sequence, so that "everything up to a sequence" is a prefix.

mod entry;
mod family;
mod heads;

pub(crate) use entry::{HeadEntry, Part, split};
pub(crate) use family::FamilyCut;
pub(crate) use heads::{CutChoice, Heads};
