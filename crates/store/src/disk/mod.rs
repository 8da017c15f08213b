//! What the store asks of a file system, so that tests can put a worse one under it.
//!
//! Contract: what was written to a file is durable after `sync`; names are durable after
//! `sync_directory` of their directory. Until then a crash may keep any part of either.
//! Writes go where they are told and never move a file position.

mod durable_directories;
mod real;

use std::any::Any;
use std::io;
use std::path::Path;

pub(crate) use durable_directories::DurableDirectories;
pub use real::RealDisk;

/// A file system.
pub trait Disk: Send + Sync {
    /// Makes an empty file for writing, replacing one of that name.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that is there for overwriting.
    fn open_for_writing(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name in one step, replacing what has that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory if it is empty.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes a directory; it is no error when it is there.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Whether there is a directory of that name.
    fn is_directory(&self, path: &Path) -> bool;

    /// What a directory holds, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes everything durable that was written to the volume of `path` before: files and names, those of others too.
    fn sync_volume(&self, path: &Path) -> io::Result<()>;

    /// Bytes that can still be written to the volume of `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Takes the lock that the file `path` stands for, or says who has it.
    fn lock(&self, path: &Path) -> io::Result<LockOutcome>;

    /// Whether somebody has the lock that the file `path` stands for. Changes nothing.
    fn lock_holder(&self, path: &Path) -> io::Result<Option<LockHolder>>;

    /// A number that nobody can guess.
    fn random(&self) -> u64;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Fills `buffer` from `offset`; a file that ends before is `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file `bytes` long with room on the volume for all of it; new bytes are zero.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// The file's length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Makes everything written durable.
    fn sync(&self) -> io::Result<()>;
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name alone.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// What became of taking a lock.
pub enum LockOutcome {
    /// It is held until this value is dropped.
    Taken(Box<dyn Any + Send + Sync>),
    /// Somebody else has it.
    Held(LockHolder),
}

/// Who has a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The process id, when it left one.
    pub process: Option<u32>,
}

/// When what is written becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    /// Piece by piece, as it is written.
    Each,
    /// Later, by [`Disk::sync_volume`]: of many small files that is far less work.
    Together,
}

/// Makes a directory and those above it, and the names of those that were missing durable.
pub(crate) fn create_directories(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || disk.is_directory(path) {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create_directories(disk, parent)?;
    disk.create_directory(path)?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    disk.sync_directory(parent)
}

/// All bytes of a file.
pub(crate) fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}
