//! `LogBatch`: what one request brought, checked and immutable, on its way to every sink.

use crate::origin::OriginRange;
use crate::rows::Rows;
use crate::tenant::TenantId;
use crate::time::Timestamp;

/// Rows of one tenant that are made durable together or not at all. Shared by `Arc`.
#[derive(Clone, Debug)]
pub struct LogBatch {
    /// Whose rows these are.
    pub tenant: TenantId,
    /// When the server received them.
    pub received_at: Timestamp,
    /// What became of equal entries: see [`EqualEntries`].
    pub equal_entries: EqualEntries,
    /// The rows, in the order sent.
    pub rows: Rows,
    /// Keys that must not exist yet in this tenant, each with the number of its row.
    /// Empty for everything but events with an `event_id`.
    pub unique_keys: Vec<UniqueKey>,
    /// What the rows were read from, where the sender says so: nothing of it is stored twice. At most
    /// [`BATCH_ORIGINS_MAX`](crate::origin::BATCH_ORIGINS_MAX).
    pub origins: Vec<OriginRange>,
}

impl LogBatch {
    /// A batch with everything of this one but its rows.
    pub fn clone_without_rows(&self) -> Self {
        Self {
            tenant: self.tenant.clone(),
            received_at: self.received_at,
            equal_entries: self.equal_entries,
            rows: Rows::default(),
            unique_keys: self.unique_keys.clone(),
            origins: self.origins.clone(),
        }
    }
}

/// A key that at most one row of a tenant may ever have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueKey {
    /// The row's number in the batch.
    pub row: u32,
    /// The key.
    pub key: Box<str>,
}

/// Whether two rows with the same stream, timestamp, line and metadata are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EqualEntries {
    /// They are one entry (Loki push), wherever and whenever the second one comes; a row merges only
    /// with rows of batches that merge too.
    Merge,
    /// They are two entries (every other surface).
    Keep,
}
