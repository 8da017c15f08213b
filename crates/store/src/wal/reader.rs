//! Reads a write-ahead log from its first to its last record, past whatever is damaged.
//!
//! Reads only: replay and `verify` both go through here. One file is in memory at a time.

use std::path::{Path, PathBuf};

use super::format::{ALIGNMENT, FileHeader, HEADER_BYTES, HeaderState, record_at};
use crate::disk::{Disk, read_all};
use crate::error::StoreError;
use crate::paths::{Paths, log_segment_number};
use crate::verify::Damage;

/// A record that was read.
#[derive(Debug)]
pub(crate) struct LogRecord<'a> {
    pub(crate) sequence: u64,
    pub(crate) payload: &'a [u8],
    pub(crate) file: &'a Path,
    /// Where in the file the record starts.
    pub(crate) offset: usize,
}

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// The sequence after the last one the file can hold; nothing for files without records.
    pub(crate) end_sequence: u64,
}

/// What a log held, beside its records.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogContents {
    /// All files, by number.
    pub(crate) files: Vec<LogFile>,
    /// The number that the next file should have.
    pub(crate) next_number: u64,
    /// The sequence that the next record should have.
    pub(crate) next_sequence: u64,
    /// What is damaged, in words.
    pub(crate) damage: Vec<Damage>,
    /// Acknowledged records that are gone.
    pub(crate) lost_records: u64,
}

pub(super) struct Candidate {
    pub(super) path: PathBuf,
    bytes: u64,
    pub(super) header: HeaderState,
}

/// Hands every record with a sequence above `covered` to `visit`, in order.
pub(crate) fn read_log(
    disk: &dyn Disk,
    paths: &Paths,
    covered: u64,
    visit: &mut dyn FnMut(LogRecord<'_>) -> Result<(), StoreError>,
) -> Result<LogContents, StoreError> {
    let mut contents =
        LogContents { next_number: 1, next_sequence: covered.saturating_add(1), ..LogContents::default() };
    let mut readable: Vec<(usize, FileHeader)> = Vec::new();
    let candidates = list(disk, paths)?;
    for (number, candidate) in &candidates {
        contents.next_number = contents.next_number.max(number.saturating_add(1));
        let mut file = LogFile { path: candidate.path.clone(), bytes: candidate.bytes, end_sequence: 0 };
        let complaint = match candidate.header {
            HeaderState::Valid(header) if header.number == *number => {
                file.end_sequence = u64::MAX;
                readable.push((contents.files.len(), header));
                None
            }
            // Made, or given another number, just before a crash: nothing was acknowledged in it.
            // Were it otherwise, the sequences of the next file would tell.
            HeaderState::Valid(_) | HeaderState::Blank => None,
            HeaderState::Version(version) => {
                return Err(StoreError::corrupt(
                    &candidate.path,
                    format!("log version {version} is not one this program reads"),
                ));
            }
            HeaderState::Damaged => Some("header does not hold".to_owned()),
        };
        if let Some(place) = complaint {
            contents.damage.push(Damage { file: candidate.path.clone(), place });
        }
        contents.files.push(file);
    }
    let mut expected = covered.saturating_add(1);
    for (index, (file, header)) in readable.iter().enumerate() {
        let limit = readable.get(index + 1).map(|(_, next)| next.first_sequence);
        let Some(file) = contents.files.get_mut(*file) else { continue };
        file.end_sequence = limit.unwrap_or(u64::MAX);
        if header.first_sequence > expected {
            let damage = lost(&file.path, 0, expected, header.first_sequence);
            contents.lost_records += header.first_sequence - expected;
            contents.damage.push(damage);
        }
        expected = expected.max(header.first_sequence);
        if limit.is_some_and(|limit| limit <= expected) {
            continue;
        }
        let path = file.path.clone();
        let bytes = read_all(disk, &path).map_err(|error| StoreError::io(&path, error))?;
        let mut file_reader = FileReader {
            bytes: &bytes,
            path: &path,
            salt: header.salt,
            expected: header.first_sequence,
            limit,
        };
        expected = file_reader.read(covered, visit, &mut contents)?;
    }
    contents.next_sequence = expected;
    for file in &mut contents.files {
        file.end_sequence = file.end_sequence.min(expected);
    }
    Ok(contents)
}

/// The files of a log by their numbers.
pub(super) fn list(disk: &dyn Disk, paths: &Paths) -> Result<Vec<(u64, Candidate)>, StoreError> {
    let directory = paths.log_directory();
    if !disk.is_directory(&directory) {
        return Ok(Vec::new());
    }
    let entries = disk.list(&directory).map_err(|error| StoreError::io(&directory, error))?;
    let mut numbers: Vec<u64> = entries.iter().filter_map(|entry| log_segment_number(&entry.name)).collect();
    numbers.sort_unstable();
    let mut candidates = Vec::with_capacity(numbers.len());
    for number in numbers {
        let path = paths.log_segment(number);
        let read = || {
            let file = disk.open(&path)?;
            let bytes = file.length()?;
            let mut header = vec![0; HEADER_BYTES.min(bytes as usize)];
            file.read_at(&mut header, 0)?;
            Ok((bytes, FileHeader::decode(&header)))
        };
        let (bytes, header) = read().map_err(|error| StoreError::io(&path, error))?;
        candidates.push((number, Candidate { path, bytes, header }));
    }
    Ok(candidates)
}

fn lost(file: &Path, offset: usize, from: u64, to: u64) -> Damage {
    let place = format!("records {from} to {} are lost, at byte {offset}", to - 1);
    Damage { file: file.to_owned(), place }
}

/// Walks one file.
struct FileReader<'a> {
    bytes: &'a [u8],
    path: &'a Path,
    salt: u64,
    /// The sequence that should come next.
    expected: u64,
    /// The first sequence of the next file; nothing when this is the newest.
    limit: Option<u64>,
}

impl FileReader<'_> {
    /// Returns the sequence that comes after this file.
    fn read(
        &mut self,
        covered: u64,
        visit: &mut dyn FnMut(LogRecord<'_>) -> Result<(), StoreError>,
        contents: &mut LogContents,
    ) -> Result<u64, StoreError> {
        let limit = self.limit.unwrap_or(u64::MAX);
        let mut offset = HEADER_BYTES;
        while self.expected < limit {
            let found = match self.record(offset, self.expected..self.expected + 1) {
                Some(_) => Some(offset),
                None => self.next_record_after(offset, limit),
            };
            let record = found.and_then(|at| Some((at, self.record(at, self.expected..limit)?)));
            let Some((at, record)) = record else { break };
            if record.sequence > self.expected {
                let torn = self.limit.is_none() && record.group <= self.expected;
                if torn {
                    break;
                }
                let from = self.expected.max(covered.saturating_add(1));
                if record.sequence > from {
                    contents.lost_records += record.sequence - from;
                    contents.damage.push(lost(self.path, offset, from, record.sequence));
                }
            }
            if record.sequence > covered {
                visit(LogRecord {
                    sequence: record.sequence,
                    payload: record.payload,
                    file: self.path,
                    offset: at,
                })?;
            }
            offset = at + record.size;
            self.expected = record.sequence + 1;
        }
        // The next file says which records there were.
        if let Some(limit) = self.limit {
            let from = self.expected.max(covered.saturating_add(1));
            if limit > from {
                contents.lost_records += limit - from;
                contents.damage.push(lost(self.path, offset, from, limit));
            }
            return Ok(limit.max(covered.saturating_add(1)));
        }
        Ok(self.expected.max(covered.saturating_add(1)))
    }

    fn record(&self, offset: usize, sequences: std::ops::Range<u64>) -> Option<super::format::Record<'_>> {
        record_at(self.bytes.get(offset..)?, self.salt, sequences)
    }

    fn next_record_after(&self, offset: usize, limit: u64) -> Option<usize> {
        (offset + ALIGNMENT..self.bytes.len())
            .step_by(ALIGNMENT)
            .find(|at| self.record(*at, self.expected + 1..limit).is_some())
    }
}
