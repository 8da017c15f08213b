//! The labels of a stream: a small sorted map that is cheap to clone, compare and hash.

use std::fmt;
use std::sync::{Arc, LazyLock};

use xxhash_rust::xxh3::Xxh3;

/// Labels sorted by name, each name once; no empty value, but in the results of queries.
/// A clone costs a reference count; a set is one allocation of its bytes and about 20 more.
///
/// Two equal label sets are one stream. The hash is xxh3-64 over `name 0xff value 0xff …`
/// and is part of the file formats: it does not change.
#[derive(Clone)]
pub struct Labels {
    hash: u64,
    /// The number of pairs, then of each pair the length of its name, the length of its value, name and value.
    /// Numbers are written by [`put_number`].
    text: Arc<str>,
}

/// Bits of a number that one character holds.
const DIGIT_BITS: u32 = 6;
/// Set in every character of a number but the last.
const MORE_DIGITS: u8 = 1 << DIGIT_BITS;

/// Writes a number in characters of six bits, the lowest first: a store of text can hold it without `unsafe`.
fn put_number(text: &mut String, mut number: usize) {
    while number >> DIGIT_BITS > 0 {
        text.push(char::from((number as u8 % MORE_DIGITS) | MORE_DIGITS));
        number >>= DIGIT_BITS;
    }
    text.push(char::from(number as u8));
}

/// Takes a number off the front of what [`put_number`] wrote.
fn take_number(text: &mut &str) -> usize {
    let (mut number, mut digits) = (0, 0);
    for byte in text.bytes() {
        number |= usize::from(byte % MORE_DIGITS) << (digits * DIGIT_BITS);
        digits += 1;
        if byte < MORE_DIGITS {
            break;
        }
    }
    *text = text.get(digits as usize..).unwrap_or_default();
    number
}

/// Walks the pairs of one label set.
#[derive(Clone)]
struct Pairs<'a> {
    left: usize,
    text: &'a str,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (name, value) = (take_number(&mut self.text), take_number(&mut self.text));
        let (name, rest) = self.text.split_at(name);
        let (value, rest) = rest.split_at(value);
        self.text = rest;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

impl Labels {
    /// Sorts the pairs; of equal names the last one counts; pairs with an empty value are
    /// left out, since in LogQL an empty label is an absent one.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut sorted = sorted_pairs(pairs);
        sorted.retain(|pair| !pair.1.as_ref().is_empty());
        Self::from_sorted(&sorted)
    }

    /// The same for the labels of a result, where a stage may have set a label to the empty
    /// value: those are kept. Such a set is never the labels of a stream.
    pub fn keeping_empty<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self::from_sorted(&sorted_pairs(pairs))
    }

    fn from_sorted<N: AsRef<str>, V: AsRef<str>>(sorted: &[(N, V)]) -> Self {
        let bytes: usize =
            sorted.iter().map(|(name, value)| name.as_ref().len() + value.as_ref().len()).sum();
        let mut text = String::with_capacity(bytes + 4 * sorted.len() + 4);
        let mut hasher = Xxh3::new();
        put_number(&mut text, sorted.len());
        for (name, value) in sorted {
            let (name, value) = (name.as_ref(), value.as_ref());
            hasher.update(name.as_bytes());
            hasher.update(&[0xff]);
            hasher.update(value.as_bytes());
            hasher.update(&[0xff]);
            put_number(&mut text, name.len());
            put_number(&mut text, value.len());
            text.push_str(name);
            text.push_str(value);
        }
        Self { hash: hasher.digest(), text: text.into() }
    }

    fn pairs(&self) -> Pairs<'_> {
        let mut text = &*self.text;
        let left = take_number(&mut text);
        Pairs { left, text }
    }

    /// The value of `name`, if the label is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        // Few labels: a walk beats a binary search.
        self.pairs().find(|pair| pair.0 == name).map(|pair| pair.1)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.pairs()
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.pairs().left
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that the set takes, shared by its clones, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * size_of::<usize>() + self.text.len()
    }

    /// The stable hash of the label set.
    pub fn stable_hash(&self) -> u64 {
        self.hash
    }

    /// A copy with one more label, which replaces one of the same name.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        Self::from_pairs(self.iter().chain([(name, value)]))
    }
}

/// By name, of equal names the last one.
fn sorted_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Vec<(N, V)> {
    let mut sorted: Vec<(N, V)> = pairs.into_iter().collect();
    if !sorted.is_sorted_by(|a, b| a.0.as_ref() < b.0.as_ref()) {
        sorted.reverse();
        sorted.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        sorted.dedup_by(|a, b| a.0.as_ref() == b.0.as_ref());
    }
    sorted
}

/// Whether `name` follows Loki's rule for label names: `[A-Za-z_][A-Za-z0-9_]*`.
pub fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The empty set, made once: results have many of it.
static EMPTY: LazyLock<Labels> = LazyLock::new(|| Labels::from_sorted::<&str, &str>(&[]));

impl Default for Labels {
    fn default() -> Self {
        EMPTY.clone()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for Labels {}

impl std::hash::Hash for Labels {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.pairs().cmp(other.pairs())
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
    fn names_and_values_of_any_length_and_any_text_come_back() {
        let long = "é".repeat(5000);
        let pairs =
            [("a", "\0"), ("b", "\u{7f}@A"), ("café", &long), ("d", &long[..128]), ("e", &long[..126])];
        let labels = Labels::from_pairs(pairs);
        assert_eq!(labels.iter().collect::<Vec<_>>(), pairs);
        assert_eq!((labels.len(), labels.get("e"), labels.get("f")), (5, Some(&long[..126]), None));
        assert!(Labels::default().is_empty());
    }

    #[test]
    fn label_sets_are_ordered_by_their_pairs_and_not_by_how_they_are_kept() {
        let sets =
            [vec![], vec![("a", "10")], vec![("a", "9")], vec![("a", "9"), ("b", "1")], vec![("b", "")]];
        let labels = sets.map(Labels::keeping_empty);
        assert!(labels.is_sorted(), "{labels:?}");
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
