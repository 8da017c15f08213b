//! What a key allows, as a set of words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a key allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<&'static str>")]
pub struct Scopes {
    /// Send logs.
    pub push: bool,
    /// Query.
    pub read: bool,
    /// Follow logs as they come in.
    pub tail: bool,
    /// Delete logs.
    pub delete: bool,
    /// Administer: flush, snapshots, keys, limits, and the audit log.
    pub admin: bool,
}

/// A word that is no scope, or no word at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// There is no such scope.
    #[error("`{0}` is no scope; there are push, read, tail, delete and admin")]
    Unknown(String),
    /// A key that allows nothing is of no use.
    #[error("at least one scope is needed: push, read, tail, delete or admin")]
    Empty,
}

impl Scopes {
    /// Everything.
    pub const ALL: Self = Self { push: true, read: true, tail: true, delete: true, admin: true };
    /// Sends logs.
    pub const PUSH: Self = Self { push: true, read: false, tail: false, delete: false, admin: false };
    /// Send, query and follow, but neither delete nor administer.
    pub const PUSH_AND_READ: Self = Self { push: true, read: true, tail: true, delete: false, admin: false };

    /// Reads words such as `push` and `read`, each of which may be a list with commas between.
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopesError> {
        let mut scopes = Self::default();
        let words = words.into_iter().flat_map(|word| word.split(','));
        for word in words.map(str::trim).filter(|word| !word.is_empty()) {
            let scope = match word {
                "push" => &mut scopes.push,
                "read" => &mut scopes.read,
                "tail" => &mut scopes.tail,
                "delete" => &mut scopes.delete,
                "admin" => &mut scopes.admin,
                _ => return Err(ScopesError::Unknown(word.to_owned())),
            };
            *scope = true;
        }
        if scopes == Self::default() { Err(ScopesError::Empty) } else { Ok(scopes) }
    }

    /// The words, in the order of the fields.
    pub fn words(self) -> Vec<&'static str> {
        let all = [
            ("push", self.push),
            ("read", self.read),
            ("tail", self.tail),
            ("delete", self.delete),
            ("admin", self.admin),
        ];
        all.into_iter().filter_map(|(word, has)| has.then_some(word)).collect()
    }

    /// Whether everything that `other` allows is allowed here.
    pub fn include(self, other: Self) -> bool {
        let own = self.words();
        other.words().iter().all(|word| own.contains(word))
    }
}

impl FromStr for Scopes {
    type Err = ScopesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_words([text])
    }
}

impl TryFrom<Vec<String>> for Scopes {
    type Error = ScopesError;

    fn try_from(words: Vec<String>) -> Result<Self, Self::Error> {
        Self::from_words(words.iter().map(String::as_str))
    }
}

impl From<Scopes> for Vec<&'static str> {
    fn from(scopes: Scopes) -> Self {
        scopes.words()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written() {
        for text in ["push", "push,read", "read,tail,delete,admin"] {
            assert_eq!(text.parse::<Scopes>().expect("scopes").to_string(), text);
        }
        assert_eq!("".parse::<Scopes>(), Err(ScopesError::Empty));
        assert_eq!("push,write".parse::<Scopes>(), Err(ScopesError::Unknown("write".to_owned())));
        assert!(Scopes::ALL.include(Scopes::PUSH_AND_READ) && !Scopes::PUSH_AND_READ.include(Scopes::ALL));
    }
}
