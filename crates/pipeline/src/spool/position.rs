//! Where the oldest record of a spool lies that was not delivered, in a file of its own.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

const NAME: &str = "position";
const BYTES: usize = 24;

/// A place in the files of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The number of the file.
    pub(super) file: u64,
    /// The byte in it.
    pub(super) offset: u64,
}

/// The file that it is written to. It is not synced: a lost position repeats what was delivered, and loses nothing.
pub(super) struct PositionFile {
    file: File,
}

impl PositionFile {
    /// Opens it, with what it says if that is whole.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Option<Position>)> {
        let path = folder.join(NAME);
        let file = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(path)?;
        let mut bytes = [0; BYTES];
        let written = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| read(&bytes));
        Ok((Self { file }, written))
    }

    /// Writes a new one over the old one.
    pub(super) fn write(&mut self, position: Position) -> io::Result<()> {
        let mut bytes = [0; BYTES];
        let (places, sum) = bytes.split_at_mut(16);
        let (file, offset) = places.split_at_mut(8);
        file.copy_from_slice(&position.file.to_le_bytes());
        offset.copy_from_slice(&position.offset.to_le_bytes());
        sum.copy_from_slice(&xxh3_64(places).to_le_bytes());
        self.file.write_all_at(&bytes, 0)
    }
}

fn read(bytes: &[u8; BYTES]) -> Option<Position> {
    let (places, sum) = bytes.split_at(16);
    let (file, offset) = places.split_at(8);
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    (number(sum)? == xxh3_64(places))
        .then_some(())
        .and_then(|()| Some(Position { file: number(file)?, offset: number(offset)? }))
}
