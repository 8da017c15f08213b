//! The stored keys of a running server: found by their id, compared in constant time, counted without a lock.
//!
//! The file is the truth; what is here is what it said last. A request touches memory only: use is counted in atomics
//! and written behind by [`KeyRing::write_use`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use timberyard_model::Timestamp;

use super::Secret;
use super::authenticator::KeyHolder;
use super::key_book::{self, KeyError, NewKey, RotationRequest};
use super::key_material::{KeyEntropy, KeyText, entropy};
use super::stored_key::{KeyUse, StoredKey};

/// Keys that are asked for every second and were not told for so long are those of a store that is away.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// What tells one state of what is kept from another.
pub type KeyStamp = (u64, u64, i128);

/// How a list of keys is changed. An error leaves the file as it is.
pub type KeyChange<'a> = dyn FnMut(&mut Vec<StoredKey>) -> Result<(), KeyError> + 'a;

/// Where keys are kept. Everything blocks.
pub trait KeyStore: Send + Sync {
    /// All keys; none when there is no file.
    fn read(&self) -> Result<Vec<StoredKey>, KeyError>;

    /// Reads the keys, changes them, and writes them durably, while nobody else does. Returns what the file now has.
    fn change(&self, change: &mut KeyChange<'_>) -> Result<Vec<StoredKey>, KeyError>;

    /// Changes when the keys do; `None` when there is no file.
    ///
    /// # Errors
    /// That nobody can be asked, where that takes somebody else.
    fn stamp(&self) -> Result<Option<KeyStamp>, KeyError>;

    /// How long keys that were read stay good while nobody can be asked; without a bound when `None`, where nobody has to be.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Whether keys are rotated by interval here, and not by another server.
    fn rotates(&self) -> bool {
        true
    }

    /// How often keys were used, as it was written last.
    fn read_use(&self) -> Result<HashMap<Box<str>, KeyUse>, KeyError>;

    /// Writes the text of a key that is rotated by interval beside its place, durably.
    ///
    /// # Errors
    /// [`KeyError::NoPlaceForTexts`] when there is no folder for it.
    fn prepare_text(&self, name: &str, text: &Secret) -> Result<(), KeyError>;

    /// Puts the text that was prepared under this name where the key's user finds it.
    fn publish_text(&self, name: &str) -> Result<(), KeyError>;

    /// The text that was prepared under this name and not published: the server stopped in between.
    fn prepared_text(&self, name: &str) -> Option<Secret>;

    /// Writes how often keys were used.
    fn write_use(&self, uses: &HashMap<Box<str>, KeyUse>) -> Result<(), KeyError>;
}

/// The stored keys of a server.
pub struct KeyRing {
    file: Box<dyn KeyStore>,
    pepper: Option<Secret>,
    keys: ArcSwap<HashMap<Box<str>, HeldKey>>,
    /// What the file was when it was last read. Held while the file and `keys` are brought together.
    stamp: Mutex<Option<KeyStamp>>,
    /// When it was last asked and answered.
    heard_at: Mutex<Option<Instant>>,
}

/// A key with what counts its use.
#[derive(Clone)]
struct HeldKey {
    key: Arc<StoredKey>,
    holder: KeyHolder,
    used: Arc<Used>,
}

#[derive(Default)]
struct Used {
    count: AtomicU64,
    /// Nanoseconds since 1970; `i64::MIN` when it was never used.
    last_at: AtomicI64,
    written_count: AtomicU64,
    told_count: AtomicU64,
}

impl Used {
    fn new(used: KeyUse) -> Self {
        let last = used.last_used_at.map_or(i64::MIN, Timestamp::as_nanos);
        Self {
            count: AtomicU64::new(used.usage_count),
            last_at: AtomicI64::new(last),
            written_count: AtomicU64::new(used.usage_count),
            told_count: AtomicU64::new(used.usage_count),
        }
    }

    fn value(&self) -> KeyUse {
        let last = self.last_at.load(Ordering::Relaxed);
        KeyUse {
            usage_count: self.count.load(Ordering::Relaxed),
            last_used_at: (last != i64::MIN).then(|| Timestamp::from_nanos(last)),
        }
    }
}

impl KeyRing {
    /// The keys of a file.
    pub fn open(file: Box<dyn KeyStore>, pepper: Option<Secret>) -> Result<Self, KeyError> {
        let read = || Ok((file.read_use()?, file.stamp()?, file.read()?));
        let (uses, stamp, keys) = match read() {
            Ok(read) => read,
            // It may be there in a moment; until then nobody can say who is let in.
            Err(error) if file.patience().is_some() => {
                tracing::warn!(%error, "cannot read the stored keys; nobody is let in by one until that is possible");
                let heard_at = Mutex::new(None);
                return Ok(Self {
                    file,
                    pepper,
                    keys: ArcSwap::default(),
                    stamp: Mutex::default(),
                    heard_at,
                });
            }
            Err(error) => return Err(error),
        };
        let heard_at = Mutex::new(Some(Instant::now()));
        let ring = Self { file, pepper, keys: ArcSwap::default(), stamp: Mutex::new(stamp), heard_at };
        ring.hold(keys, |id| uses.get(id).copied().unwrap_or_default());
        Ok(ring)
    }

    /// Whether nobody can be asked about one of these texts now, so that it may be a good key all the same.
    pub(super) fn cannot_tell(&self, offered: &[String]) -> bool {
        let Some(patience) = self.file.patience() else { return false };
        let silent_for = self.silent_for();
        if silent_for.is_some_and(|silent_for| silent_for < SILENCE_MAX) {
            return false;
        }
        let is_over = silent_for.is_none_or(|silent_for| silent_for > patience);
        let keys = self.keys.load();
        let is_open = |id: &str| is_over || !keys.contains_key(id);
        offered.iter().any(|text| KeyText::id_in(text).is_some_and(is_open))
    }

    /// How long ago the keys were last asked for and told; nothing when they never were.
    fn silent_for(&self) -> Option<Duration> {
        let heard_at = *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
        heard_at.map(|at| at.elapsed())
    }

    fn heard(&self) {
        *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether what is held is too old to let anybody in.
    fn is_too_old(&self) -> bool {
        let patience = self.file.patience();
        patience.is_some_and(|patience| self.silent_for().is_none_or(|silent_for| silent_for > patience))
    }

    /// Whether there is any key, good or not.
    pub fn is_empty(&self) -> bool {
        self.keys.load().is_empty()
    }

    /// Keys that need a pepper that the server does not have.
    pub fn unreadable(&self) -> usize {
        let without = self.pepper.is_none();
        self.keys.load().values().filter(|held| held.key.digest.0.peppered && without).count()
    }

    /// Whose key this text is, if it is good now; counts the use.
    pub(super) fn holder_of(&self, text: &str, now: Timestamp) -> Option<KeyHolder> {
        let id = KeyText::id_in(text)?;
        let keys = self.keys.load();
        let held = keys.get(id)?;
        // The digest first: whether a key is expired is for those who have it.
        if !held.key.digest.0.is_of(text, self.pepper.as_ref()) || !held.key.is_active(now) {
            return None;
        }
        if self.is_too_old() {
            return None;
        }
        held.used.count.fetch_add(1, Ordering::Relaxed);
        held.used.last_at.store(now.as_nanos(), Ordering::Relaxed);
        Some(held.holder.clone())
    }

    /// All keys with their use, the oldest first.
    pub fn list(&self) -> Vec<(Arc<StoredKey>, KeyUse)> {
        let keys = self.keys.load();
        let mut list: Vec<_> = keys.values().map(|held| (Arc::clone(&held.key), held.used.value())).collect();
        list.sort_by(|(one, _), (other, _)| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        list
    }

    /// Makes a key. Blocks until it is durable.
    pub fn create(&self, new: &NewKey, now: Timestamp) -> Result<(StoredKey, KeyText), KeyError> {
        let pepper = self.pepper.as_ref();
        self.make(&new.name, |keys, random| key_book::create(keys, new.clone(), random, pepper, now))
    }

    /// Makes a key that takes over from another. Blocks until both are durable.
    pub fn rotate(
        &self,
        which: &str,
        asked: RotationRequest,
        now: Timestamp,
    ) -> Result<(StoredKey, KeyText), KeyError> {
        let pepper = self.pepper.as_ref();
        self.make(which, |keys, random| key_book::rotate(keys, which, asked, random, pepper, now))
    }

    /// Rotates the keys whose interval is over, and publishes texts that a crash has left behind. Returns the new keys,
    /// and the names of those that could not be rotated, with the reason: these stay good as they are. Blocks.
    pub fn rotate_due(&self, now: Timestamp) -> Vec<Result<StoredKey, (Box<str>, KeyError)>> {
        let keys = self.keys.load_full();
        let mut outcomes = Vec::new();
        if !self.file.rotates() {
            return outcomes;
        }
        for key in keys.values().map(|held| &held.key).filter(|key| key.rotation.is_some()) {
            if !key.is_active(now) || key.replaced_by.is_some() {
                continue;
            }
            if let Err(error) = self.publish_left_behind(key) {
                outcomes.push(Err((key.name.clone(), error)));
            }
            if key.is_due(now) {
                let rotated = self.rotate(&key.id, RotationRequest::default(), now);
                outcomes.push(rotated.map(|(new, _)| new).map_err(|error| (key.name.clone(), error)));
            }
        }
        outcomes
    }

    fn publish_left_behind(&self, key: &StoredKey) -> Result<(), KeyError> {
        match self.file.prepared_text(&key.name) {
            Some(text) if key.digest.0.is_of(text.reveal(), self.pepper.as_ref()) => {
                self.file.publish_text(&key.name)
            }
            // Of a key that never came to be: the next rotation overwrites it.
            _ => Ok(()),
        }
    }

    /// Makes a key by a rule. The text of one that is rotated by interval is on disk before the key is good, and in its
    /// place as soon as it is.
    fn make(
        &self,
        name: &str,
        rule: impl Fn(&mut Vec<StoredKey>, &KeyEntropy) -> Result<(StoredKey, KeyText), KeyError>,
    ) -> Result<(StoredKey, KeyText), KeyError> {
        let random = entropy().map_err(|error| KeyError::File(error.to_string()))?;
        let mut made = None;
        self.change(&mut |keys| {
            let (key, text) = rule(keys, &random)?;
            if key.rotation.is_some() {
                self.file.prepare_text(&key.name, &text.text)?;
            }
            made = Some((key, text));
            Ok(())
        })?;
        let (key, text) = made.ok_or_else(|| KeyError::NotFound(name.to_owned()))?;
        if key.rotation.is_some() {
            self.file.publish_text(&key.name)?;
        }
        Ok((key, text))
    }

    /// Takes keys back: no request that comes later is let in by them. Blocks until that is durable.
    ///
    /// # Errors
    /// When the file could not be written; the keys are not good any more as long as this server runs.
    pub fn revoke(&self, which: &str, now: Timestamp) -> Result<Vec<StoredKey>, KeyError> {
        let mut revoked = Vec::new();
        let changed = self.change(&mut |keys| {
            revoked = key_book::revoke(keys, which, now)?;
            Ok(())
        });
        if let (Err(error @ KeyError::File(_)), false) = (&changed, revoked.is_empty()) {
            let gone = |key: &StoredKey| revoked.iter().any(|other| other.id == key.id);
            let kept = self.list().into_iter().map(|(key, _)| StoredKey::clone(&key));
            let keys =
                kept.map(|key| StoredKey { revoked_at: gone(&key).then_some(now).or(key.revoked_at), ..key });
            self.hold(keys.collect(), |_| KeyUse::default());
            return Err(KeyError::File(format!("revoked until the server starts again, but {error}")));
        }
        changed.map(|()| revoked)
    }

    /// Takes over what somebody else did to the file. Returns whether anything was new.
    pub fn reload(&self) -> Result<bool, KeyError> {
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        // Read before the keys: a change in between is seen next time.
        let now = self.file.stamp()?;
        if *stamp == now {
            self.heard();
            return Ok(false);
        }
        let keys = self.file.read()?;
        *stamp = now;
        self.heard();
        self.hold(keys, |_| KeyUse::default());
        Ok(true)
    }

    /// Writes how often keys were used, if any was since the last time.
    pub fn write_use(&self) -> Result<(), KeyError> {
        let keys = self.keys.load();
        let is_new = |held: &HeldKey| {
            held.used.count.load(Ordering::Relaxed) != held.used.written_count.load(Ordering::Relaxed)
        };
        if !keys.values().any(is_new) {
            return Ok(());
        }
        let uses: HashMap<Box<str>, KeyUse> =
            keys.iter().map(|(id, held)| (id.clone(), held.used.value())).collect();
        self.file.write_use(&uses)?;
        for (id, written) in uses {
            if let Some(held) = keys.get(&id) {
                held.used.written_count.store(written.usage_count, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// The keys that were used since this was last asked, and how often.
    pub(super) fn newly_used(&self) -> Vec<(Arc<StoredKey>, u64)> {
        let keys = self.keys.load();
        let news = keys.values().filter_map(|held| {
            let count = held.used.count.load(Ordering::Relaxed);
            let told = held.used.told_count.swap(count, Ordering::Relaxed);
            (count > told).then(|| (Arc::clone(&held.key), count - told))
        });
        news.collect()
    }

    fn change(&self, change: &mut KeyChange<'_>) -> Result<(), KeyError> {
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.file.change(change)?;
        // What is not known now is read again soon.
        *stamp = self.file.stamp().unwrap_or_default();
        self.hold(keys, |_| KeyUse::default());
        Ok(())
    }

    /// Replaces what is held; keys that stay keep what counts their use.
    fn hold(&self, keys: Vec<StoredKey>, used_before: impl Fn(&str) -> KeyUse) {
        let held = self.keys.load();
        let keys = keys.into_iter().map(|key| {
            let used = held.get(&key.id).map(|known| Arc::clone(&known.used));
            let used = used.unwrap_or_else(|| Arc::new(Used::new(used_before(&key.id))));
            let holder = KeyHolder {
                client: Some(key.name.as_ref().into()),
                scopes: key.scopes,
                tenants: key.tenants.clone(),
                labels: key.labels.clone(),
            };
            (key.id.clone(), HeldKey { key: Arc::new(key), holder, used })
        });
        self.keys.store(Arc::new(keys.collect()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where keys are kept, and nobody answers.
    struct Away(Option<Duration>);

    impl KeyStore for Away {
        fn read(&self) -> Result<Vec<StoredKey>, KeyError> {
            Err(KeyError::File("nobody answers".to_owned()))
        }

        fn change(&self, _change: &mut KeyChange<'_>) -> Result<Vec<StoredKey>, KeyError> {
            self.read()
        }

        fn stamp(&self) -> Result<Option<KeyStamp>, KeyError> {
            self.read().map(|_| None)
        }

        fn patience(&self) -> Option<Duration> {
            self.0
        }

        fn read_use(&self) -> Result<HashMap<Box<str>, KeyUse>, KeyError> {
            self.read().map(|_| HashMap::new())
        }

        fn prepare_text(&self, _name: &str, _text: &Secret) -> Result<(), KeyError> {
            Err(KeyError::NoPlaceForTexts)
        }

        fn publish_text(&self, _name: &str) -> Result<(), KeyError> {
            Err(KeyError::NoPlaceForTexts)
        }

        fn prepared_text(&self, _name: &str) -> Option<Secret> {
            None
        }

        fn write_use(&self, _uses: &HashMap<Box<str>, KeyUse>) -> Result<(), KeyError> {
            self.read().map(|_| ())
        }
    }

    #[test]
    fn a_store_that_is_away_at_the_start_lets_nobody_in_and_says_so_of_its_own_keys_only() {
        assert!(KeyRing::open(Box::new(Away(None)), None).is_err(), "a file has to be readable");
        let ring = KeyRing::open(Box::new(Away(Some(Duration::ZERO))), None).expect("it may come");
        let text = KeyText::new(&[7; 40]).text.reveal().to_owned();
        assert_eq!(ring.holder_of(&text, Timestamp::from_nanos(0)), None);
        assert!(ring.cannot_tell(&["else".to_owned(), text.clone()]));
        assert!(!ring.cannot_tell(&["else".to_owned()]));
        assert!(ring.reload().is_err() && ring.cannot_tell(&[text]));
    }

    #[test]
    fn what_was_heard_too_long_ago_lets_nobody_in() {
        let memory = super::super::memory_key_file::MemoryKeyFile::default();
        let mut ring = KeyRing::open(Box::new(memory), None).expect("in memory");
        let new = NewKey {
            name: "web".to_owned(),
            tenants: super::super::TenantAccess::Any,
            scopes: super::super::Scopes::PUSH_AND_READ,
            labels: None,
            lifetime_seconds: None,
            rotation: None,
            created_by: "test".to_owned(),
        };
        let (_, key) = ring.create(&new, Timestamp::from_nanos(0)).expect("made");
        let text = key.text.reveal().to_owned();
        ring.file = Box::new(Away(Some(Duration::from_secs(900))));
        let is_good = |ring: &KeyRing| ring.holder_of(&text, Timestamp::from_nanos(0)).is_some();
        assert!(is_good(&ring));
        ring.heard_at = Mutex::new(Instant::now().checked_sub(Duration::from_secs(60)));
        assert!(is_good(&ring) && !ring.cannot_tell(std::slice::from_ref(&text)));
        ring.heard_at = Mutex::new(Instant::now().checked_sub(Duration::from_secs(901)));
        assert!(!is_good(&ring) && ring.cannot_tell(std::slice::from_ref(&text)));
    }
}
