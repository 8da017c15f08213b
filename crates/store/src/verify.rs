//! Reads everything in a data directory and says what is wrong with it. Changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, LockHolder, RealDisk};
use crate::error::StoreError;
use crate::manifest::Manifest;
use crate::paths::Paths;
use crate::segment::Segment;
use crate::wal::read_log;

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
    verify_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), directory)
}

/// The same on another file system than the machine's.
pub fn verify_on(disk: &Arc<dyn Disk>, directory: &Path) -> Result<VerifyReport, StoreError> {
    let paths = Paths::new(directory);
    let lock = paths.lock();
    let holder = disk.lock_holder(&lock).map_err(|error| StoreError::io(&lock, error))?;
    if let Some(LockHolder { process }) = holder {
        return Err(StoreError::InUse { directory: directory.to_owned(), holder: process });
    }
    let mut report = VerifyReport::default();
    let manifest = match Manifest::load(&**disk, &paths) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            report.note(&StoreError::corrupt(&paths.manifest(), "it is missing"));
            return Ok(report);
        }
        Err(error @ StoreError::Corrupt { .. }) => {
            report.note(&error);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    for summary in manifest.segments.values() {
        let segment = Segment::new(summary.clone(), &paths, Arc::clone(disk));
        report.segments += 1;
        report.groups += u64::from(summary.groups);
        report.bytes += summary.file_bytes;
        let mut rows = 0;
        let outcome = segment.read_everything(&mut |block_rows| rows += block_rows);
        report.rows += rows;
        match outcome {
            Ok(()) => {}
            Err(error) if error.is_damage() => report.note(&error),
            Err(error) => return Err(error),
        }
    }
    let log = read_log(&**disk, &paths, manifest.covered, &mut |record| {
        report.log_records += 1;
        report.bytes += record.payload.len() as u64;
        Ok(())
    })?;
    report.damage.extend(log.damage);
    Ok(report)
}

impl VerifyReport {
    fn note(&mut self, error: &StoreError) {
        self.damage.push(match error {
            StoreError::Corrupt { file, place } => Damage { file: file.clone(), place: place.clone() },
            StoreError::Io { path, source } => Damage { file: path.clone(), place: source.to_string() },
            other => Damage { file: PathBuf::new(), place: other.to_string() },
        });
    }
}
