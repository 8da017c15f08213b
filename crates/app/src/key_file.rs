//! Stored keys on disk: `api-keys` and `api-key-use` in the data directory. docs/format/api-keys.md draws both.
//!
//! Each file is a line that names its format, then one record a line with its checksum; it is replaced as a whole, so
//! that a crash leaves the old one or the new one. A line that is damaged is left out and reported, and its key is not
//! good any more: what cannot be read lets nobody in. Two processes change the files one after the other, by a lock.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use timberyard_server::auth::{KeyChange, KeyError, KeyStamp, KeyStore, KeyUse, Secret, StoredKey};
use xxhash_rust::xxh3::xxh3_64;

use crate::key_text_folder::KeyTextFolder;
use crate::whole_file;

/// The files' names in the data directory.
const KEYS: &str = "api-keys";
const USE: &str = "api-key-use";
const LOCK: &str = "api-keys.lock";
/// The first lines of the files. Version 1 of the keys had no rotation by interval.
const KEYS_HEADER: Header = Header { words: "timberyard api-keys", version: 2 };
const USE_HEADER: Header = Header { words: "timberyard api-key-use", version: 1 };
/// A digit short of the checksum and the space behind it.
const CHECKSUM_CHARACTERS: usize = 16;

/// The files of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct DirectoryKeyFile {
    directory: PathBuf,
    texts: Option<KeyTextFolder>,
}

/// What a file begins with: the name of its format, and the newest version that is known.
#[derive(Clone, Copy, Debug)]
struct Header {
    words: &'static str,
    version: u64,
}

/// A record of `api-key-use`.
#[derive(Serialize, Deserialize)]
struct UseRecord {
    id: Box<str>,
    #[serde(flatten)]
    used: KeyUse,
}

impl DirectoryKeyFile {
    /// The files in this data directory; they need not be there.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { directory: data_dir.to_owned(), texts: None }
    }

    /// The same with the folder where keys that are rotated by interval are handed over.
    pub(crate) fn with_texts(self, texts: Option<KeyTextFolder>) -> Self {
        Self { texts, ..self }
    }

    /// Whether there have ever been keys here: a server with a file of keys asks for them, whatever is left in it.
    pub(crate) fn exists(&self) -> bool {
        self.path(KEYS).exists()
    }

    /// Copies the keys beside a copy of the store, so that a server on the copy asks for them too.
    pub(crate) fn copy_to(&self, data_dir: &Path) -> io::Result<()> {
        [KEYS, USE].iter().try_for_each(|name| whole_file::copy(&self.path(name), &data_dir.join(name)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Held until it is dropped.
    fn lock(&self) -> Result<File, KeyError> {
        fs::create_dir_all(&self.directory).map_err(|error| failed(&self.directory, &error))?;
        let path = self.path(LOCK);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = file.map_err(|error| failed(&path, &error))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(&path, &error.into()))?;
        Ok(file)
    }

    /// The records of a file, and how many of its lines are damaged.
    fn read_lines<T: DeserializeOwned>(
        &self,
        name: &str,
        header: Header,
    ) -> Result<(Vec<T>, usize), KeyError> {
        let path = self.path(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
            Err(error) => return Err(failed(&path, &error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let found = lines.next().unwrap_or("");
        // A later format is not guessed at; a damaged first line changes nothing about the others.
        let version = header.version_in(found);
        if let Some(version) = version.filter(|version| *version > header.version) {
            let reason = format!("{}: format {version} is newer than this program", path.display());
            return Err(KeyError::File(reason));
        }
        let mut damaged = usize::from(version.is_none());
        let mut records = Vec::new();
        for (number, line) in lines.enumerate() {
            match record(line) {
                Some(record) => records.push(record),
                None => {
                    damaged += 1;
                    let line = number + 2;
                    tracing::error!(path = %path.display(), line, "a line is damaged and left out; its key is not good any more");
                }
            }
        }
        Ok((records, damaged))
    }

    /// Replaces a file, durably.
    fn write_lines<T: Serialize>(
        &self,
        name: &str,
        header: Header,
        records: impl Iterator<Item = T>,
    ) -> Result<(), KeyError> {
        let path = self.path(name);
        let mut text = format!("{} {}\n", header.words, header.version);
        for record in records {
            let json = serde_json::to_string(&record).map_err(|error| KeyError::File(error.to_string()))?;
            text.push_str(&format!("{:016x} {json}\n", xxh3_64(json.as_bytes())));
        }
        whole_file::replace(&path, text.as_bytes()).map_err(|error| failed(&path, &error))
    }
}

impl Header {
    /// The version that a first line names, if it is one of this format.
    fn version_in(self, line: &str) -> Option<u64> {
        line.strip_prefix(self.words)?.strip_prefix(' ')?.parse().ok().filter(|version| *version > 0)
    }
}

impl KeyStore for DirectoryKeyFile {
    fn read(&self) -> Result<Vec<StoredKey>, KeyError> {
        self.read_lines(KEYS, KEYS_HEADER).map(|(keys, _)| keys)
    }

    fn change(&self, change: &mut KeyChange<'_>) -> Result<Vec<StoredKey>, KeyError> {
        let _lock = self.lock()?;
        let (mut keys, damaged) = self.read_lines(KEYS, KEYS_HEADER)?;
        change(&mut keys)?;
        if damaged > 0 {
            // What is left out of the new file is kept for whoever looks into it.
            let (path, aside) = (self.path(KEYS), self.path("api-keys.damaged"));
            fs::copy(&path, &aside).map_err(|error| failed(&aside, &error))?;
        }
        self.write_lines(KEYS, KEYS_HEADER, keys.iter())?;
        Ok(keys)
    }

    fn stamp(&self) -> Result<Option<KeyStamp>, KeyError> {
        let Ok(metadata) = fs::metadata(self.path(KEYS)) else { return Ok(None) };
        let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Ok(Some((metadata.ino(), metadata.len(), modified)))
    }

    fn prepare_text(&self, name: &str, text: &Secret) -> Result<(), KeyError> {
        KeyTextFolder::prepare_in(self.texts.as_ref(), name, text)
    }

    fn publish_text(&self, name: &str) -> Result<(), KeyError> {
        KeyTextFolder::publish_in(self.texts.as_ref(), name)
    }

    fn prepared_text(&self, name: &str) -> Option<Secret> {
        self.texts.as_ref()?.prepared(name)
    }

    fn read_use(&self) -> Result<HashMap<Box<str>, KeyUse>, KeyError> {
        let (records, _) = self.read_lines::<UseRecord>(USE, USE_HEADER)?;
        Ok(records.into_iter().map(|record| (record.id, record.used)).collect())
    }

    fn write_use(&self, uses: &HashMap<Box<str>, KeyUse>) -> Result<(), KeyError> {
        let _lock = self.lock()?;
        let mut uses: Vec<(&Box<str>, &KeyUse)> = uses.iter().collect();
        uses.sort_by_key(|(id, _)| *id);
        let records = uses.into_iter().map(|(id, used)| UseRecord { id: id.clone(), used: *used });
        self.write_lines(USE, USE_HEADER, records)
    }
}

/// The record of a line, if its checksum is right.
fn record<T: DeserializeOwned>(line: &str) -> Option<T> {
    let (checksum, json) = line.split_at_checked(CHECKSUM_CHARACTERS)?;
    let json = json.strip_prefix(' ')?;
    let is_whole = u64::from_str_radix(checksum, 16).ok()? == xxh3_64(json.as_bytes());
    if is_whole { serde_json::from_str(json).ok() } else { None }
}

fn failed(path: &Path, error: &io::Error) -> KeyError {
    KeyError::File(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use timberyard_model::Timestamp;
    use timberyard_server::auth::{KeyRing, NewKey, Rotation, RotationRequest, Scopes, TenantAccess};

    use super::*;

    fn ring(directory: &Path) -> KeyRing {
        KeyRing::open(Box::new(DirectoryKeyFile::new(directory)), None).expect("opened")
    }

    fn key(name: &str) -> NewKey {
        NewKey {
            name: name.to_owned(),
            tenants: TenantAccess::Any,
            scopes: Scopes::PUSH_AND_READ,
            labels: None,
            lifetime_seconds: None,
            rotation: None,
            created_by: "test".to_owned(),
        }
    }

    #[test]
    fn keys_survive_and_another_process_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let (server, tool) = (ring(&data), ring(&data));
        let now = Timestamp::from_nanos(0);
        let (made, text) = tool.create(&key("web"), now).expect("created");
        assert!(server.is_empty());
        assert!(server.reload().expect("read") && !server.is_empty());
        assert!(!server.reload().expect("read"), "nothing is new");
        server.create(&key("api"), now).expect("created");
        tool.revoke("web", now).expect("revoked");
        let names: Vec<_> =
            ring(&data).list().iter().map(|(key, _)| (key.name.clone(), key.is_active(now))).collect();
        assert_eq!(names.len(), 2);
        assert!(names.contains(&("web".into(), false)) && names.contains(&("api".into(), true)));
        let written = fs::read_to_string(data.join(KEYS)).expect("there");
        assert!(written.contains(&*made.id) && !written.contains(text.text.reveal()));
        assert_eq!(fs::metadata(data.join(KEYS)).expect("there").mode() & 0o777, 0o600);
    }

    #[test]
    fn every_damaged_byte_costs_one_key_at_most_and_lets_nobody_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let original = ring(folder.path());
        let now = Timestamp::from_nanos(0);
        for name in ["one", "two", "three"] {
            original.create(&key(name), now).expect("created");
        }
        original.revoke("two", now).expect("revoked");
        let path = folder.path().join(KEYS);
        let bytes = fs::read(&path).expect("there");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).expect("written");
            let keys = DirectoryKeyFile::new(folder.path()).read();
            let Ok(keys) = keys else {
                assert!(
                    at <= KEYS_HEADER.words.len() + 1,
                    "only a newer format is refused as a whole, not byte {at}"
                );
                continue;
            };
            // A damaged end of a line joins two.
            assert!(!keys.is_empty(), "byte {at} cost {} keys", 3 - keys.len());
            assert!(keys.iter().all(|key| &*key.name != "two" || !key.is_active(now)), "byte {at}");
        }
    }

    #[test]
    fn keys_that_the_first_version_wrote_are_good_and_are_kept_in_the_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(KEYS);
        fs::write(&path, include_bytes!("../tests/fixtures/api-keys-1")).expect("written");
        let keys = ring(folder.path());
        let names: Vec<_> = keys.list().iter().map(|(key, _)| key.name.clone()).collect();
        assert_eq!(names, ["web".into(), "web".into(), "gone".into()]);
        assert!(keys.list().iter().all(|(key, _)| key.rotation.is_none()));
        keys.create(&key("new"), Timestamp::from_nanos(0)).expect("created");
        let written = fs::read_to_string(&path).expect("there");
        assert!(written.starts_with("timberyard api-keys 2\n") && written.lines().count() == 5, "{written}");
        fs::write(&path, written.replacen('2', "3", 1)).expect("written");
        let newer = KeyRing::open(Box::new(DirectoryKeyFile::new(folder.path())), None).map(|_| ());
        assert!(newer.expect_err("newer").to_string().contains("format 3 is newer"));
    }

    fn rotating(folder: &Path) -> DirectoryKeyFile {
        DirectoryKeyFile::new(&folder.join("data"))
            .with_texts(Some(KeyTextFolder::new(&folder.join("texts"))))
    }

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_key_that_is_rotated_by_interval_is_handed_over_in_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = KeyRing::open(Box::new(rotating(folder.path())), None).expect("opened");
        let rotation = Some(Rotation::new(3600, Some(600)).expect("valid"));
        let handed_over = || fs::read_to_string(folder.path().join("texts/web")).expect("handed over");
        let (_, first) = keys.create(&NewKey { rotation, ..key("web") }, after(0)).expect("created");
        assert_eq!(handed_over(), first.text.reveal());
        assert!(keys.rotate_due(after(3599)).is_empty());
        let rotated = keys.rotate_due(after(3600));
        assert!(matches!(&rotated[..], [Ok(new)] if new.rotated_from.as_deref() == Some(&first.id)));
        let second = handed_over();
        assert_ne!(second, first.text.reveal());
        assert!(keys.rotate_due(after(3600)).is_empty(), "once");
        let active = |at| keys.list().iter().filter(|(key, _)| key.is_active(after(at))).count();
        assert_eq!((active(4199), active(4200)), (2, 1));
        // A name without a file, and no folder.
        assert!(keys.create(&NewKey { rotation, ..key("a/b") }, after(0)).is_err());
        let without = ring(&folder.path().join("data"));
        assert_eq!(
            without.create(&NewKey { rotation, ..key("api") }, after(0)).map(|_| ()),
            Err(KeyError::NoPlaceForTexts)
        );
        let failed = without.rotate_due(after(8000));
        assert!(matches!(&failed[..], [Err((name, KeyError::NoPlaceForTexts))] if **name == *"web"));
        assert_eq!(active(8000), 1, "what cannot be handed over is not rotated");
    }

    #[test]
    fn a_crash_in_the_middle_of_a_rotation_leaves_a_good_key_in_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let rotation = Some(Rotation::new(3600, Some(600)).expect("valid"));
        let open = || KeyRing::open(Box::new(rotating(folder.path())), None).expect("opened");
        let keys = open();
        keys.create(&NewKey { rotation, ..key("web") }, after(0)).expect("created");
        let place = folder.path().join("texts/web");
        let first = fs::read(&place).expect("handed over");
        // Before the key is good: the text of a key that never was is not taken.
        fs::write(folder.path().join("texts/.web.next"), "tby_0000000000000000_x").expect("written");
        assert!(open().rotate_due(after(1)).is_empty());
        assert_eq!(fs::read(&place).expect("there"), first);
        // After it: the text is put in its place by whoever starts next.
        let (_, second) = keys.rotate("web", RotationRequest::default(), after(2)).expect("rotated");
        fs::rename(&place, folder.path().join("texts/.web.next")).expect("as before the renaming");
        fs::write(&place, &first).expect("as before the renaming");
        assert!(open().rotate_due(after(3)).is_empty());
        assert_eq!(fs::read_to_string(&place).expect("there"), second.text.reveal());
    }

    #[test]
    fn use_is_written_down_and_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = DirectoryKeyFile::new(folder.path());
        assert!(file.read_use().expect("absent is empty").is_empty());
        let used = KeyUse { usage_count: 7, last_used_at: Some(Timestamp::from_nanos(1)) };
        file.write_use(&HashMap::from([("id".into(), used)])).expect("written");
        assert_eq!(file.read_use().expect("read")["id"], used);
    }
}
