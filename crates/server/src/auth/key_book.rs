//! What can be done to the list of stored keys. Pure: the list in, the changed list out; time and randomness come in as
//! arguments, and nothing is written here.

use timberyard_model::Timestamp;

use super::key_labels::KeyLabels;
use super::key_material::{KeyDigest, KeyEntropy, KeyText};
use super::rotation::{OVERLAP_SECONDS_DEFAULT, forget_the_old};
use super::stored_key::{StoredKey, WrittenDigest};
use super::{Rotation, Scopes, Secret, TenantAccess};

/// The most keys of a server, those that are no longer good counted.
pub const KEYS_MAX: usize = 10_000;
/// The longest name of a key, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What the operator calls it; no other key that is good has the name.
    pub name: String,
    /// Which tenants it may name.
    pub tenants: TenantAccess,
    /// What it may do.
    pub scopes: Scopes,
    /// The streams it is for; all of them when `None`.
    pub labels: Option<KeyLabels>,
    /// Seconds for which it is good; for ever when `None`.
    pub lifetime_seconds: Option<u64>,
    /// How it is rotated by interval; not at all when `None`.
    pub rotation: Option<Rotation>,
    /// Who makes it.
    pub created_by: String,
}

/// What a rotation is to do. What is not said stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RotationRequest {
    /// How long the old key stays good.
    pub overlap_seconds: Option<u64>,
    /// From now on, rotate at this age; 0 no longer by interval.
    pub every_seconds: Option<u64>,
}

impl RotationRequest {
    /// How the new key is rotated by interval, and how long the old one stays good.
    fn apply(self, before: Option<Rotation>) -> Result<(Option<Rotation>, u64), KeyError> {
        let rotation = match (self.every_seconds, before) {
            (Some(0), _) | (None, None) => None,
            (Some(every), before) => {
                let kept = before.map(|before| before.overlap_seconds).filter(|overlap| *overlap < every);
                Some(Rotation::new(every, self.overlap_seconds.or(kept))?)
            }
            // An overlap for this once.
            (None, Some(before)) => Some(before),
        };
        let overlap = self.overlap_seconds.or(rotation.map(|rotation| rotation.overlap_seconds));
        Ok((rotation, overlap.unwrap_or(OVERLAP_SECONDS_DEFAULT)))
    }
}

/// Why keys were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no such key.
    #[error("there is no key with the name or id `{0}` that is good")]
    NotFound(String),
    /// Another key that is good has the name.
    #[error("there is a key with the name `{0}` already; revoke or rotate it, or choose another name")]
    NameTaken(String),
    /// No key can have the name.
    #[error("a key's name must be 1 to {NAME_BYTES_MAX} printable ASCII characters")]
    BadName,
    /// There are too many.
    #[error("there are {KEYS_MAX} keys already, which is the limit; those that are no longer good count too")]
    TooMany,
    /// A restricted key that administers could make itself one that is not restricted.
    #[error("a key for some labels only cannot have the delete or admin scope")]
    LabelsAndAdmin,
    /// An interval that is too short, or an overlap that is too long for it.
    #[error(
        "a key can be rotated every {} s or less often, with an overlap that is shorter; not every {every_seconds} s with \
         an overlap of {overlap_seconds} s",
        super::rotation::EVERY_SECONDS_MIN
    )]
    BadRotation {
        /// The interval.
        every_seconds: u64,
        /// The overlap.
        overlap_seconds: u64,
    },
    /// A key would end before it is rotated.
    #[error("a key that is good for {lifetime_seconds} s cannot be rotated every {every_seconds} s")]
    EndsBeforeRotation {
        /// The interval.
        every_seconds: u64,
        /// How long the key is good.
        lifetime_seconds: u64,
    },
    /// The key's file could not have its name.
    #[error(
        "`{0}`: a key that is rotated by interval is handed over in a file of its name, which has letters, digits, . _ and - only"
    )]
    NameOfNoFile(String),
    /// There is nowhere to put the text of a key that nobody asked for.
    #[error(
        "keys are rotated by interval only where auth.rotated_keys_dir says which folder they are written to"
    )]
    NoPlaceForTexts,
    /// Where keys are kept could not be read or written.
    #[error("the stored keys: {0}")]
    File(String),
}

/// Adds a key to the list and returns it with its text.
pub fn create(
    keys: &mut Vec<StoredKey>,
    new: NewKey,
    entropy: &KeyEntropy,
    pepper: Option<&Secret>,
    now: Timestamp,
) -> Result<(StoredKey, KeyText), KeyError> {
    let printable = new.name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !printable || !(1..=NAME_BYTES_MAX).contains(&new.name.trim().len()) {
        return Err(KeyError::BadName);
    }
    if new.labels.is_some() && (new.scopes.admin || new.scopes.delete) {
        return Err(KeyError::LabelsAndAdmin);
    }
    if let Some(rotation) = new.rotation {
        rotation.check(new.name.trim(), new.lifetime_seconds)?;
    }
    if keys.iter().any(|key| *key.name == *new.name && key.is_active(now)) {
        return Err(KeyError::NameTaken(new.name));
    }
    let text = KeyText::new(entropy);
    let key = StoredKey {
        id: text.id.clone(),
        name: new.name.trim().into(),
        digest: WrittenDigest(KeyDigest::new(text.text.reveal(), pepper)),
        tenants: new.tenants,
        scopes: new.scopes,
        labels: new.labels,
        created_at: now,
        updated_at: now,
        created_by: new.created_by.into(),
        expires_at: new.lifetime_seconds.map(|seconds| after(now, seconds)),
        revoked_at: None,
        rotated_from: None,
        replaced_by: None,
        rotation: new.rotation,
    };
    add(keys, key.clone())?;
    Ok((key, text))
}

/// Makes a key that takes over from the one with this name or id: the same in all but its text and times. The old one is
/// good for the overlap, or until its own end if that comes first.
pub fn rotate(
    keys: &mut Vec<StoredKey>,
    which: &str,
    asked: RotationRequest,
    entropy: &KeyEntropy,
    pepper: Option<&Secret>,
    now: Timestamp,
) -> Result<(StoredKey, KeyText), KeyError> {
    let is_meant =
        |key: &&mut StoredKey| is_named(key, which) && key.is_active(now) && key.replaced_by.is_none();
    let old = keys.iter_mut().find(is_meant).ok_or_else(|| KeyError::NotFound(which.to_owned()))?;
    let (rotation, overlap_seconds) = asked.apply(old.rotation)?;
    let text = KeyText::new(entropy);
    let lifetime = old.expires_at.map(|end| end.as_nanos().saturating_sub(old.created_at.as_nanos()));
    let new = StoredKey {
        id: text.id.clone(),
        digest: WrittenDigest(KeyDigest::new(text.text.reveal(), pepper)),
        created_at: now,
        updated_at: now,
        expires_at: lifetime.map(|nanos| now.saturating_add_nanos(nanos)),
        rotated_from: Some(old.id.clone()),
        rotation,
        ..old.clone()
    };
    if let Some(rotation) = rotation {
        let seconds = |nanos: i64| u64::try_from(nanos / 1_000_000_000).unwrap_or(0);
        rotation.check(&new.name, lifetime.map(seconds))?;
    }
    let end = after(now, overlap_seconds);
    let before = (old.expires_at, old.updated_at);
    old.expires_at = Some(old.expires_at.map_or(end, |own| own.min(end)));
    old.replaced_by = Some(new.id.clone());
    old.updated_at = now;
    let old_id = old.id.clone();
    if let Err(error) = add(keys, new.clone()) {
        // The list is as it was when there is no room for the new one.
        if let Some(old) = keys.iter_mut().find(|key| key.id == old_id) {
            (old.expires_at, old.updated_at) = before;
            old.replaced_by = None;
        }
        return Err(error);
    }
    if let Some(rotation) = rotation {
        forget_the_old(keys, &new.name, rotation, now);
    }
    Ok((new, text))
}

/// Takes back the key with this id, or all keys with this name, and returns them.
pub fn revoke(keys: &mut [StoredKey], which: &str, now: Timestamp) -> Result<Vec<StoredKey>, KeyError> {
    let mut revoked = Vec::new();
    for key in keys.iter_mut().filter(|key| is_named(key, which) && key.revoked_at.is_none()) {
        key.revoked_at = Some(now);
        key.updated_at = now;
        revoked.push(key.clone());
    }
    if revoked.is_empty() { Err(KeyError::NotFound(which.to_owned())) } else { Ok(revoked) }
}

/// Whether a key has this name or id.
pub fn is_named(key: &StoredKey, which: &str) -> bool {
    *key.id == *which || *key.name == *which
}

fn add(keys: &mut Vec<StoredKey>, key: StoredKey) -> Result<(), KeyError> {
    if keys.len() >= KEYS_MAX {
        return Err(KeyError::TooMany);
    }
    keys.push(key);
    Ok(())
}

pub(super) fn after(now: Timestamp, seconds: u64) -> Timestamp {
    let nanos = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    now.saturating_add_nanos(nanos)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn new_key(name: &str) -> NewKey {
        NewKey {
            name: name.to_owned(),
            tenants: TenantAccess::Any,
            scopes: Scopes::PUSH_AND_READ,
            labels: None,
            lifetime_seconds: Some(100),
            rotation: None,
            created_by: "test".to_owned(),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        after(Timestamp::from_nanos(0), seconds)
    }

    fn overlap(seconds: u64) -> RotationRequest {
        RotationRequest { overlap_seconds: Some(seconds), every_seconds: None }
    }

    #[test]
    fn after_a_rotation_both_keys_are_good_until_the_overlap_is_over() {
        let mut keys = Vec::new();
        let (first, _) = create(&mut keys, new_key("web"), &[1; 40], None, at(0)).expect("created");
        let (second, _) = rotate(&mut keys, "web", overlap(10), &[2; 40], None, at(50)).expect("rotated");
        assert_eq!(keys[0].replaced_by.as_ref(), Some(&second.id));
        assert_eq!(second.rotated_from, Some(first.id.clone()));
        assert!(keys[0].is_active(at(59)) && !keys[0].is_active(at(60)));
        assert_eq!(second.expires_at, Some(at(150)), "as long as the first one was good");
        let (third, _) =
            rotate(&mut keys, "web", overlap(1000), &[3; 40], None, at(55)).expect("the newest is meant");
        assert_eq!(third.rotated_from, Some(second.id));
        assert_eq!(keys[1].expires_at, Some(at(150)), "a rotation never lengthens a key's life");
        assert_eq!(
            rotate(&mut keys, &first.id, overlap(1), &[4; 40], None, at(55)).expect_err("replaced"),
            KeyError::NotFound(first.id.to_string())
        );
    }

    #[test]
    fn a_name_is_revoked_with_all_its_keys_and_may_then_be_used_again() {
        let mut keys = Vec::new();
        create(&mut keys, new_key("web"), &[1; 40], None, at(0)).expect("created");
        assert_eq!(
            create(&mut keys, new_key("web"), &[2; 40], None, at(0)).expect_err("taken"),
            KeyError::NameTaken("web".to_owned())
        );
        rotate(&mut keys, "web", overlap(10), &[3; 40], None, at(0)).expect("rotated");
        assert_eq!(revoke(&mut keys, "web", at(1)).expect("there").len(), 2);
        assert!(keys.iter().all(|key| !key.is_active(at(1))));
        assert_eq!(revoke(&mut keys, "web", at(1)).expect_err("gone"), KeyError::NotFound("web".to_owned()));
        create(&mut keys, new_key("web"), &[4; 40], None, at(1)).expect("free again");
    }

    #[test]
    fn what_no_key_can_be_is_refused() {
        let create = |new| create(&mut Vec::new(), new, &[1; 40], None, at(0)).expect_err("refused");
        assert_eq!(create(new_key(" ")), KeyError::BadName);
        assert_eq!(create(new_key("a\nb")), KeyError::BadName);
        let labels = Some(KeyLabels::new(r#"{app="x"}"#).expect("a selector"));
        let restricted = NewKey { labels, scopes: Scopes::ALL, ..new_key("x") };
        assert_eq!(create(restricted), KeyError::LabelsAndAdmin);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let labels = Some(KeyLabels::new(r#"{app="x"}"#).expect("a selector"));
        let new = NewKey { labels, ..new_key("web") };
        let (key, _) = super::create(&mut Vec::new(), new, &[1; 40], None, at(0)).expect("created");
        let text = serde_json::to_string(&key).expect("written");
        let read: StoredKey = serde_json::from_str(&text).expect("read");
        assert_eq!(serde_json::to_string(&read).expect("written"), text);
        assert_eq!(read.labels, key.labels);
        assert!(serde_json::from_str::<StoredKey>(&text.replace("key_hash\":\"", "key_hash\":\"x")).is_err());
    }
}
