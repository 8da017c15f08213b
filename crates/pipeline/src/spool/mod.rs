//! Batches on disk for a sink that is slower than what comes in, or away.
//!
//! A spool is a folder of files that are only added to, each with numbered name; what was delivered is a position in them,
//! and a file behind it is removed. Records come out in the order in which they went in. A record that was delivered
//! shortly before the process was killed may come out once more. The bytes are drawn in `docs/format/spool.md`.

mod delivery;
mod frame;
mod position;
mod spooled_sink;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use timberyard_model::LogBatch;

use frame::{HEADER_BYTES, Header};
use position::{Position, PositionFile};

pub use delivery::DeliveryCounters;
pub(crate) use delivery::{Delivery, now_seconds};
pub use spooled_sink::SpooledSink;

/// A file of that many bytes is full.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How the names of files end.
const EXTENSION: &str = "spool";

/// How batches become bytes and are batches again; formats are not this crate's.
pub trait BatchCodec: Send + Sync {
    /// The bytes of a batch.
    fn encode(&self, batch: &LogBatch) -> Vec<u8>;

    /// The batch of these bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    fn decode(&self, bytes: &[u8]) -> Result<LogBatch, String>;
}

/// Why a record was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It is bounded, and there is no room.
    #[error("spool {folder} holds {held_bytes} bytes, limit is {bytes_max}")]
    Full {
        /// Its folder.
        folder: PathBuf,
        /// What it holds.
        held_bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// The system said no.
    #[error("spool {folder}: {error}")]
    Io {
        /// Its folder.
        folder: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A queue of records in files of a folder.
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
    /// How much of everything that was ever appended since it was opened is on the disk.
    synced: Mutex<u64>,
}

struct State {
    /// The files that hold what was not delivered, the oldest first; the last one is written to.
    files: VecDeque<SpoolFile>,
    writer: File,
    /// Where the oldest record lies that was not delivered.
    read: Position,
    position: PositionFile,
    /// Bytes of all files together.
    held_bytes: u64,
    /// Bytes that were appended since it was opened.
    appended_bytes: u64,
    /// What it held when it had no room for a record, until it holds less.
    full_at_bytes: Option<u64>,
    /// A sync failed. What it was for need not outlive a cut of power though later syncs succeed, and would hide what follows.
    has_failed_sync: bool,
}

#[derive(Clone, Copy)]
struct SpoolFile {
    number: u64,
    bytes: u64,
}

/// A record that is not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// What went in.
    pub payload: Vec<u8>,
    /// When it went in, in seconds since the epoch.
    pub at_seconds: u64,
    /// Where the one behind it begins.
    next: Position,
}

impl Spool {
    /// Opens a folder, or makes it: what is in it from before comes out first. What was half written when the process
    /// ended was promised to nobody and is passed over.
    ///
    /// # Errors
    /// What the system says; nothing of the folder is lost.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<Self, SpoolError> {
        Self::opened(folder, bytes_max).map_err(|error| SpoolError::Io { folder: folder.to_owned(), error })
    }

    fn opened(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut numbers = numbers_in(folder)?;
        if numbers.is_empty() {
            numbers.push(1);
        }
        let mut files = VecDeque::new();
        for number in numbers {
            let bytes = whole_bytes(&path_of(folder, number))?;
            files.push_back(SpoolFile { number, bytes });
        }
        let (position, written) = PositionFile::open(folder)?;
        let first = files.front().map_or(1, |file| file.number);
        // Of a file whose end a cut of power took, the position may be behind what is left.
        let read = written.and_then(|written| {
            let file = files.iter().find(|file| file.number == written.file)?;
            Some(Position { offset: written.offset.min(file.bytes), ..written })
        });
        let read = read.unwrap_or(Position { file: first, offset: 0 });
        let mut last = files.back().copied().unwrap_or(SpoolFile { number: 1, bytes: 0 });
        if last.bytes > 0 {
            // Its end need not outlive a cut of power, even if it is read now, and would hide what follows in the same file.
            last = SpoolFile { number: last.number + 1, bytes: 0 };
            files.push_back(last);
        }
        let writer = OpenOptions::new().create(true).append(true).open(path_of(folder, last.number))?;
        // What a kill left half written.
        writer.set_len(0)?;
        File::open(folder)?.sync_all()?;
        let held_bytes = files.iter().map(|file| file.bytes).sum();
        let mut state = State {
            files,
            writer,
            read,
            position,
            held_bytes,
            appended_bytes: 0,
            full_at_bytes: None,
            has_failed_sync: false,
        };
        state.remove_delivered(folder)?;
        Ok(Self { folder: folder.to_owned(), bytes_max, state: Mutex::new(state), synced: Mutex::new(0) })
    }

    /// Adds a record; with `sync` it outlives a cut of power when this returns, else the end of the process.
    /// Those who sync at the same time share one. Blocks for the disk.
    ///
    /// # Errors
    /// There is no room, or the disk takes nothing; then nothing was added. Or a sync failed: then it takes nothing more until
    /// it is opened again, and what was added may come out.
    pub fn append(&self, payload: &[u8], at_seconds: u64, sync: bool) -> Result<(), SpoolError> {
        let failed = |error| self.failed(error);
        let framed = frame::framed(payload, at_seconds);
        let (end, file) = {
            let mut state = self.state();
            state.check_syncs().map_err(failed)?;
            let bytes = framed.len() as u64;
            if state.held_bytes + bytes > self.bytes_max && !state.is_empty() {
                state.full_at_bytes = Some(state.held_bytes);
                return Err(SpoolError::Full {
                    folder: self.folder.clone(),
                    held_bytes: state.held_bytes,
                    bytes_max: self.bytes_max,
                });
            }
            state.append(&self.folder, &framed).map_err(failed)?;
            let file = sync.then(|| state.writer.try_clone()).transpose().map_err(failed)?;
            (state.appended_bytes, file)
        };
        let Some(file) = file else { return Ok(()) };
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced < end {
            // Whatever was appended until now is behind this one or in a file that was synced when it was full.
            let until = {
                let state = self.state();
                state.check_syncs().map_err(failed)?;
                state.appended_bytes
            };
            if let Err(error) = file.sync_data() {
                self.state().has_failed_sync = true;
                return Err(failed(error));
            }
            // Of what came into the next file meanwhile nothing is known.
            *synced = (*synced).max(if self.is_written_to(&file) { until } else { end });
        }
        Ok(())
    }

    fn is_written_to(&self, file: &File) -> bool {
        use std::os::unix::fs::MetadataExt;
        let inode = |file: &File| file.metadata().map(|metadata| metadata.ino()).ok();
        inode(file).is_some() && inode(file) == inode(&self.state().writer)
    }

    /// The oldest record that was not delivered; it stays until [`Spool::delivered`]. Blocks for the disk.
    ///
    /// # Errors
    /// It cannot be read now, and stays; or it is damaged. A damaged one ends its file, since what follows there cannot be
    /// found: it is told once, and the next call goes on with the next file.
    pub fn oldest(&self) -> Result<Option<Spooled>, SpoolError> {
        let mut state = self.state();
        let read = state.read;
        let oldest = state.at_or_behind(&self.folder, read);
        if let (Err(error), Some(damaged)) = (&oldest, state.file_of(read))
            && error.kind() == io::ErrorKind::InvalidData
        {
            state.read = end_of(damaged);
        }
        oldest.map_err(|error| self.failed(error))
    }

    /// The record that went in after another one; both stay. Blocks for the disk.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn after(&self, record: &Spooled) -> Result<Option<Spooled>, SpoolError> {
        self.state().at_or_behind(&self.folder, record.next).map_err(|error| self.failed(error))
    }

    /// The record and all before it are somewhere else now: they do not come out again, but for a kill at once.
    ///
    /// # Errors
    /// Where it lies cannot be written down.
    pub fn delivered(&self, record: &Spooled) -> Result<(), SpoolError> {
        let mut state = self.state();
        state.read = record.next;
        let moved = state.remove_delivered(&self.folder).and_then(|()| {
            let read = state.read;
            state.position.write(read)
        });
        moved.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> SpoolError {
        SpoolError::Io { folder: self.folder.clone(), error }
    }

    /// Bytes of its files, which is what counts against its bound.
    pub fn held_bytes(&self) -> u64 {
        self.state().held_bytes
    }

    /// Whether it had no room for a record, and nothing of it was removed since.
    pub fn is_full(&self) -> bool {
        let state = self.state();
        !state.is_empty() && state.full_at_bytes.is_some_and(|bytes| state.held_bytes >= bytes)
    }

    /// Whether everything was delivered.
    pub fn is_empty(&self) -> bool {
        self.state().is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        let last = self.files.back();
        last.is_none_or(|last| self.read.file > last.number || self.read == end_of(*last))
    }

    fn append(&mut self, folder: &Path, framed: &[u8]) -> io::Result<()> {
        if self.files.back().is_some_and(|last| last.bytes >= FILE_BYTES_MAX) {
            self.begin_file(folder)?;
        }
        let Some(last) = self.files.back_mut() else { return Err(io::Error::other("it has no file")) };
        if let Err(error) = self.writer.write_all(framed) {
            // Half a record would hide what follows it.
            self.writer.set_len(last.bytes)?;
            return Err(error);
        }
        let bytes = framed.len() as u64;
        last.bytes += bytes;
        self.held_bytes += bytes;
        self.appended_bytes += bytes;
        Ok(())
    }

    /// Fails once a sync has failed: another one would say that all is well.
    fn check_syncs(&self) -> io::Result<()> {
        match self.has_failed_sync {
            true => Err(io::Error::other("a sync has failed, restart to write again")),
            false => Ok(()),
        }
    }

    /// A full file is synced, so that only the last one ever needs it.
    fn begin_file(&mut self, folder: &Path) -> io::Result<()> {
        self.writer.sync_data().inspect_err(|_| self.has_failed_sync = true)?;
        let number = self.files.back().map_or(1, |last| last.number + 1);
        self.writer = OpenOptions::new().create_new(true).append(true).open(path_of(folder, number))?;
        File::open(folder)?.sync_all()?;
        self.files.push_back(SpoolFile { number, bytes: 0 });
        Ok(())
    }

    fn file_of(&self, position: Position) -> Option<SpoolFile> {
        self.files.iter().find(|file| file.number == position.file).copied()
    }

    /// The first record that does not begin before a position.
    fn at_or_behind(&self, folder: &Path, from: Position) -> io::Result<Option<Spooled>> {
        let files = self.files.iter().filter(|file| file.number >= from.file);
        for file in files {
            let offset = if file.number == from.file { from.offset } else { 0 };
            if offset < file.bytes {
                let position = Position { file: file.number, offset };
                return read_record(&path_of(folder, file.number), position, file.bytes).map(Some);
            }
        }
        Ok(None)
    }

    /// Removes the files of which everything was delivered, but for the one that is written to.
    fn remove_delivered(&mut self, folder: &Path) -> io::Result<()> {
        while let (Some(first), true) = (self.files.front().copied(), self.files.len() > 1) {
            let passed = self.read.file > first.number
                || (self.read.file == first.number && self.read.offset >= first.bytes);
            if !passed {
                break;
            }
            fs::remove_file(path_of(folder, first.number))?;
            self.files.pop_front();
            self.held_bytes -= first.bytes;
            if let (Some(next), true) = (self.files.front(), self.read.file == first.number) {
                self.read = Position { file: next.number, offset: 0 };
            }
        }
        // The last one is begun anew, so that an idle spool holds nothing.
        if let Some(last) = self.files.back_mut().filter(|last| self.read == end_of(**last) && last.bytes > 0)
        {
            let number = last.number;
            let bytes = last.bytes;
            if self.files.len() == 1 && bytes >= FILE_BYTES_MAX {
                self.begin_file(folder)?;
                fs::remove_file(path_of(folder, number))?;
                self.files.pop_front();
                self.held_bytes -= bytes;
                self.read = Position { file: number + 1, offset: 0 };
            }
        }
        Ok(())
    }
}

fn end_of(file: SpoolFile) -> Position {
    Position { file: file.number, offset: file.bytes }
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.{EXTENSION}"))
}

/// The numbers of a folder's files, sorted.
fn numbers_in(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            numbers.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// How many bytes of a file are whole records.
fn whole_bytes(path: &Path) -> io::Result<u64> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let bytes = file.metadata()?.len();
    let mut at = 0;
    while at + HEADER_BYTES <= bytes {
        let header = read_header(&mut file, at)?;
        let end = at + HEADER_BYTES + u64::from(header.payload_bytes);
        if end > bytes {
            break;
        }
        at = end;
    }
    Ok(at)
}

fn read_header(file: &mut File, at: u64) -> io::Result<Header> {
    let mut bytes = [0; HEADER_BYTES as usize];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes)?;
    Ok(Header::read(&bytes))
}

fn read_record(path: &Path, position: Position, file_bytes: u64) -> io::Result<Spooled> {
    let mut file = File::open(path)?;
    let damaged = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is damaged at byte {}", path.display(), position.offset),
        )
    };
    let header = read_header(&mut file, position.offset)?;
    let end = position.offset + HEADER_BYTES + u64::from(header.payload_bytes);
    if end > file_bytes {
        return Err(damaged());
    }
    let mut payload = vec![0; header.payload_bytes as usize];
    file.read_exact(&mut payload)?;
    if !header.fits(&payload) {
        return Err(damaged());
    }
    let next = Position { file: position.file, offset: end };
    Ok(Spooled { payload, at_seconds: header.at_seconds, next })
}
