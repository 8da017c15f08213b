//! Keys that are kept in memory only, for servers without a data directory: tests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Secret;
use super::key_book::KeyError;
use super::key_ring::{KeyChange, KeyStamp, KeyStore};
use super::stored_key::{KeyUse, StoredKey};

/// A key file that is no file.
#[derive(Default)]
pub struct MemoryKeyFile(Mutex<Held>);

#[derive(Default)]
struct Held {
    keys: Vec<StoredKey>,
    changes: u64,
    prepared: HashMap<String, Secret>,
}

impl MemoryKeyFile {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for MemoryKeyFile {
    fn read(&self) -> Result<Vec<StoredKey>, KeyError> {
        Ok(self.held().keys.clone())
    }

    fn change(&self, change: &mut KeyChange<'_>) -> Result<Vec<StoredKey>, KeyError> {
        let mut keys = self.held().keys.clone();
        change(&mut keys)?;
        let mut held = self.held();
        held.keys.clone_from(&keys);
        held.changes += 1;
        Ok(keys)
    }

    fn stamp(&self) -> Result<Option<KeyStamp>, KeyError> {
        Ok(Some((self.held().changes, 0, 0)))
    }

    fn read_use(&self) -> Result<HashMap<Box<str>, KeyUse>, KeyError> {
        Ok(HashMap::new())
    }

    fn prepare_text(&self, name: &str, text: &Secret) -> Result<(), KeyError> {
        self.held().prepared.insert(name.to_owned(), text.clone());
        Ok(())
    }

    fn publish_text(&self, name: &str) -> Result<(), KeyError> {
        self.held().prepared.remove(name);
        Ok(())
    }

    fn prepared_text(&self, name: &str) -> Option<Secret> {
        self.held().prepared.get(name).cloned()
    }

    fn write_use(&self, _uses: &HashMap<Box<str>, KeyUse>) -> Result<(), KeyError> {
        Ok(())
    }
}
