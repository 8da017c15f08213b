//! The folder of one tenant: appends to the files of sessions, makes full ones of them, and takes old ones away.
//!
//! A batch is in its files as a whole or not at all, as far as the disk allows: what fails half-way is cut off again.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::name::{self, FileKind};
use super::settings::{FilesSettings, SyncPolicy};

/// Files that are kept open; past that, the one that was written to longest ago is closed.
const OPEN_FILES_MAX: usize = 128;
/// How far back the end of a line is looked for in a file that a kill left half written, at a time.
const TAIL_BYTES: u64 = 64 << 10;

/// The files of a tenant.
pub(super) struct Folder {
    path: PathBuf,
    open: HashMap<String, OpenFile>,
    /// Counts writes, to know which file was written to longest ago.
    clock: u64,
}

struct OpenFile {
    file: File,
    bytes: u64,
    since: SystemTime,
    used: u64,
}

impl Folder {
    /// Makes the folder where it is not there.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self { path, open: HashMap::new(), clock: 0 })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds lines to files, all or none: pairs of a file's stem and whole lines. Says whether a file became full.
    pub(super) fn append(
        &mut self,
        parts: &[(String, Vec<u8>)],
        settings: &FilesSettings,
    ) -> io::Result<bool> {
        let mut written: Vec<(&str, u64)> = Vec::with_capacity(parts.len());
        for (stem, lines) in parts {
            if let Err(error) = self.append_one(stem, lines, settings.sync) {
                for (stem, bytes) in written {
                    self.cut(stem, bytes);
                }
                return Err(error);
            }
            let bytes = self.open.get(stem).map_or(0, |file| file.bytes);
            written.push((stem, bytes.saturating_sub(lines.len() as u64)));
        }
        let mut is_any_full = false;
        for (stem, _) in parts {
            if !self.open.get(stem).is_some_and(|file| is_full(file, settings)) {
                continue;
            }
            match self.rotate(stem) {
                Ok(()) => is_any_full = true,
                // The lines are there; the file grows on and is tried again.
                Err(error) => {
                    tracing::warn!(folder = %self.path.display(), stem, %error, "cannot begin another file");
                }
            }
        }
        Ok(is_any_full)
    }

    fn append_one(&mut self, stem: &str, lines: &[u8], sync: SyncPolicy) -> io::Result<()> {
        self.clock += 1;
        let used = self.clock;
        let file = self.opened(stem)?;
        file.used = used;
        let before = file.bytes;
        let mut written = file.file.write_all(lines);
        if written.is_ok() && sync == SyncPolicy::Always {
            written = file.file.sync_data();
        }
        match written {
            Ok(()) => file.bytes += lines.len() as u64,
            Err(_) => self.cut(stem, before),
        }
        written
    }

    /// Takes back what was written last.
    fn cut(&mut self, stem: &str, bytes: u64) {
        if let Some(file) = self.open.get_mut(stem) {
            if let Err(error) = file.file.set_len(bytes) {
                tracing::error!(folder = %self.path.display(), stem, %error, "cannot take back half a batch");
                self.open.remove(stem);
                return;
            }
            file.bytes = bytes;
        }
    }

    fn opened(&mut self, stem: &str) -> io::Result<&mut OpenFile> {
        if !self.open.contains_key(stem) {
            if self.open.len() >= OPEN_FILES_MAX {
                let oldest = self.open.iter().min_by_key(|(_, file)| file.used).map(|(stem, _)| stem.clone());
                oldest.and_then(|stem| self.open.remove(&stem));
            }
            let file = open_whole(&self.path.join(format!("{stem}{}", name::OPEN_SUFFIX)))?;
            self.open.insert(stem.to_owned(), file);
        }
        self.open.get_mut(stem).ok_or_else(|| io::Error::other("it was opened just now"))
    }

    /// Makes a full file of the one that is written to.
    fn rotate(&mut self, stem: &str) -> io::Result<()> {
        let Some(open) = self.open.remove(stem) else { return Ok(()) };
        open.file.sync_data()?;
        let numbers = files_in(&self.path)?.into_iter().filter_map(|file| match file.kind {
            FileKind::Full(number, _) if file.stem == stem => Some(number),
            _ => None,
        });
        let number = numbers.max().unwrap_or(0) + 1;
        let full = self.path.join(name::full(stem, number));
        fs::rename(self.path.join(format!("{stem}{}", name::OPEN_SUFFIX)), &full)
    }

    /// Makes full files of those that are too old, and takes away what is kept no longer.
    pub(super) fn tidy(&mut self, settings: &FilesSettings, now: SystemTime) -> io::Result<()> {
        let old: Vec<String> = self
            .open
            .iter()
            .filter(|(_, file)| is_full(file, settings))
            .map(|(stem, _)| stem.clone())
            .collect();
        for stem in old {
            self.rotate(&stem)?;
        }
        let mut files = files_in(&self.path)?;
        if settings.kept_seconds.0 > 0 {
            let kept = settings.kept_seconds.duration();
            let is_over = |file: &FoundFile| now.duration_since(file.modified).is_ok_and(|age| age > kept);
            for file in files.iter().filter(|file| is_over(file)) {
                self.open.remove(&file.stem);
                fs::remove_file(&file.path)?;
            }
            files.retain(|file| !is_over(file));
        }
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        files.retain(|file| file.kind != FileKind::Open);
        files.sort_by_key(|file| file.modified);
        for file in files {
            if settings.bytes_max.0 == 0 || bytes <= settings.bytes_max.0 {
                break;
            }
            fs::remove_file(&file.path)?;
            bytes -= file.bytes;
        }
        Ok(())
    }
}

fn is_full(file: &OpenFile, settings: &FilesSettings) -> bool {
    let age_max = settings.file_seconds_max.duration();
    let too_old = age_max > Duration::ZERO
        && SystemTime::now().duration_since(file.since).is_ok_and(|age| age >= age_max);
    file.bytes >= settings.file_bytes_max.0 || (too_old && file.bytes > 0)
}

/// Opens a file for adding to it; half a line at its end is cut off.
fn open_whole(path: &Path) -> io::Result<OpenFile> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let metadata = file.metadata()?;
    let bytes = end_of_last_line(&mut file, metadata.len())?;
    if bytes < metadata.len() {
        tracing::warn!(path = %path.display(), "half a line at the end of a file was cut off");
        file.set_len(bytes)?;
    }
    let since = if bytes == 0 { SystemTime::now() } else { metadata.created().or(metadata.modified())? };
    Ok(OpenFile { file, bytes, since, used: 0 })
}

fn end_of_last_line(file: &mut File, bytes: u64) -> io::Result<u64> {
    let mut end = bytes;
    let mut chunk = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(from))?;
        chunk.clear();
        Read::by_ref(file).take(end - from).read_to_end(&mut chunk)?;
        if let Some(newline) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + newline as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// A file of the folder.
pub(super) struct FoundFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Whose it is.
    pub(super) stem: String,
    /// What it is.
    pub(super) kind: FileKind,
    /// Its bytes on disk.
    pub(super) bytes: u64,
    /// When its last line was written.
    pub(super) modified: SystemTime,
}

/// The files of a tenant, in no order; none where there is no folder.
pub(super) fn files_in(folder: &Path) -> io::Result<Vec<FoundFile>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some((stem, kind)) = name.to_str().and_then(name::parse) else { continue };
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // It was compressed or taken away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        files.push(FoundFile {
            path: entry.path(),
            stem: stem.to_owned(),
            kind,
            bytes: metadata.len(),
            modified: metadata.modified()?,
        });
    }
    Ok(files)
}
