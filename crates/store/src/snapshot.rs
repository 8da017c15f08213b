//! Consistent copies of a running store: segments by hard link, log and manifest by copy.
//!
//! While the copy is made no segment is listed or unlisted and no log file is released, so that manifest,
//! segments and log belong together. Appends go on; those that come late are in it or not.

use std::io;
use std::path::Path;

use crate::core::{Core, lock};
use crate::disk::{Disk, create_directories, read_all};
use crate::error::StoreError;
use crate::paths::Paths;

impl Core {
    pub(crate) fn snapshot(&self, target: &Path) -> Result<(), StoreError> {
        let disk = &*self.disk;
        let failed = |path: &Path, error: io::Error| StoreError::io(path, error);
        create_directories(disk, target).map_err(|error| failed(target, error))?;
        if !disk.list(target).map_err(|error| failed(target, error))?.is_empty() {
            let error = io::Error::new(io::ErrorKind::DirectoryNotEmpty, "snapshot needs an empty directory");
            return Err(failed(target, error));
        }
        let copy = Paths::new(target);
        let manifest = lock(&self.manifest);
        for summary in manifest.segments.values() {
            let from = self.paths.segment(&summary.tenant, summary.day, summary.id);
            let directory = copy.segment_directory(&summary.tenant, summary.day);
            create_directories(disk, &directory).map_err(|error| failed(&directory, error))?;
            let to = copy.segment(&summary.tenant, summary.day, summary.id);
            link_or_copy(disk, &from, &to).map_err(|error| failed(&to, error))?;
        }
        for summary in manifest.segments.values() {
            let directory = copy.segment_directory(&summary.tenant, summary.day);
            disk.sync_directory(&directory).map_err(|error| failed(&directory, error))?;
        }
        let directory = copy.log_directory();
        create_directories(disk, &directory).map_err(|error| failed(&directory, error))?;
        // Oldest first: a file that is complete when the next one has begun is copied complete.
        for from in self.log_files.paths() {
            let Some(name) = from.file_name() else { continue };
            copy_file(disk, &from, &directory.join(name)).map_err(|error| failed(&from, error))?;
        }
        disk.sync_directory(&directory).map_err(|error| failed(&directory, error))?;
        // Last: without a manifest the copy cannot be opened.
        manifest.write_to(disk, &copy.manifest())?;
        disk.sync_directory(target).map_err(|error| failed(target, error))
    }
}

fn link_or_copy(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    match disk.hard_link(from, to) {
        // Damage is copied as well as it goes: a segment that is gone stays listed and missing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => copy_file(disk, from, to),
        Ok(()) => Ok(()),
    }
}

fn copy_file(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    let bytes = read_all(disk, from)?;
    let file = disk.create(to)?;
    file.write_at(&bytes, 0)?;
    file.sync()
}
