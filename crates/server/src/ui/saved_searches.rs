//! Searches that people keep on the server, by tenant: a name, and the place of the page it stands for.
//!
//! All of them are in memory and in one small file, which is replaced as a whole before a change counts. Bounded: by number,
//! by tenant and in all, and by the lengths of names and places.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use timberyard_model::{TenantId, Timestamp};

use crate::auth::entropy;

/// The most searches of a tenant.
pub const TENANT_SEARCHES_MAX: usize = 500;
/// The most searches of all tenants.
pub const SEARCHES_MAX: usize = 20_000;
/// The longest name, in characters.
pub const NAME_CHARACTERS_MAX: usize = 120;
/// The longest place, in bytes.
pub const PLACE_BYTES_MAX: usize = 8192;
/// The version of the file that is written, and the newest that is read.
const VERSION: u32 = 1;

/// Where the searches are kept; `app` implements it.
pub trait SavedSearchFile: Send + Sync {
    /// What was written last; `None` when nothing ever was.
    fn read(&self) -> io::Result<Option<Vec<u8>>>;
    /// Puts this in place of what is there, durably; a crash leaves the one or the other.
    fn replace(&self, bytes: &[u8]) -> io::Result<()>;
}

/// A search that was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSearch {
    /// Names it in requests.
    pub id: String,
    /// As its owner calls it.
    pub name: String,
    /// The fragment of the page's address, such as `/explore?query=…`.
    pub place: String,
    /// When it was saved, RFC 3339.
    pub created_at: String,
    /// Whose key it was; nobody's without authentication.
    pub created_by: Option<String>,
}

/// The file as it is written: docs/format/saved-searches.md.
#[derive(Default, Serialize, Deserialize)]
struct Written {
    version: u32,
    tenants: BTreeMap<String, Vec<SavedSearch>>,
}

/// Why a search is not kept, or the searches cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SavedSearchError {
    /// A name of another length.
    #[error("name must have 1 to {NAME_CHARACTERS_MAX} characters")]
    BadName,
    /// Not a place of the page.
    #[error("place must begin with `/` and have at most {PLACE_BYTES_MAX} bytes")]
    BadPlace,
    /// The tenant has as many as it may.
    #[error("{TENANT_SEARCHES_MAX} searches are saved for this tenant, the limit; remove one first")]
    TooMany,
    /// All tenants together have as many as they may.
    #[error("{SEARCHES_MAX} searches are saved on this server, the limit; remove one first")]
    Full,
    /// There is none of that id, or it is somebody else's.
    #[error("no saved search `{0}`")]
    NotFound(String),
    /// The system gives no random numbers.
    #[error("the system has no randomness for an id")]
    NoRandomness,
    /// The file holds something else.
    #[error("saved searches cannot be read: {0}")]
    Damaged(String),
    /// The file cannot be read or written.
    #[error("saved searches: {0}")]
    File(#[from] io::Error),
}

/// The searches of all tenants.
pub struct SavedSearches {
    file: Box<dyn SavedSearchFile>,
    held: Mutex<BTreeMap<String, Vec<SavedSearch>>>,
}

impl SavedSearches {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else; nothing is overwritten then.
    pub fn open(file: Box<dyn SavedSearchFile>) -> Result<Self, SavedSearchError> {
        let written = match file.read()? {
            Some(bytes) => serde_json::from_slice::<Written>(&bytes)
                .map_err(|error| SavedSearchError::Damaged(error.to_string()))?,
            None => Written { version: VERSION, ..Written::default() },
        };
        if written.version != VERSION {
            let message = format!("version {} is not {VERSION}", written.version);
            return Err(SavedSearchError::Damaged(message));
        }
        Ok(Self { file, held: Mutex::new(written.tenants) })
    }

    /// Those of a tenant, the newest first.
    pub fn list(&self, tenant: &TenantId) -> Vec<SavedSearch> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(tenant.as_str()).map(|searches| searches.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// Keeps one. Blocks on the disk.
    pub fn add(
        &self,
        tenant: &TenantId,
        name: &str,
        place: &str,
        created_by: Option<&str>,
        now: Timestamp,
    ) -> Result<SavedSearch, SavedSearchError> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARACTERS_MAX {
            return Err(SavedSearchError::BadName);
        }
        if !place.starts_with('/') || place.len() > PLACE_BYTES_MAX {
            return Err(SavedSearchError::BadPlace);
        }
        let random = entropy().map_err(|_| SavedSearchError::NoRandomness)?;
        let search = SavedSearch {
            id: random.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
            name: name.to_owned(),
            place: place.to_owned(),
            created_at: now.to_string(),
            created_by: created_by.map(str::to_owned),
        };
        let added = search.clone();
        self.change(|held| {
            if held.values().map(Vec::len).sum::<usize>() >= SEARCHES_MAX {
                return Err(SavedSearchError::Full);
            }
            let own = held.entry(tenant.as_str().to_owned()).or_default();
            if own.len() >= TENANT_SEARCHES_MAX {
                return Err(SavedSearchError::TooMany);
            }
            own.push(added);
            Ok(())
        })?;
        Ok(search)
    }

    /// Forgets one that `may` lets one forget. Blocks on the disk.
    pub fn remove(
        &self,
        tenant: &TenantId,
        id: &str,
        may: impl Fn(&SavedSearch) -> bool,
    ) -> Result<(), SavedSearchError> {
        self.change(|held| {
            let own = held.get_mut(tenant.as_str());
            let own = own.ok_or_else(|| SavedSearchError::NotFound(id.to_owned()))?;
            let before = own.len();
            own.retain(|search| search.id != id || !may(search));
            match own.len() < before {
                true => Ok(()),
                false => Err(SavedSearchError::NotFound(id.to_owned())),
            }
        })
    }

    /// A change counts once the file has it.
    fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Vec<SavedSearch>>) -> Result<(), SavedSearchError>,
    ) -> Result<(), SavedSearchError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tenants = held.clone();
        change(&mut tenants)?;
        let written = Written { version: VERSION, tenants };
        let bytes = serde_json::to_vec(&written).map_err(io::Error::from)?;
        self.file.replace(&bytes)?;
        *held = written.tenants;
        Ok(())
    }
}

/// A file that is none, for servers without a data directory: tests.
#[derive(Default)]
pub struct MemorySavedSearchFile(Mutex<Option<Vec<u8>>>);

impl SavedSearchFile for MemorySavedSearchFile {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("a tenant")
    }

    fn searches() -> SavedSearches {
        SavedSearches::open(Box::new(MemorySavedSearchFile::default())).expect("empty")
    }

    #[test]
    fn a_search_is_its_tenants_alone_until_it_is_removed() {
        let searches = searches();
        let now = Timestamp::from_nanos(0);
        let saved = searches.add(&tenant("acme"), " errors ", "/explore?query=x", Some("ann"), now);
        let saved = saved.expect("kept");
        assert_eq!(saved.name, "errors");
        assert_eq!(searches.list(&tenant("acme")), std::slice::from_ref(&saved));
        assert!(searches.list(&tenant("bravo")).is_empty());
        let of_others = searches.remove(&tenant("acme"), &saved.id, |_| false);
        assert!(matches!(of_others, Err(SavedSearchError::NotFound(_))));
        searches.remove(&tenant("acme"), &saved.id, |_| true).expect("removed");
        assert!(searches.list(&tenant("acme")).is_empty());
    }

    #[test]
    fn names_places_and_numbers_have_limits() {
        let searches = searches();
        let add =
            |name: &str, place: &str| searches.add(&tenant("t"), name, place, None, Timestamp::from_nanos(0));
        assert!(matches!(add(" ", "/x"), Err(SavedSearchError::BadName)));
        assert!(matches!(add(&"n".repeat(121), "/x"), Err(SavedSearchError::BadName)));
        assert!(matches!(add("n", "javascript:x"), Err(SavedSearchError::BadPlace)));
        assert!(matches!(add("n", &format!("/{}", "x".repeat(8192))), Err(SavedSearchError::BadPlace)));
        for _ in 0..TENANT_SEARCHES_MAX {
            add("n", "/x").expect("there is room");
        }
        assert!(matches!(add("n", "/x"), Err(SavedSearchError::TooMany)));
    }

    #[test]
    fn a_file_of_another_version_is_refused_and_left() {
        let file = MemorySavedSearchFile::default();
        file.replace(br#"{"version":2,"tenants":{}}"#).expect("in memory");
        assert!(matches!(SavedSearches::open(Box::new(file)), Err(SavedSearchError::Damaged(_))));
    }

    #[test]
    fn a_file_of_version_1_is_read() {
        let file = MemorySavedSearchFile::default();
        let written = br#"{"version":1,"tenants":{"acme":[{"id":"00ff","name":"errors","place":"/explore?query=x","created_at":"2026-11-21T18:00:00Z","created_by":"ann"}]}}"#;
        file.replace(written).expect("in memory");
        let searches = SavedSearches::open(Box::new(file)).expect("read");
        assert_eq!(searches.list(&tenant("acme"))[0].name, "errors");
    }
}
