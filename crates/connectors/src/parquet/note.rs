//! What was exported last, or is being exported: written down before the first file of it, so that whoever comes after a kill makes the
//! same files of the same batches, and no others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Part of the names of its files.
    pub(super) id: String,
    /// What its batches are known by, in their order.
    pub(super) batches: Vec<u64>,
    /// Whether all of its files are there.
    pub(super) is_done: bool,
}

/// Where it is written.
#[derive(Clone, Debug)]
pub(super) struct NoteFile(PathBuf);

impl NoteFile {
    /// That of a folder.
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.join("export.json"))
    }

    /// What is written; nothing before the first export.
    pub(super) fn read(&self) -> io::Result<Option<Note>> {
        match fs::read(&self.0) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", self.0.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces what is written. It outlives a cut of power when this returns.
    pub(super) fn write(&self, note: &Note) -> io::Result<()> {
        replace(&self.0, &serde_json::to_vec(note).map_err(io::Error::other)?)
    }
}

/// Makes or replaces a file as a whole: readers see the old one or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Readers of folders of files pass over names that begin so.
    let beside = folder.join(format!(".{name}.half"));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = NoteFile::new(folder.path());
        assert_eq!(file.read().expect("nothing there"), None);
        let note = Note { id: "20261121".to_owned(), batches: vec![u64::MAX, 1], is_done: false };
        file.write(&note).expect("written");
        assert_eq!(file.read().expect("there"), Some(note));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
