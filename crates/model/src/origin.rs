//! What a batch was read from: stretches of bytes of named origins (files of an agent), so that a stretch that is
//! sent twice is stored once.
//!
//! Names are the sender's business. An origin only grows: bytes below its stored end are never stored again.

use std::fmt;

/// The most origins of one batch.
pub const BATCH_ORIGINS_MAX: usize = 64;

/// The longest name, in bytes.
pub const ORIGIN_NAME_BYTES_MAX: usize = 200;

/// The name of something that is read from beginning to end: letters, digits and `._-/:@`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginName(Box<str>);

/// A text that is not the name of an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name of an origin must be 1 to {ORIGIN_NAME_BYTES_MAX} letters, digits or `._-/:@`, not `{0}`")]
pub struct OriginNameError(String);

impl OriginName {
    /// The name, if it is one.
    pub fn new(name: &str) -> Result<Self, OriginNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
        if name.is_empty() || name.len() > ORIGIN_NAME_BYTES_MAX || !name.bytes().all(allowed) {
            return Err(OriginNameError(name.chars().take(ORIGIN_NAME_BYTES_MAX).collect()));
        }
        Ok(Self(name.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OriginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stretch of an origin that a batch was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRange {
    /// Which origin.
    pub name: OriginName,
    /// Its first byte.
    pub from: u64,
    /// The byte behind its last one; above `from`.
    pub to: u64,
}

/// A stretch that cannot stand beside the others of a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginRangeError {
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] OriginNameError),
    /// It ends where it begins, or before.
    #[error("`{name}={from}-{to}` holds no byte")]
    Empty {
        /// The origin.
        name: OriginName,
        /// Its first byte.
        from: u64,
        /// The byte behind its last one.
        to: u64,
    },
    /// Another stretch is of the same origin.
    #[error("`{0}` is named twice")]
    Twice(OriginName),
    /// There are as many as a batch may have.
    #[error("more than {BATCH_ORIGINS_MAX} origins")]
    TooMany,
}

impl OriginRange {
    /// Adds a stretch to those of a batch.
    ///
    /// # Errors
    /// That it is none, or cannot stand beside them.
    pub fn add_to(ranges: &mut Vec<Self>, name: &str, from: u64, to: u64) -> Result<(), OriginRangeError> {
        let name = OriginName::new(name)?;
        if from >= to {
            return Err(OriginRangeError::Empty { name, from, to });
        }
        if ranges.iter().any(|range| range.name == name) {
            return Err(OriginRangeError::Twice(name));
        }
        if ranges.len() == BATCH_ORIGINS_MAX {
            return Err(OriginRangeError::TooMany);
        }
        ranges.push(Self { name, from, to });
        Ok(())
    }
}

/// How far an origin is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginEnd {
    /// Which origin.
    pub name: OriginName,
    /// The byte behind the last one that is stored.
    pub end: u64,
}

/// A batch of which at least a part is stored already; nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is stored already up to byte {}", self.first_name(), self.first_end())]
pub struct AlreadyStored {
    /// Whether all of its stretches are stored, so that nothing is left to be sent.
    pub whole: bool,
    /// How far those of its origins are stored of which something is.
    pub ends: Vec<OriginEnd>,
}

impl AlreadyStored {
    fn first_name(&self) -> &str {
        self.ends.first().map_or("origin", |end| end.name.as_str())
    }

    fn first_end(&self) -> u64 {
        self.ends.first().map_or(0, |end| end.end)
    }

    /// What of these stretches is stored, when `end_of` says how far each origin is; `None` when nothing is.
    pub fn of(ranges: &[OriginRange], end_of: impl Fn(&OriginName) -> Option<u64>) -> Option<Self> {
        let stored = |range: &OriginRange| end_of(&range.name).filter(|end| *end > range.from);
        let ends: Vec<OriginEnd> = ranges
            .iter()
            .filter_map(|range| stored(range).map(|end| OriginEnd { name: range.name.clone(), end }))
            .collect();
        let whole = ranges.iter().all(|range| stored(range).is_some_and(|end| end >= range.to));
        (!ends.is_empty()).then_some(Self { whole, ends })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(name: &str, from: u64, to: u64) -> OriginRange {
        OriginRange { name: OriginName::new(name).expect("valid"), from, to }
    }

    #[test]
    fn stretches_are_new_stored_or_stored_in_part() {
        let end_of = |name: &OriginName| (name.as_str() == "a").then_some(10);
        assert_eq!(AlreadyStored::of(&[range("a", 10, 20), range("b", 0, 5)], end_of), None);
        assert_eq!(AlreadyStored::of(&[range("a", 12, 20)], end_of), None, "a gap is taken");
        let whole = AlreadyStored::of(&[range("a", 0, 10)], end_of).expect("stored");
        assert!(whole.whole);
        for ranges in [vec![range("a", 9, 11)], vec![range("b", 0, 5), range("a", 2, 3)]] {
            let part = AlreadyStored::of(&ranges, end_of).expect("stored in part");
            assert!(!part.whole);
            assert_eq!(part.to_string(), "a is stored already up to byte 10");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(OriginName::new("agent-1/0af3:7@x_y.z").is_ok());
        for bad in ["", "a b", "a,b", "a=1", "é", &"x".repeat(201)] {
            assert!(OriginName::new(bad).is_err(), "{bad}");
        }
    }
}
