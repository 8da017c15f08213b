//! What can go wrong in the store: few kinds, each telling the caller what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use timberyard_model::origin::AlreadyStored;

/// Why the store did not do what it was asked. Cheap to clone: one failed sync answers a whole group.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The volume has too little room left; nothing was written. Free some or wait for retention.
    #[error("volume of {} has {free_bytes} bytes free, {reserve_bytes} are kept in reserve", directory.display())]
    Full {
        /// The data directory.
        directory: PathBuf,
        /// Bytes that are free on its volume.
        free_bytes: u64,
        /// Bytes that the settings keep in reserve.
        reserve_bytes: u64,
    },
    /// A unique key exists already; nothing of the batch was written.
    #[error("key `{key}` exists already")]
    Duplicate {
        /// The key.
        key: Box<str>,
        /// The number of the row in the batch that has it.
        row: u32,
    },
    /// Something of what the batch was read from is stored already; nothing of the batch was written.
    #[error(transparent)]
    AlreadyStored(Box<AlreadyStored>),
    /// Too much is waiting to be written; nothing of the batch was. Try again soon.
    #[error("{queued_bytes} bytes wait to be written, limit is {limit_bytes}")]
    Overloaded {
        /// Bytes in the queue.
        queued_bytes: usize,
        /// The queue's limit in bytes.
        limit_bytes: usize,
    },
    /// The log cannot hold a record of this size; nothing of the batch was written.
    #[error("batch takes {bytes} bytes in the log, limit is {limit_bytes}")]
    TooLarge {
        /// Bytes of the record.
        bytes: usize,
        /// The most that a record can have.
        limit_bytes: usize,
    },
    /// A write or sync failed, so that nobody knows what the disk holds: writing has stopped until
    /// the store is opened again. Whether this batch survives is unknown.
    #[error("writing has stopped, restart to recover: {reason}")]
    Poisoned {
        /// The failure that stopped it.
        reason: Arc<str>,
    },
    /// The store was closed.
    #[error("store is closed")]
    Closed,
    /// Bytes on the disk are not what was written.
    #[error("{} is damaged: {place}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in the file, and what is wrong there.
        place: String,
    },
    /// Another process has the directory open.
    #[error("{} is in use by {}: stop it first, or choose another folder", directory.display(), holder_text(*holder))]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// The process id of the other one, when it left it.
        holder: Option<u32>,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl StoreError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn corrupt(file: &Path, place: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), place: place.into() }
    }

    /// Whether the disk holds something else than was written, or cannot read it back: the
    /// rest of the store is still good.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
                    || source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
            }
            _ => false,
        }
    }

    /// Whether the volume has no room.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

fn holder_text(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
