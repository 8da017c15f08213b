//! Keys that are kept in memory only, for servers without a data directory: tests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::key_book::KeyError;
use super::key_ring::{FileStamp, KeyChange, KeyFile};
use super::stored_key::{KeyUse, StoredKey};

/// A key file that is no file.
#[derive(Default)]
pub struct MemoryKeyFile(Mutex<(Vec<StoredKey>, u64)>);

impl KeyFile for MemoryKeyFile {
    fn read(&self) -> Result<Vec<StoredKey>, KeyError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone())
    }

    fn change(&self, change: &mut KeyChange<'_>) -> Result<Vec<StoredKey>, KeyError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = held.0.clone();
        change(&mut keys)?;
        *held = (keys.clone(), held.1 + 1);
        Ok(keys)
    }

    fn stamp(&self) -> Option<FileStamp> {
        Some((self.0.lock().unwrap_or_else(PoisonError::into_inner).1, 0, 0))
    }

    fn read_use(&self) -> Result<HashMap<Box<str>, KeyUse>, KeyError> {
        Ok(HashMap::new())
    }

    fn write_use(&self, _uses: &HashMap<Box<str>, KeyUse>) -> Result<(), KeyError> {
        Ok(())
    }
}
