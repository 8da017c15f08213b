//! Writes groups of records and keeps account of the log's files.
//!
//! [`LogWriter`] belongs to whoever has the turn to write; [`LogFiles`] is shared with whoever
//! releases files after a manifest was replaced. Files are allocated in full before the first
//! record goes in, so that a full volume is noticed before anything was written.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::format::{FileHeader, HEADER_BYTES, put_record, record_size};
use crate::disk::{Disk, DiskFile, create_directories};
use crate::error::StoreError;
use crate::paths::Paths;

/// A file of the log that is no longer written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// The sequence after its last record.
    pub(crate) end_sequence: u64,
}

/// Zeros written behind a small group in a file that is new, so that the groups after it go where something is already.
const WRITTEN_AHEAD_BYTES: usize = 128 << 10;

#[derive(Debug, Default)]
struct Files {
    /// Oldest first.
    sealed: VecDeque<SealedFile>,
    free: Vec<SealedFile>,
    current: Option<PathBuf>,
    current_bytes: u64,
}

/// Which files the log has.
pub(crate) struct LogFiles {
    disk: Arc<dyn Disk>,
    files: Mutex<Files>,
    /// Files beyond this many bytes in all are removed instead of kept for reuse.
    bytes_max: u64,
}

impl LogFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, bytes_max: u64) -> Self {
        Self { disk, files: Mutex::default(), bytes_max }
    }

    /// Bytes of files that are no longer written and hold records not yet in segments.
    pub(crate) fn sealed_bytes(&self) -> u64 {
        self.lock().sealed.iter().map(|file| file.bytes).sum()
    }

    /// Takes in the files that were there when the store was opened, in their order.
    pub(crate) fn adopt(&self, files: impl IntoIterator<Item = SealedFile>) {
        let mut end_sequence = 0;
        self.lock().sealed.extend(files.into_iter().map(|file| {
            // One that holds nothing, since a crash came before its first sync, ends where the one before it does: else
            // cutting up to its end would cut nothing, and never make room.
            end_sequence = end_sequence.max(file.end_sequence);
            SealedFile { end_sequence, ..file }
        }));
    }

    /// Bytes of all files.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let files = self.lock();
        let kept = files.sealed.iter().chain(&files.free).map(|file| file.bytes).sum::<u64>();
        files.current_bytes + kept
    }

    /// The sequence up to which everything must be in segments, so that the older half of the
    /// files that are no longer written can be released.
    pub(crate) fn older_half_end(&self) -> Option<u64> {
        let files = self.lock();
        let middle = files.sealed.len().div_ceil(2).checked_sub(1)?;
        files.sealed.get(middle).map(|file| file.end_sequence.saturating_sub(1))
    }

    /// Files whose records are all up to `covered` hold nothing any more: they are kept for reuse, or
    /// removed beyond `free_max` of them. Only after the manifest that covers them is durable.
    pub(crate) fn release(&self, covered: u64, free_max: usize) -> Result<(), StoreError> {
        let mut removed = Vec::new();
        {
            let mut files = self.lock();
            while files.sealed.front().is_some_and(|file| file.end_sequence <= covered.saturating_add(1)) {
                let Some(file) = files.sealed.pop_front() else { break };
                files.free.push(file);
            }
            let mut bytes = files.current_bytes
                + files.sealed.iter().chain(&files.free).map(|file| file.bytes).sum::<u64>();
            while let Some(file) =
                files.free.pop_if(|file| bytes > self.bytes_max || file.bytes > self.bytes_max / 4)
            {
                bytes -= file.bytes;
                removed.push(file);
            }
            let surplus = files.free.len().saturating_sub(free_max);
            removed.extend(files.free.drain(..surplus));
        }
        for file in removed {
            self.disk.remove(&file.path).map_err(|error| StoreError::io(&file.path, error))?;
        }
        Ok(())
    }

    /// The paths of the files that hold records, oldest first. They keep what they hold until
    /// [`LogFiles::release`] is called.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let files = self.lock();
        files.sealed.iter().map(|file| file.path.clone()).chain(files.current.clone()).collect()
    }

    fn take_free(&self, bytes: u64) -> Option<SealedFile> {
        let mut files = self.lock();
        let index = files.free.iter().position(|file| file.bytes >= bytes)?;
        Some(files.free.swap_remove(index))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct CurrentFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    salt: u64,
    bytes: u64,
    position: u64,
    /// Up to where the file was written since it was made: behind it writing costs the file system more, which has to note that
    /// there is something now.
    written_end: u64,
    directory_synced: bool,
}

/// The end of the log that is written.
pub(crate) struct LogWriter {
    disk: Arc<dyn Disk>,
    paths: Paths,
    files: Arc<LogFiles>,
    segment_bytes: u64,
    current: Option<CurrentFile>,
    next_number: u64,
    next_sequence: u64,
    buffer: Vec<u8>,
}

impl LogWriter {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        paths: Paths,
        files: Arc<LogFiles>,
        segment_bytes: u64,
        next_number: u64,
        next_sequence: u64,
    ) -> Self {
        let current = None;
        Self { disk, paths, files, segment_bytes, current, next_number, next_sequence, buffer: Vec::new() }
    }

    /// Makes sure that a group of payloads of these sizes has a file to go to. When the volume
    /// has no room this fails with nothing changed.
    pub(crate) fn reserve(&mut self, payload_bytes: impl Iterator<Item = usize>) -> Result<(), StoreError> {
        let group_bytes: usize = payload_bytes.map(record_size).sum();
        let fits = |file: &CurrentFile| file.bytes - file.position >= group_bytes as u64;
        if self.current.as_ref().is_some_and(fits) {
            return Ok(());
        }
        let bytes = self.segment_bytes.max((HEADER_BYTES + group_bytes) as u64);
        let next = self.begin_file(bytes)?;
        let mut files = self.files.lock();
        files.current_bytes = next.bytes;
        files.current = Some(next.path.clone());
        if let Some(full) = self.current.replace(next) {
            let end_sequence = self.next_sequence;
            files.sealed.push_back(SealedFile { path: full.path, bytes: full.bytes, end_sequence });
        }
        Ok(())
    }

    /// Writes the group for which [`LogWriter::reserve`] made room, and syncs it. Returns the sequence of its
    /// first record. After an error nobody knows what the file holds: nothing may be written again.
    pub(crate) fn write_group<'a>(
        &mut self,
        payloads: impl Iterator<Item = &'a [u8]>,
    ) -> Result<u64, StoreError> {
        let Some(current) = &mut self.current else {
            return Err(StoreError::corrupt(&self.paths.log_directory(), "no room was reserved"));
        };
        let group = self.next_sequence;
        let mut sequence = group;
        self.buffer.clear();
        for payload in payloads {
            put_record(&mut self.buffer, current.salt, sequence, group, payload);
            sequence += 1;
        }
        let bytes = self.buffer.len();
        let end = current.position + bytes as u64;
        if end > current.written_end {
            if bytes < WRITTEN_AHEAD_BYTES {
                let ahead = (end + WRITTEN_AHEAD_BYTES as u64).min(current.bytes);
                self.buffer.resize((ahead - current.position) as usize, 0);
            }
            current.written_end = current.position + self.buffer.len() as u64;
        }
        let path = &current.path;
        current
            .file
            .write_at(&self.buffer, current.position)
            .and_then(|()| current.file.sync())
            .map_err(|error| StoreError::io(path, error))?;
        if !current.directory_synced {
            let directory = self.paths.log_directory();
            self.disk.sync_directory(&directory).map_err(|error| StoreError::io(&directory, error))?;
            current.directory_synced = true;
        }
        current.position = end;
        self.next_sequence = sequence;
        // One huge batch must not keep its memory for ever.
        self.buffer.shrink_to(self.segment_bytes as usize);
        Ok(group)
    }

    /// Gives up the file being written, so that it can be released like the others.
    pub(crate) fn seal(&mut self) {
        if let Some(full) = self.current.take() {
            let end_sequence = self.next_sequence;
            let mut files = self.files.lock();
            files.current_bytes = 0;
            files.current = None;
            files.sealed.push_back(SealedFile { path: full.path, bytes: full.bytes, end_sequence });
        }
    }

    fn begin_file(&mut self, bytes: u64) -> Result<CurrentFile, StoreError> {
        let path = self.paths.log_segment(self.next_number);
        let header = FileHeader {
            number: self.next_number,
            salt: self.disk.random(),
            first_sequence: self.next_sequence,
        };
        let recycled = self.files.take_free(bytes);
        let made = match &recycled {
            Some(old) => self.recycle(old, &path).map(|file| (file, old.bytes)),
            None => self.allocate(&path, bytes).map(|file| (file, bytes)),
        };
        let (file, bytes) = made?;
        file.write_at(&header.encode(), 0).map_err(|error| StoreError::io(&path, error))?;
        self.next_number += 1;
        Ok(CurrentFile {
            file,
            path,
            salt: header.salt,
            bytes,
            position: HEADER_BYTES as u64,
            written_end: if recycled.is_some() { bytes } else { HEADER_BYTES as u64 },
            directory_synced: false,
        })
    }

    fn recycle(&self, old: &SealedFile, path: &std::path::Path) -> Result<Box<dyn DiskFile>, StoreError> {
        self.disk
            .rename(&old.path, path)
            .and_then(|()| self.disk.open_for_writing(path))
            .map_err(|error| StoreError::io(path, error))
    }

    fn allocate(&self, path: &std::path::Path, bytes: u64) -> Result<Box<dyn DiskFile>, StoreError> {
        let directory = self.paths.log_directory();
        create_directories(&*self.disk, &directory).map_err(|error| StoreError::io(&directory, error))?;
        let file = self.disk.create(path).map_err(|error| StoreError::io(path, error))?;
        match file.allocate(bytes) {
            Ok(()) => Ok(file),
            Err(error) => {
                let failure = StoreError::io(path, error);
                // What could be allocated is of no use; the file holds nothing, so a failure to
                // remove it changes nothing that is reported.
                drop(file);
                match self.disk.remove(path) {
                    Ok(()) | Err(_) => Err(failure),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::RealDisk;
    use crate::wal::read_log;

    const SEGMENT_BYTES: u64 = 4096;

    fn writer(directory: &Path) -> LogWriter {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let files = Arc::new(LogFiles::new(Arc::clone(&disk), 64 << 10));
        LogWriter::new(disk, Paths::new(directory), files, SEGMENT_BYTES, 1, 1)
    }

    fn append(writer: &mut LogWriter, payloads: &[&[u8]]) {
        writer.reserve(payloads.iter().map(|payload| payload.len())).expect("room");
        writer.write_group(payloads.iter().copied()).expect("written");
    }

    fn read(directory: &Path, covered: u64) -> (Vec<(u64, Vec<u8>)>, crate::wal::reader::LogContents) {
        let mut records = Vec::new();
        let contents = read_log(&RealDisk, &Paths::new(directory), covered, &mut |record| {
            records.push((record.sequence, record.payload.to_vec()));
            Ok(())
        });
        (records, contents.expect("readable"))
    }

    fn payload(number: u64) -> Vec<u8> {
        format!("payload {number} ").repeat(20).into_bytes()
    }

    fn filled(groups: u64) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = writer(directory.path());
        for group in 0..groups {
            let (first, second) = (payload(group * 2 + 1), payload(group * 2 + 2));
            append(&mut writer, &[&first, &second]);
        }
        directory
    }

    #[test]
    fn records_come_back_in_order_across_files() {
        let directory = filled(30);
        let (records, contents) = read(directory.path(), 0);
        let expected: Vec<_> = (1..=60).map(|number| (number, payload(number))).collect();
        assert_eq!(records, expected);
        assert!(contents.files.len() > 2);
        assert_eq!((contents.next_sequence, contents.lost_records), (61, 0));
        assert_eq!(contents.damage, []);
        assert_eq!(read(directory.path(), 58).0.len(), 2);
    }

    #[test]
    fn a_torn_last_group_is_the_end_and_no_damage() {
        let directory = filled(2);
        let path = Paths::new(directory.path()).log_segment(1);
        let mut bytes = std::fs::read(&path).expect("readable");
        // The first record of the second group.
        let offset = HEADER_BYTES + 2 * record_size(payload(1).len());
        bytes[offset + 40] ^= 1;
        std::fs::write(&path, &bytes).expect("writable");
        let (records, contents) = read(directory.path(), 0);
        assert_eq!(records.len(), 2);
        assert_eq!((contents.next_sequence, contents.lost_records), (3, 0));
        assert_eq!(contents.damage, []);
    }

    #[test]
    fn damage_before_the_end_is_named_counted_and_skipped() {
        for (number, lost) in [(1, 1), (2, 1), (4, 1), (13, 1)] {
            let directory = filled(30);
            let paths = Paths::new(directory.path());
            let per_file = (SEGMENT_BYTES as usize - HEADER_BYTES) / record_size(payload(1).len()) / 2 * 2;
            let file = (number - 1) / per_file;
            let path = paths.log_segment(file as u64 + 1);
            let mut bytes = std::fs::read(&path).expect("readable");
            let mut offset = HEADER_BYTES;
            for before in file * per_file + 1..number {
                offset += record_size(payload(before as u64).len());
            }
            bytes[offset + 50] ^= 0x10;
            std::fs::write(&path, &bytes).expect("writable");
            let (records, contents) = read(directory.path(), 0);
            assert_eq!(records.len(), 60 - lost as usize, "record {number}");
            assert!(records.iter().all(|(sequence, bytes)| *bytes == payload(*sequence)));
            assert_eq!(contents.lost_records, lost);
            assert_eq!(contents.damage.len(), 1);
            assert!(contents.damage[0].place.contains(&format!("records {number} to {number}")));
        }
    }

    #[test]
    fn a_lost_file_is_named() {
        let directory = filled(30);
        std::fs::remove_file(Paths::new(directory.path()).log_segment(2)).expect("removed");
        let (records, contents) = read(directory.path(), 0);
        assert_eq!(records.len() as u64 + contents.lost_records, 60);
        assert_eq!(contents.damage.len(), 1);
    }

    #[test]
    fn what_an_older_use_of_a_file_left_is_not_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = writer(directory.path());
        for number in 1..=40 {
            append(&mut writer, &[&payload(number)]);
        }
        writer.files.release(30, 8).expect("released");
        let before = std::fs::read_dir(directory.path().join("wal")).expect("listed").count();
        for number in 41..=60 {
            append(&mut writer, &[&payload(number)]);
        }
        let after = std::fs::read_dir(directory.path().join("wal")).expect("listed").count();
        assert_eq!(before, after, "files are used again");
        let (records, contents) = read(directory.path(), 30);
        assert_eq!(records, (31..=60).map(|number| (number, payload(number))).collect::<Vec<_>>());
        assert_eq!((contents.next_sequence, contents.lost_records), (61, 0));
        assert_eq!(contents.damage, []);
    }
}
