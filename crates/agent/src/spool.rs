//! Files that a stream is written to before it is sent, because it cannot be read twice: standard input and the journal.
//!
//! The newest file is `NAME.log`; a full one becomes `NAME.log.NUMBER`, as if it had been rotated, and is followed like any other. When the
//! server has all of a full one it is removed. Each file begins with a line of its own that nothing else begins with, so that no two
//! are taken for each other; it is not sent. When all files together are at their limit nothing more is written: the stream waits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The size at which a file is full: a share of the limit of all, within these bounds.
const FILES_WANTED: u64 = 16;
const FILE_BYTES_MIN: u64 = 64 << 10;
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How often it is looked whether there is room again, or whether all was sent.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a disk that takes nothing is left alone.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// The files of one stream.
pub(crate) struct Spool {
    folder: PathBuf,
    name: String,
    file: File,
    bytes: u64,
    bytes_max: u64,
    file_bytes_max: u64,
    /// Of the next full file.
    number: u64,
    /// Whether the last line has its end.
    is_whole: bool,
}

/// The file of a folder that a stream is written to.
pub(crate) fn newest(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

impl Spool {
    /// Goes on in a folder: what is there already is full.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn open(folder: &Path, name: &str, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let numbers = full_files(folder, name)?.into_iter().filter_map(|path| number_of(&path));
        let number = numbers.max().unwrap_or(0) + 1;
        let path = newest(folder, name);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        let mut spool = Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
            file,
            bytes,
            bytes_max,
            file_bytes_max: (bytes_max / FILES_WANTED).clamp(FILE_BYTES_MIN, FILE_BYTES_MAX),
            number,
            is_whole: bytes == 0 || fs::read(&path)?.ends_with(b"\n"),
        };
        match bytes {
            0 => spool.begin()?,
            _ => spool.rotate()?,
        }
        Ok(spool)
    }

    /// Whether the newest file is full; lines that follow belong into another one.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.file_bytes_max
    }

    /// Writes bytes; waits while there is no room, or the disk takes nothing. False when the agent stops.
    pub(crate) fn append(&mut self, bytes: &[u8], stopping: &AtomicBool) -> bool {
        loop {
            let full = self.bytes_of_full_files();
            // Where nothing can become free any more, what is left over must fit.
            if full == 0 || full + self.bytes + bytes.len() as u64 <= self.bytes_max {
                break;
            }
            if stopping.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(written) => {
                    self.bytes += written as u64;
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::error!(folder = %self.folder.display(), %error, "the buffer cannot be written: the stream waits");
                    if stopping.load(Ordering::Relaxed) {
                        return false;
                    }
                    std::thread::sleep(AFTER_ERROR);
                }
            }
        }
        self.is_whole = bytes.last().map_or(self.is_whole, |last| *last == b'\n');
        true
    }

    /// Writes a stream's bytes as they come, and begins another file behind a line where one is full.
    pub(crate) fn append_stream(&mut self, bytes: &[u8], stopping: &AtomicBool) -> io::Result<bool> {
        let (lines, rest) = bytes.split_at(memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1));
        if !self.append(lines, stopping) {
            return Ok(false);
        }
        // A line without end does not keep a file open for ever.
        if self.is_full() && (self.is_whole || self.bytes >= 2 * self.file_bytes_max) {
            self.rotate()?;
        }
        Ok(self.append(rest, stopping))
    }

    /// Makes the newest file a full one and begins another.
    pub(crate) fn rotate(&mut self) -> io::Result<()> {
        self.close()?;
        self.file = OpenOptions::new().create(true).append(true).open(newest(&self.folder, &self.name))?;
        self.bytes = 0;
        self.begin()
    }

    /// The stream has ended: waits until all of it was sent. False when the agent stops before.
    pub(crate) fn finish(mut self, stopping: &AtomicBool) -> io::Result<bool> {
        self.close()?;
        while !full_files(&self.folder, &self.name)?.is_empty() {
            if stopping.load(Ordering::Relaxed) {
                return Ok(false);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(true)
    }

    fn close(&mut self) -> io::Result<()> {
        if !self.is_whole {
            self.file.write_all(b"\n")?;
            self.is_whole = true;
        }
        let full = self.folder.join(format!("{}.log.{:010}", self.name, self.number));
        self.number += 1;
        fs::rename(newest(&self.folder, &self.name), full)
    }

    fn begin(&mut self) -> io::Result<()> {
        let first = format!("timberyard buffer {:016x}\n", fastrand::u64(..));
        self.file.write_all(first.as_bytes())?;
        (self.bytes, self.is_whole) = (first.len() as u64, true);
        Ok(())
    }

    fn bytes_of_full_files(&self) -> u64 {
        let full = full_files(&self.folder, &self.name).unwrap_or_default();
        full.iter().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum()
    }
}

/// The full files of a stream, the oldest first.
pub(crate) fn full_files(folder: &Path, name: &str) -> io::Result<Vec<PathBuf>> {
    let beginning = format!("{name}.log.");
    let is_one = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str());
        file.is_some_and(|file| file.starts_with(&beginning)) && number_of(path).is_some()
    };
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut full: Vec<PathBuf> = paths.into_iter().filter(is_one).collect();
    full.sort();
    Ok(full)
}

fn number_of(path: &Path) -> Option<u64> {
    path.extension()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(folder: &Path) -> Vec<String> {
        let mut files = full_files(folder, "in").expect("read");
        files.extend(Some(newest(folder, "in")).filter(|path| path.exists()));
        let text = |path: &PathBuf| fs::read_to_string(path).expect("text");
        let lines =
            |text: String| text.split_once('\n').map(|(_, rest)| rest.to_owned()).expect("a first line");
        files.iter().map(text).map(lines).collect()
    }

    #[test]
    fn full_files_end_with_a_line_and_nothing_is_lost_between_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let running = AtomicBool::new(false);
        let mut spool = Spool::open(folder.path(), "in", 4 << 20).expect("opened");
        let text: String = (0..60_000).map(|number| format!("line {number}\n")).collect();
        for chunk in text.as_bytes().chunks(5000) {
            assert!(spool.append_stream(chunk, &running).expect("written"));
        }
        drop(spool);
        let files = texts(folder.path());
        assert!(files.len() > 1 && files.iter().all(|file| file.ends_with('\n')));
        assert_eq!(files.concat(), text);
        let mut spool = Spool::open(folder.path(), "in", 4 << 20).expect("goes on");
        assert!(spool.append_stream(b"half", &running).expect("written"));
        drop(spool);
        drop(Spool::open(folder.path(), "in", 4 << 20).expect("goes on"));
        assert_eq!(texts(folder.path()).concat(), format!("{text}half\n"));
    }

    #[test]
    fn a_full_buffer_lets_the_stream_wait_until_the_agent_stops() {
        let folder = tempfile::tempdir().expect("a folder");
        let (running, stopping) = (AtomicBool::new(false), AtomicBool::new(true));
        let mut spool = Spool::open(folder.path(), "in", 200_000).expect("opened");
        let line = [vec![b'x'; 65_535], vec![b'\n']].concat();
        for _ in 0..3 {
            assert!(spool.append_stream(&line, &running).expect("written"));
        }
        assert!(!spool.append_stream(&line, &stopping).expect("waits"));
        fs::remove_file(&full_files(folder.path(), "in").expect("read")[0]).expect("removed");
        assert!(spool.append_stream(&line, &stopping).expect("has room again"));
        assert!(!spool.finish(&stopping).expect("not sent"));
    }
}
