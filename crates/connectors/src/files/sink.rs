//! Writes rows to the files of their sessions.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use timberyard_model::sink::{Sink, SinkError, SinkFigures, SinkFuture};
use timberyard_model::{IngestRecord, LogBatch, TenantId};
use timberyard_wire::file_line;
use timberyard_wire::log_entry::LogEntry;
use tokio::sync::Notify;

use super::folder::Folder;
use super::name;
use super::packing::pack_all;
use super::settings::FilesSettings;

/// How often it is looked for files that are too old.
const TIDY_EVERY: Duration = Duration::from_secs(30);

/// The structured metadata that says which session a row belongs to.
const SESSION: &str = "session_id";

/// A folder of files as a sink.
pub struct FilesSink {
    name: String,
    files: Arc<Files>,
}

struct Files {
    settings: FilesSettings,
    rows_written: AtomicU64,
    folders: Mutex<HashMap<TenantId, Folder>>,
    /// A file became full.
    rotated: Arc<Notify>,
}

impl FilesSink {
    /// Makes the folder where it is not there, and looks after old files on the current tokio runtime for as long as
    /// the sink is there.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub fn start(name: &str, settings: FilesSettings) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{}: {error}", settings.dir.display());
        std::fs::create_dir_all(&settings.dir).map_err(failed)?;
        let probe = settings.dir.join(".timberyard");
        std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(failed)?;
        let files = Arc::new(Files {
            settings,
            rows_written: AtomicU64::new(0),
            folders: Mutex::default(),
            rotated: Arc::default(),
        });
        files.open_all().map_err(|error| format!("{}: {error}", files.settings.dir.display()))?;
        tokio::spawn(look_after(Arc::downgrade(&files), Arc::clone(&files.rotated)));
        Ok(Self { name: name.to_owned(), files })
    }
}

impl Sink for FilesSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn figures(&self) -> Option<SinkFigures> {
        let rows_written = self.files.rows_written.load(Ordering::Relaxed);
        Some(SinkFigures { rows_written, ..SinkFigures::default() })
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        let files = Arc::clone(&self.files);
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || files.write(&record.batch)).await;
            match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) if error.kind() == io::ErrorKind::StorageFull => {
                    Err(SinkError::Full(format!("files of {}: {error}", self.name)))
                }
                Ok(Err(error)) => Err(SinkError::Unavailable(format!("files of {}: {error}", self.name))),
                Err(error) => Err(SinkError::Unavailable(format!("files of {}: {error}", self.name))),
            }
        })
    }
}

impl Files {
    /// Folders that are there from before, so that their files are looked after too.
    fn open_all(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.settings.dir)? {
            let entry = entry?;
            let tenant = entry.file_name().to_str().and_then(|name| TenantId::new(name).ok());
            if let (Some(tenant), true) = (tenant, entry.file_type()?.is_dir()) {
                let folder = Folder::open(entry.path())?;
                self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, folder);
            }
        }
        Ok(())
    }

    fn write(&self, batch: &LogBatch) -> io::Result<()> {
        let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for row in batch.rows.iter() {
            let entry = LogEntry::new(row);
            file_line::write(parts.entry(name::stem(entry.field(SESSION))).or_default(), &entry);
        }
        let parts: Vec<(String, Vec<u8>)> = parts.into_iter().collect();
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if !folders.contains_key(&batch.tenant) {
            let path = self.settings.dir.join(batch.tenant.as_str());
            folders.insert(batch.tenant.clone(), Folder::open(path)?);
        }
        match folders.get_mut(&batch.tenant) {
            Some(folder) => {
                if folder.append(&parts, &self.settings)? {
                    self.rotated.notify_one();
                }
            }
            None => return Err(io::Error::other("it was opened just now")),
        }
        self.rows_written.fetch_add(batch.rows.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn tidy(&self) {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        for (tenant, folder) in folders.iter_mut() {
            if let Err(error) = folder.tidy(&self.settings, SystemTime::now()) {
                tracing::warn!(%tenant, %error, "old files of logs are not taken away");
            }
        }
    }

    /// Compresses what is full. Nobody who writes or tidies waits for it.
    fn pack(&self) {
        let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let paths: Vec<PathBuf> = folders.values().map(|folder| folder.path().to_owned()).collect();
        drop(folders);
        for path in paths {
            if let Err(error) = pack_all(&path, self.settings.compression) {
                tracing::warn!(folder = %path.display(), %error, "full files of logs are not compressed");
            }
        }
    }
}

/// Takes old files away now and then, and compresses full ones as they come, one after the other.
async fn look_after(files: Weak<Files>, rotated: Arc<Notify>) {
    let mut ticks = tokio::time::interval(TIDY_EVERY);
    loop {
        let is_time = tokio::select! {
            _ = ticks.tick() => true,
            () = rotated.notified() => false,
        };
        let Some(files) = files.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || {
            if is_time {
                files.tidy();
            }
            files.pack();
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "looking after files of logs ended badly");
            return;
        }
    }
}
