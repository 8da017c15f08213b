//! The labels of a stream: a small sorted map that is cheap to clone, compare and hash.

use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

/// Labels sorted by name, each name once; no empty value, but in the results of queries.
/// A clone costs a reference count.
///
/// Two equal label sets are one stream. The hash is xxh3-64 over `name 0xff value 0xff …`
/// and is part of the file formats: it does not change.
#[derive(Clone)]
pub struct Labels(Arc<Inner>);

struct Inner {
    hash: u64,
    pairs: Box<[(Box<str>, Box<str>)]>,
}

impl Labels {
    /// Sorts the pairs; of equal names the last one counts; pairs with an empty value are
    /// left out, since in LogQL an empty label is an absent one.
    pub fn from_pairs<N: Into<Box<str>>, V: Into<Box<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut sorted = sorted_pairs(pairs);
        sorted.retain(|pair| !pair.1.is_empty());
        Self::from_sorted(sorted)
    }

    /// The same for the labels of a result, where a stage may have set a label to the empty
    /// value: those are kept. Such a set is never the labels of a stream.
    pub fn keeping_empty<N: Into<Box<str>>, V: Into<Box<str>>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self::from_sorted(sorted_pairs(pairs))
    }

    fn from_sorted(sorted: Vec<(Box<str>, Box<str>)>) -> Self {
        let mut hasher = Xxh3::new();
        for (name, value) in &sorted {
            hasher.update(name.as_bytes());
            hasher.update(&[0xff]);
            hasher.update(value.as_bytes());
            hasher.update(&[0xff]);
        }
        Self(Arc::new(Inner { hash: hasher.digest(), pairs: sorted.into() }))
    }

    /// The value of `name`, if the label is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        let pairs = &self.0.pairs;
        // Few labels: a walk beats a binary search.
        pairs.iter().find(|pair| &*pair.0 == name).map(|pair| &*pair.1)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.pairs.is_empty()
    }

    /// The stable hash of the label set.
    pub fn stable_hash(&self) -> u64 {
        self.0.hash
    }

    /// A copy with one more label, which replaces one of the same name.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        Self::from_pairs(self.iter().chain([(name, value)]))
    }
}

/// By name, of equal names the last one.
fn sorted_pairs<N: Into<Box<str>>, V: Into<Box<str>>>(
    pairs: impl IntoIterator<Item = (N, V)>,
) -> Vec<(Box<str>, Box<str>)> {
    let mut sorted: Vec<(Box<str>, Box<str>)> =
        pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    sorted.reverse();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted.dedup_by(|a, b| a.0 == b.0);
    sorted
}

/// Whether `name` follows Loki's rule for label names: `[A-Za-z_][A-Za-z0-9_]*`.
pub fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl Default for Labels {
    fn default() -> Self {
        Self::from_pairs::<&str, &str>([])
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.pairs == other.0.pairs)
    }
}

impl Eq for Labels {}

impl std::hash::Hash for Labels {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.pairs.cmp(&other.0.pairs)
    }
}

/// As a LogQL selector: `{app="api", env="prod"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_and_the_last_of_equal_names_counts() {
        let labels = Labels::from_pairs([("b", "1"), ("a", "x"), ("b", "2"), ("c", "")]);
        assert_eq!(labels.to_string(), r#"{a="x", b="2"}"#);
        assert_eq!(labels.get("b"), Some("2"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.with("c", "3").len(), 3);
        let kept = Labels::keeping_empty([("b", "1"), ("c", "")]);
        assert_eq!(kept.to_string(), r#"{b="1", c=""}"#);
        assert_eq!(kept.get("c"), Some(""));
    }

    #[test]
    fn the_hash_is_part_of_the_file_format() {
        assert_eq!(
            Labels::from_pairs([("a", "x")]).stable_hash(),
            Labels::from_pairs([("a", "x")]).stable_hash()
        );
        assert_ne!(
            Labels::from_pairs([("a", "x")]).stable_hash(),
            Labels::from_pairs([("ax", "")]).stable_hash()
        );
    }
}
