//! Reads everything in a data directory and says what is wrong with it. Changes nothing.

use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments that the manifest lists.
    pub segments: u64,
    /// Row groups read.
    pub groups: u64,
    /// Rows read from segments.
    pub rows: u64,
    /// Records read from the write-ahead log.
    pub log_records: u64,
    /// Bytes read in all.
    pub bytes: u64,
    /// Everything that is wrong.
    pub damage: Vec<Damage>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it, and what.
    pub place: String,
}

/// Checks every checksum and every reference of a stopped store or a copy of one. An error
/// means that checking could not go on; what is damaged is in the report.
pub fn verify(directory: &Path) -> Result<VerifyReport, StoreError> {
    Err(StoreError::corrupt(directory, "verification is not wired yet"))
}
