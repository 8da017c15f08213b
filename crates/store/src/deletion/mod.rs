//! Deletions: rows that a request hides at once and that compaction takes out later.
//!
//! A [`Tombstone`] stands in the manifest, so that it is durable before the request is answered. It hides the
//! rows it selects whose log sequence is not above its own, wherever they are: in heads, in what replay brings
//! back, in segments. Segments do not know the sequence of each row, so a cut and a merge never put rows from
//! both sides of a tombstone that may select them into one segment; the sequence of a segment's last row then
//! says on which side all of them are. Until it is carried out a tombstone can be called off. It is carried out when no file holds a
//! row that it hides.

mod encoding;
mod hidden;
mod pending;
mod requests;
mod tombstone;

#[cfg(test)]
pub(crate) use encoding::tests::tombstone as example;
pub(crate) use encoding::{Conditions, read_tombstone, write_tombstone};
pub(crate) use hidden::{HiddenRows, Hiding, StreamRows};
pub(crate) use pending::Pending;
pub use requests::{CancelError, DeleteError, Deletion, DeletionRequest};
pub(crate) use tombstone::Tombstone;
pub use tombstone::{DeletionId, NotAnId};
