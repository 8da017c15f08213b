//! Rotation by interval: which stored keys are due, and what a rotation may look like.
//!
//! A key that is rotated by interval is one of a chain with the same name. The newest of it is rotated when it is
//! `every_seconds` old; its predecessor stays good for `overlap_seconds`. Predecessors that are over are taken off the list
//! with the next rotation but one, so that a chain has a few keys however long it lasts. Pure, as
//! [`key_book`](super::key_book) is.

use serde::{Deserialize, Serialize};
use timberyard_model::Timestamp;

use super::key_book::{KeyError, after};
use super::stored_key::StoredKey;

/// The shortest interval, in seconds: whoever reads keys from a file must have time to look.
pub const EVERY_SECONDS_MIN: u64 = 60;
/// How long an old key stays good after a rotation when nothing is said: a day.
pub const OVERLAP_SECONDS_DEFAULT: u64 = 86_400;

/// How a key is rotated without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The age at which it is rotated.
    pub every_seconds: u64,
    /// How long its predecessor stays good; shorter than the interval.
    pub overlap_seconds: u64,
}

impl Rotation {
    /// An interval with its overlap; when nothing is said of the latter it is a day, or half the interval if that is
    /// shorter.
    ///
    /// # Errors
    /// When the interval is shorter than [`EVERY_SECONDS_MIN`], or the overlap as long as it.
    pub fn new(every_seconds: u64, overlap_seconds: Option<u64>) -> Result<Self, KeyError> {
        let overlap_seconds = overlap_seconds.unwrap_or(OVERLAP_SECONDS_DEFAULT.min(every_seconds / 2));
        if every_seconds < EVERY_SECONDS_MIN || overlap_seconds >= every_seconds {
            return Err(KeyError::BadRotation { every_seconds, overlap_seconds });
        }
        Ok(Self { every_seconds, overlap_seconds })
    }

    /// Refuses what could not come about: a key that ends before it is rotated, and a name that no file can have.
    pub(super) fn check(self, name: &str, lifetime_seconds: Option<u64>) -> Result<(), KeyError> {
        let is_of_file = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.starts_with('.') || !name.bytes().all(is_of_file) {
            return Err(KeyError::NameOfNoFile(name.to_owned()));
        }
        match lifetime_seconds {
            Some(lifetime_seconds) if lifetime_seconds <= self.every_seconds => {
                Err(KeyError::EndsBeforeRotation { every_seconds: self.every_seconds, lifetime_seconds })
            }
            _ => Ok(()),
        }
    }
}

impl StoredKey {
    /// When it is rotated next, if that is by interval and it is the newest of its chain.
    pub fn next_rotation_at(&self) -> Option<Timestamp> {
        let rotation = self.rotation.filter(|_| self.replaced_by.is_none() && self.revoked_at.is_none())?;
        Some(after(self.created_at, rotation.every_seconds))
    }

    /// Whether it is to be rotated now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.is_active(now) && self.next_rotation_at().is_some_and(|at| at <= now)
    }
}

/// Takes keys off the list that were replaced by interval and have been over for as long as an interval.
pub(super) fn forget_the_old(keys: &mut Vec<StoredKey>, name: &str, rotation: Rotation, now: Timestamp) {
    keys.retain(|key| {
        let is_over = || key.expires_at.is_some_and(|end| after(end, rotation.every_seconds) <= now);
        *key.name != *name || key.rotation.is_none() || key.replaced_by.is_none() || !is_over()
    });
}

#[cfg(test)]
mod tests {
    use super::super::key_book::{RotationRequest, create, rotate, tests::new_key};
    use super::*;

    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> Timestamp {
        after(Timestamp::from_nanos(0), seconds)
    }

    #[test]
    fn a_chain_that_is_rotated_for_years_has_few_keys_and_always_a_good_one() {
        let rotation = Rotation::new(30 * DAY, None).expect("valid");
        assert_eq!(rotation.overlap_seconds, DAY);
        let mut keys = Vec::new();
        let new = super::super::NewKey { lifetime_seconds: None, rotation: Some(rotation), ..new_key("web") };
        create(&mut keys, new, &[0; 40], None, at(0)).expect("created");
        for day in 1..=3650 {
            let now = at(day * DAY);
            let due: Vec<Box<str>> =
                keys.iter().filter(|key| key.is_due(now)).map(|key| key.id.clone()).collect();
            assert_eq!(due.len(), usize::from(day % 30 == 0), "day {day}");
            for id in due {
                let mut entropy = [0; 40];
                entropy[..8].copy_from_slice(&day.to_be_bytes());
                rotate(&mut keys, &id, RotationRequest::default(), &entropy, None, now).expect("rotated");
            }
            let good = keys.iter().filter(|key| key.is_active(now)).count();
            assert_eq!(good, 1 + usize::from(day % 30 == 0), "both are good for the overlap, day {day}");
            assert!(keys.len() <= 3, "{} keys on day {day}", keys.len());
        }
    }

    #[test]
    fn what_cannot_come_about_is_refused() {
        for (every, overlap) in [(0, None), (59, None), (60, Some(60)), (60, Some(61))] {
            assert!(Rotation::new(every, overlap).is_err(), "{every} {overlap:?}");
        }
        let rotation = Rotation::new(60, Some(0)).expect("valid");
        assert!(rotation.check("web-1.a_b", Some(61)).is_ok() && rotation.check("web", None).is_ok());
        assert!(matches!(rotation.check("web", Some(60)), Err(KeyError::EndsBeforeRotation { .. })));
        for name in ["a/b", "..", ".hidden", "a b"] {
            assert_eq!(rotation.check(name, None), Err(KeyError::NameOfNoFile(name.to_owned())));
        }
    }
}
