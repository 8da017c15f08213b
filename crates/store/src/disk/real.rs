//! The file system of the machine.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, fdatasync, flock, statvfs, syncfs};

use super::{DirectoryEntry, Disk, DiskFile, LockHolder, LockOutcome};

/// Files as the operating system keeps them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// Written in pieces of this size where the file system cannot allocate.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn open_for_writing(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let is_directory = entry.file_type()?.is_dir();
            entries.push(DirectoryEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_directory,
            });
        }
        Ok(entries)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_volume(&self, path: &Path) -> io::Result<()> {
        syncfs(File::open(path)?).map_err(Into::into)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let figures = statvfs(path)?;
        Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<LockOutcome> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // The lock holds without the number in it, which a full volume has no room for.
                match file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())) {
                    Ok(()) | Err(_) => Ok(LockOutcome::Taken(Box::new(file))),
                }
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(LockOutcome::Held(holder(path))),
            Err(error) => Err(error.into()),
        }
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<LockHolder>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(holder(path))),
            Err(error) => Err(error.into()),
        }
    }

    fn random(&self) -> u64 {
        // The standard library seeds this from the operating system.
        RandomState::new().build_hasher().finish()
    }
}

fn holder(path: &Path) -> LockHolder {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    LockHolder { process: text.trim().parse().ok() }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match fallocate(self, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                let mut offset = self.metadata()?.len();
                while offset < bytes {
                    let piece = ZEROS.len().min((bytes - offset) as usize);
                    self.write_all_at(&ZEROS[..piece], offset)?;
                    offset += piece as u64;
                }
                Ok(())
            }
            other => other.map_err(Into::into),
        }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        fdatasync(self).map_err(Into::into)
    }
}
