//! How far the agent has come, as it is written down: a JSON file that is replaced atomically.
//!
//! A log is in it before anything of the log is sent, so that its id never changes. Positions in it may be older than what the server
//! has, which answers with how far it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::fingerprint::Fingerprint;

const VERSION: u32 = 1;

/// What is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoint {
    pub(crate) timberyard_positions: u32,
    /// The name under which the server knows this agent.
    pub(crate) agent: String,
    /// A hash of the machine: a copy of the file on another machine is another agent.
    pub(crate) machine: String,
    /// Files that were written last before this time are known or left alone, in nanoseconds since 1970.
    pub(crate) seen_until_nanos: i64,
    pub(crate) logs: Vec<SavedLog>,
}

/// One log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedLog {
    pub(crate) id: u64,
    pub(crate) base: PathBuf,
    pub(crate) path: PathBuf,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) head_bytes: u16,
    pub(crate) head_hash: u64,
    /// Bytes that the server has.
    pub(crate) stored: u64,
    /// When it was last there, in nanoseconds since 1970.
    pub(crate) seen_nanos: i64,
}

impl SavedLog {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint { bytes: self.head_bytes, hash: self.head_hash }
    }
}

/// Why what is written down cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refused.
    #[error("positions file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another agent has it.
    #[error("positions file {} is in use by another agent", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("positions file {} is not one of this agent ({reason}): name another, or remove it to read all files from their start", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Checkpoint {
    /// Nothing was read yet. The agent gets a random name.
    pub(crate) fn new() -> Self {
        Self {
            timberyard_positions: VERSION,
            agent: format!("{:016x}", fastrand::u64(..)),
            machine: machine(),
            seen_until_nanos: 0,
            logs: Vec::new(),
        }
    }

    /// What was written down last; `None` when nothing was.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::Io { path: path.to_owned(), source }),
        };
        let foreign = |reason: String| CheckpointError::Foreign { path: path.to_owned(), reason };
        let mut read: Self = serde_json::from_slice(&text).map_err(|error| foreign(error.to_string()))?;
        if read.timberyard_positions != VERSION {
            return Err(foreign(format!("version {}, not {VERSION}", read.timberyard_positions)));
        }
        if read.machine != machine() {
            let new = Self::new();
            (read.agent, read.machine) = (new.agent, new.machine);
        }
        Ok(Some(read))
    }

    /// Replaces what is written down; it is durable when this returns.
    pub(crate) fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let new = path.with_extension("new");
        let write = || {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder)?;
            }
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
    }
}

/// Keeps other agents from a positions file for as long as it lives, over `kill -9` no longer.
pub(crate) struct PositionsLock(#[expect(dead_code, reason = "the lock ends with the file")] File);

impl PositionsLock {
    /// Takes a lock file beside the positions.
    pub(crate) fn take(positions: &Path) -> Result<Self, CheckpointError> {
        let io = |source: io::Error| CheckpointError::Io { path: positions.to_owned(), source };
        if let Some(folder) = positions.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let file = File::create(positions.with_extension("lock")).map_err(io)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK) => Err(CheckpointError::InUse { path: positions.to_owned() }),
            Err(error) => Err(io(error.into())),
        }
    }
}

/// A hash of what tells machines and containers apart.
fn machine() -> String {
    let id = fs::read("/etc/machine-id").unwrap_or_default();
    let name = rustix::system::uname();
    format!("{:016x}", xxh3_64(&[&id, name.nodename().to_bytes()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_agent_has_a_positions_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("positions.json");
        let lock = PositionsLock::take(&path).expect("free");
        assert!(matches!(PositionsLock::take(&path), Err(CheckpointError::InUse { .. })));
        drop(lock);
        PositionsLock::take(&path).expect("free again");
    }

    #[test]
    fn what_is_written_down_comes_back_and_what_is_foreign_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state/positions.json");
        assert!(Checkpoint::load(&path).expect("nothing there").is_none());
        let mut checkpoint = Checkpoint::new();
        checkpoint.logs.push(SavedLog {
            id: u64::MAX,
            base: "/var/log/a".into(),
            path: "/var/log/a.1".into(),
            device: 1,
            inode: 2,
            head_bytes: 3,
            head_hash: 4,
            stored: 5,
            seen_nanos: 6,
        });
        checkpoint.save(&path).expect("saved");
        checkpoint.save(&path).expect("replaced");
        let read = Checkpoint::load(&path).expect("read").expect("there");
        assert_eq!((&read.agent, read.logs[0].id, read.logs[0].stored), (&checkpoint.agent, u64::MAX, 5));
        checkpoint.machine = "another".to_owned();
        checkpoint.save(&path).expect("saved");
        assert_ne!(Checkpoint::load(&path).expect("read").expect("there").agent, checkpoint.agent);
        fs::write(&path, r#"{"/var/log/app.log": 1234}"#).expect("written");
        let error = Checkpoint::load(&path).expect_err("foreign").to_string();
        assert!(error.contains("is not one of this agent"), "{error}");
    }
}
