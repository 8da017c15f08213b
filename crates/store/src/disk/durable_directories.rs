//! Directories whose names are known to be durable.
//!
//! That a directory is seen does not mean that it survives: whoever made it may have failed, or died, before its name was
//! synced. So every process syncs each directory that it writes into once.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{Disk, Syncs};
use crate::core::lock;

/// The directories of a store that this process has made durable; none of them is ever removed while it runs.
pub(crate) struct DurableDirectories {
    known: Mutex<HashSet<PathBuf>>,
}

impl DurableDirectories {
    /// Of a store in this directory, which is durable.
    pub(crate) fn below(root: &Path) -> Self {
        Self { known: Mutex::new(HashSet::from([root.to_owned()])) }
    }

    /// Makes a directory and those above it where they are missing, and their names durable unless that comes later.
    pub(crate) fn create(&self, disk: &dyn Disk, path: &Path, syncs: Syncs) -> io::Result<()> {
        if lock(&self.known).contains(path) {
            return Ok(());
        }
        let Some(parent) = path.parent() else { return Ok(()) };
        self.create(disk, parent, syncs)?;
        if !disk.is_directory(path) {
            disk.create_directory(path)?;
        }
        if syncs == Syncs::Each {
            disk.sync_directory(parent)?;
            lock(&self.known).insert(path.to_owned());
        }
        Ok(())
    }
}
