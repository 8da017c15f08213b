//! The memory that one query may hold.

use timberyard_model::scan::ScanRequest;

use crate::error::{LimitError, QueryError};

/// Counts bytes that a query holds against its limit. An estimate: it counts what grows with the data.
#[derive(Debug)]
pub(crate) struct Budget {
    used: usize,
    limit: usize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: 0, limit }
    }

    /// Takes `bytes`, or says that there are not so many left.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.limit { Err(LimitError::Memory { limit: self.limit }.into()) } else { Ok(()) }
    }

    /// The part of the limit that is left to the source for what it reads ahead of the query, in bytes. Not counted here.
    pub(crate) fn read_ahead_bytes_max(&self) -> usize {
        ScanRequest::READ_AHEAD_BYTES.min(self.limit / 8)
    }

    /// What is held now, to [give back](Budget::give_back_to) all that is taken from here on.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Gives back all that was taken since so much was held.
    pub(crate) fn give_back_to(&mut self, used: usize) {
        self.used = used;
    }

    /// Gives back bytes that were taken.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}
