//! Reads rows from the files of sessions, as a query asks for them.
//!
//! A scan reads every file of the tenant that can have rows in its range, which it knows of files that were read before
//! and have not grown; rows that pass are held until all is read, since files are in the order of arrival. It is meant for
//! a look at some sessions, and refuses to hold more than [`SCAN_BYTES_MAX`].

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use timberyard_model::counting::{CountedCell, Cuts};
use timberyard_model::matcher::accepts_all;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{
    BlockStream, CountVisitor, Direction, LogSource, RowBlock, ScanError, ScanEstimate, ScanRequest,
    ScanStatistics, SeriesRequest,
};
use timberyard_model::{Cancellation, Labels, TenantId, TimeRange, Timestamp};
use timberyard_wire::file_line::{self, FileRow};

use super::folder::{FoundFile, files_in};
use super::name::{FileKind, Packing};

/// The most that the rows of one scan may hold, in bytes.
const SCAN_BYTES_MAX: usize = 256 << 20;
/// Rows of one block that is handed over.
const BLOCK_ROWS: usize = 4096;
/// Lines between two looks at whether anyone still wants the answer.
const LINES_BETWEEN_LOOKS: u64 = 1024;

/// The folder that a sink writes to.
pub struct FilesSource {
    dir: PathBuf,
    /// What is known of files that were read, by path: their bytes then, and the times in them.
    known: Mutex<HashMap<PathBuf, KnownFile>>,
}

#[derive(Clone, Copy)]
struct KnownFile {
    bytes: u64,
    first: Timestamp,
    last: Timestamp,
}

impl FilesSource {
    /// A source of the files of a folder, which need not be there yet.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), known: Mutex::default() }
    }

    /// Shows every row of a tenant in a range.
    fn visit(
        &self,
        tenant: &TenantId,
        range: TimeRange,
        cancellation: &Cancellation,
        statistics: &mut ScanStatistics,
        visit: &mut dyn FnMut(FileRow) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        let folder = self.dir.join(tenant.as_str());
        let failed = |error: io::Error| ScanError::Failed(format!("{}: {error}", folder.display()));
        let mut files = files_in(&folder).map_err(failed)?;
        // Rows of one stream and time come in the order in which they were written.
        let in_order = |files: &mut Vec<FoundFile>| {
            files.sort_by_key(|file| (file.stem.clone(), order(file.kind)));
            // For a moment a file is there packed and plain.
            files.dedup_by_key(|file| (file.stem.clone(), order(file.kind)));
        };
        in_order(&mut files);
        statistics.segments_total += files.len() as u64;
        self.forget_removed(&folder, &files);
        let mut left: VecDeque<FoundFile> = files.into();
        let mut done: HashSet<(String, u64)> = HashSet::new();
        while let Some(file) = left.pop_front() {
            if !self.may_have(&file, range) {
                continue;
            }
            statistics.segments_read += 1;
            statistics.compressed_bytes += file.bytes;
            let mut lines = match open(&file) {
                Ok(lines) => lines,
                // It is full, packed or taken away meanwhile: it, and what came behind it, have other names now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let mut found = files_in(&folder).map_err(failed)?;
                    found.retain(|found| {
                        found.stem == file.stem && !done.contains(&(found.stem.clone(), order(found.kind)))
                    });
                    in_order(&mut found);
                    left.retain(|later| later.stem != file.stem);
                    found.into_iter().rev().for_each(|found| left.push_front(found));
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            done.insert((file.stem.clone(), order(file.kind)));
            self.visit_lines(&file, &mut *lines, range, cancellation, statistics, visit)?;
        }
        Ok(())
    }

    fn forget_removed(&self, folder: &Path, files: &[FoundFile]) {
        let there: HashSet<&Path> = files.iter().map(|file| file.path.as_path()).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|path, _| path.parent() != Some(folder) || there.contains(path.as_path()));
    }

    fn visit_lines(
        &self,
        file: &FoundFile,
        lines: &mut dyn BufRead,
        range: TimeRange,
        cancellation: &Cancellation,
        statistics: &mut ScanStatistics,
        visit: &mut dyn FnMut(FileRow) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        let (mut line, mut times): (Vec<u8>, Option<(Timestamp, Timestamp)>) = (Vec::new(), None);
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line);
            if read.map_err(|error| ScanError::Failed(format!("{}: {error}", file.path.display())))? == 0 {
                break;
            }
            // Half a line is being written.
            if line.last() != Some(&b'\n') {
                break;
            }
            statistics.rows_scanned += 1;
            statistics.decompressed_bytes += line.len() as u64;
            if statistics.rows_scanned.is_multiple_of(LINES_BETWEEN_LOOKS)
                && let Some(reason) = cancellation.reason()
            {
                return Err(ScanError::Cancelled(reason));
            }
            match file_line::read(&line) {
                Ok(row) => {
                    let (first, last) = times.unwrap_or((row.timestamp, row.timestamp));
                    times = Some((first.min(row.timestamp), last.max(row.timestamp)));
                    if range.contains(row.timestamp) {
                        visit(row)?;
                    }
                }
                // Somebody else wrote it; its neighbours are shown.
                Err(error) => {
                    tracing::debug!(path = %file.path.display(), %error, "a line is no row");
                }
            }
        }
        if let (Some((first, last)), FileKind::Full(..)) = (times, file.kind) {
            let known = KnownFile { bytes: file.bytes, first, last };
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(file.path.clone(), known);
        }
        Ok(())
    }

    fn may_have(&self, file: &FoundFile, range: TimeRange) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&file.path) {
            Some(known) if known.bytes == file.bytes => known.first < range.end && known.last >= range.start,
            _ => true,
        }
    }

    fn visit_streams(
        &self,
        request: &SeriesRequest,
        visit: &mut dyn FnMut(FileRow) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        let wanted = |labels: &Labels| {
            request.selectors.is_empty()
                || request.selectors.iter().any(|selector| accepts_all(selector, labels))
        };
        let mut statistics = ScanStatistics::default();
        self.visit(&request.tenant, request.range, &request.cancellation, &mut statistics, &mut |row| {
            if wanted(&row.labels) { visit(row) } else { Ok(()) }
        })
    }
}

/// Full files by number, then the one that is written to.
fn order(kind: FileKind) -> u64 {
    match kind {
        FileKind::Full(number, _) => number,
        FileKind::Open => u64::MAX,
    }
}

fn open(file: &FoundFile) -> io::Result<Box<dyn BufRead>> {
    let opened = File::open(&file.path)?;
    let bytes: Box<dyn Read> = match file.kind {
        FileKind::Full(_, Packing::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(opened)),
        FileKind::Full(_, Packing::Zstd) => Box::new(zstd::Decoder::new(opened)?),
        FileKind::Open | FileKind::Full(_, Packing::Plain) => Box::new(opened),
    };
    Ok(Box::new(BufReader::with_capacity(128 << 10, bytes)))
}

impl LogSource for FilesSource {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        let mut statistics = ScanStatistics::default();
        let mut rows: Vec<FileRow> = Vec::new();
        let (mut held, mut matched) = (0usize, 0u64);
        self.visit(&request.tenant, request.range, &request.cancellation, &mut statistics, &mut |row| {
            let passes = accepts_all(&request.matchers, &row.labels)
                && request.line_filters.iter().all(|filter| filter.accepts(&row.line));
            if passes {
                matched += 1;
                held += row.line.len() + 256;
                held += row.metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
                if held > SCAN_BYTES_MAX {
                    return Err(ScanError::Memory { limit: SCAN_BYTES_MAX });
                }
                rows.push(row);
            }
            Ok(())
        })?;
        statistics.rows_matched = matched;
        // Both are stable: of equal times the later one stays behind the earlier one, within a block as across them.
        match request.direction {
            Direction::Forward => rows.sort_by_key(|row| Reverse(row.timestamp)),
            Direction::Backward => rows.sort_by_key(|row| row.timestamp),
        }
        Ok(Box::new(FilesScan { rows, statistics, cancellation: request.cancellation.clone() }))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        let folder = self.dir.join(request.tenant.as_str());
        let failed = |error: io::Error| ScanError::Failed(format!("{}: {error}", folder.display()));
        let files = files_in(&folder).map_err(failed)?;
        let read = files.iter().filter(|file| self.may_have(file, request.range));
        let (mut estimate, total) = (ScanEstimate::default(), files.len() as u64);
        estimate.segments_total = total;
        for file in read {
            estimate.segments += 1;
            estimate.stored_bytes += file.bytes;
        }
        Ok(estimate)
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        let mut streams = BTreeSet::new();
        self.visit_streams(request, &mut |row| {
            streams.insert(row.labels);
            Ok(())
        })?;
        Ok(streams.into_iter().collect())
    }

    fn count(
        &self,
        request: &SeriesRequest,
        _cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.visit_streams(request, &mut |row| {
            let pairs = row.metadata.iter().map(|(name, value)| name.len() + value.len() + 8);
            let cell = CountedCell {
                time: row.timestamp,
                rows: 1,
                line_bytes: row.line.len() as u64,
                metadata_bytes: pairs.sum::<usize>() as u64,
            };
            visit(&row.labels, &cell)
        })
    }
}

/// The rows that are still to come, the last ones first.
struct FilesScan {
    rows: Vec<FileRow>,
    statistics: ScanStatistics,
    cancellation: Cancellation,
}

impl BlockStream for FilesScan {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        if let Some(reason) = self.cancellation.reason() {
            return Err(ScanError::Cancelled(reason));
        }
        let mut from = self.rows.len().saturating_sub(BLOCK_ROWS);
        // Rows of one time are not parted.
        while let (Some(before), Some(first)) = (from.checked_sub(1), self.rows.get(from))
            && self.rows.get(before).is_some_and(|row| row.timestamp == first.timestamp)
        {
            from = before;
        }
        let Some(frontier) = self.rows.get(from).map(|row| row.timestamp) else { return Ok(None) };
        let mut builder = RowsBuilder::default();
        for row in self.rows.drain(from..) {
            row.push_to(&mut builder).map_err(|full| ScanError::Failed(full.to_string()))?;
        }
        self.statistics.blocks_read += 1;
        Ok(Some(RowBlock { rows: builder.finish(), counted: Vec::new(), frontier }))
    }

    fn statistics(&self) -> ScanStatistics {
        self.statistics
    }
}
