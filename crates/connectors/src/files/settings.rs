//! What is written about files of logs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::quantity::{ByteSize, Seconds};

/// The least size at which a file may be full.
const FILE_BYTES_MIN: u64 = 4096;

/// Files of logs in a folder: one for each session, and one for what has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesSettings {
    /// The folder; a folder of it is a tenant's.
    pub dir: PathBuf,
    /// The size at which a file is full and another begins, uncompressed.
    pub file_bytes_max: ByteSize,
    /// The age at which a file is full, from its first line on; 0 is never.
    pub file_seconds_max: Seconds,
    /// What becomes of full files.
    pub compression: FileCompression,
    /// How long a file is kept after its last line; 0 is for ever.
    pub kept_seconds: Seconds,
    /// The most that all files may take; the oldest full ones go first; 0 is no bound.
    pub bytes_max: ByteSize,
    /// When lines are on the disk and not only with the system.
    pub sync: SyncPolicy,
}

/// How full files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileCompression {
    /// As they are.
    None,
    /// As `.gz`.
    Gzip,
    /// As `.zst`.
    Zstd,
}

/// When lines are made to outlive a cut of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncPolicy {
    /// Before each batch is done.
    Always,
    /// When a file is full, and otherwise when the system likes to. Lines outlive the end of the process all the same.
    OnRotation,
}

impl Default for FilesSettings {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            file_bytes_max: ByteSize(64 << 20),
            file_seconds_max: Seconds(86_400),
            compression: FileCompression::Gzip,
            kept_seconds: Seconds(0),
            bytes_max: ByteSize(0),
            sync: SyncPolicy::Always,
        }
    }
}

impl FilesSettings {
    /// Whether they go together.
    ///
    /// # Errors
    /// Which does not, and why.
    pub fn check(&self) -> Result<(), String> {
        if self.dir.as_os_str().is_empty() {
            return Err("dir: is missing: the folder to write to".to_owned());
        }
        if self.file_bytes_max.0 < FILE_BYTES_MIN {
            return Err(format!(
                "file_bytes_max: is {}, must be at least {FILE_BYTES_MIN}",
                self.file_bytes_max.0
            ));
        }
        Ok(())
    }
}
