//! What is known about a batch before it is written.

use crate::error::StoreError;

/// Whether something of a batch exists that may exist only once.
pub(super) enum Verdict {
    /// Nothing does.
    New,
    /// Something that is stored does.
    Exists(StoreError),
    /// Something of an earlier batch of the group does: it exists if that one is written.
    ExistsIfWritten(StoreError),
}
