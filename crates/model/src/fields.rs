//! Fields of lines, asked of a source that knows nothing of the format they are written in.
//!
//! A query that looks at a few fields of each line hands a [`FieldReader`] to the source. A source that keeps lines
//! apart into what they have in common and what varies shows the reader what they have in common, once for all lines of
//! that shape, and learns which of the varying parts are the fields. It then hands over the values instead of
//! lines. Any source may ignore the request, for all rows or for some, and hand over lines; the consumer reads
//! the fields of those itself.

use std::fmt;
use std::sync::Arc;

use crate::matcher::LineFilter;

/// Finds named fields in lines of one format.
///
/// What it says of a shape must hold for every line of that shape whose slots keep the rules it gives: the fields
/// are where it says, and reading the whole line would find the same, neither more nor an error.
pub trait FieldReader: fmt::Debug + Send + Sync {
    /// The label that each field becomes, by the number of the field. A field means nothing for a row whose
    /// stream has the label.
    fn labels(&self) -> &[Box<str>];

    /// Where the fields lie in lines that have these literal bytes with a slot of any bytes between each two of them;
    /// `None` when it cannot be said for all such lines at once.
    fn lay_out(&self, literals: &[&[u8]]) -> Option<FieldLayout>;

    /// Appends the text of a field whose slot holds `raw`; `false`, and nothing appended, when the line then
    /// has no such field. `raw` keeps the rule of its slot.
    fn read(&self, form: ValueForm, raw: &[u8], text: &mut String) -> bool;
}

/// Where fields lie in all lines of one shape.
#[derive(Clone, Debug)]
pub struct FieldLayout {
    /// What the layout needs of the value of each slot, one a slot. A line with a value that breaks its rule has to be read
    /// whole.
    pub slots: Vec<&'static SlotRule>,
    /// Where each field is, one a field.
    pub fields: Vec<FieldPlace>,
}

/// Where one field is.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldPlace {
    /// Nowhere.
    Absent,
    /// It is the value of that slot.
    Slot(usize, ValueForm),
    /// Every line has this text.
    Text(Box<str>),
    /// It is put together from these, in their order. Tests say nothing of such a field.
    Pieces(Vec<FieldPiece>),
}

/// A part of the text of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldPiece {
    /// Every line has this text.
    Text(Box<str>),
    /// What the reader reads, as [`ValueForm::Bare`], from a stretch of the line.
    Stretch(Stretch),
}

/// A stretch of a line with slots in it. A run of digits in a value may be any other run of digits: what is read from the
/// stretch is the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// The first of its slots; the others follow.
    pub first_slot: usize,
    /// The bytes before, between and behind its slots: one more than it has slots.
    pub literals: Vec<Box<[u8]>>,
    /// When each of its values keeps this rule,
    pub rule: &'static SlotRule,
    /// this is what is read from it.
    pub usual: Box<str>,
}

/// How a value is written in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueForm {
    /// Between quotes, perhaps with escapes.
    Quoted,
    /// As it is.
    Bare,
}

/// What a layout needs of the value of a slot. A value keeps the rule if its first byte is in `first` and all others
/// are in `rest`; of any other value, `accepts` decides.
#[derive(Debug)]
pub struct SlotRule {
    /// Bytes that are no surprise at the start of a value.
    pub first: ByteSet,
    /// Bytes that are none behind it.
    pub rest: ByteSet,
    /// Whether the empty value keeps the rule.
    pub may_be_empty: bool,
    /// Decides about one value. Never refuses what the sets admit.
    pub accepts: fn(&[u8]) -> bool,
}

/// What a scan is asked about fields.
#[derive(Clone, Debug)]
pub struct FieldRequest {
    /// Finds them.
    pub reader: Arc<dyn FieldReader>,
    /// Rows that fail one of these are of no interest. A source may apply them or not.
    pub tests: Vec<FieldTest>,
    /// Whether a row may come with the values of its fields in the place of its line.
    pub instead_of_line: bool,
}

/// Rules are the same when they are the same one.
impl PartialEq for SlotRule {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl FieldRequest {
    /// The labels of the fields that are tested.
    pub fn tested_labels(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().filter_map(|test| self.reader.labels().get(test.field).map(|label| &**label))
    }
}

/// A test of one field. It says nothing of a row whose stream or structured metadata has the label of the field.
#[derive(Clone)]
pub struct FieldTest {
    /// The number of the field.
    pub field: usize,
    /// Whether a row with this value, or without the field, may be of interest.
    pub accepts: FieldPredicate,
    /// What the line of every row passes that passes the test: for sources that read no fields.
    pub implied: Option<LineFilter>,
}

/// Says something of the value of a field.
pub type FieldPredicate = Arc<dyn Fn(Option<&str>) -> bool + Send + Sync>;

impl fmt::Debug for FieldTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldTest").field("field", &self.field).finish_non_exhaustive()
    }
}

/// Some of the 256 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// No byte.
    pub const NONE: Self = Self([0; 4]);
    /// Every byte.
    pub const ALL: Self = Self([u64::MAX; 4]);
    /// The decimal digits.
    pub const DIGITS: Self = Self::NONE.with(b"0123456789");

    /// These bytes too.
    #[must_use]
    pub const fn with(mut self, bytes: &[u8]) -> Self {
        let mut at = 0;
        while at < bytes.len() {
            self.0[(bytes[at] / 64) as usize] |= 1 << (bytes[at] % 64);
            at += 1;
        }
        self
    }

    /// Not these bytes.
    #[must_use]
    pub const fn without(mut self, bytes: &[u8]) -> Self {
        let mut at = 0;
        while at < bytes.len() {
            self.0[(bytes[at] / 64) as usize] &= !(1 << (bytes[at] % 64));
            at += 1;
        }
        self
    }

    /// Not the bytes up to and including `last`.
    #[must_use]
    pub const fn above(mut self, last: u8) -> Self {
        let mut byte = 0;
        while byte <= last as usize {
            self.0[byte / 64] &= !(1 << (byte % 64));
            byte += 1;
        }
        self
    }

    /// The bytes of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([a | e, b | f, c | g, d | h])
    }

    /// Whether the byte is one of them.
    #[inline]
    pub const fn has(&self, byte: u8) -> bool {
        self.0[(byte / 64) as usize] >> (byte % 64) & 1 == 1
    }

    /// Whether `other` has all of them.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(these, those)| these & !those == 0)
    }
}

impl SlotRule {
    /// Every value keeps it.
    pub const ANY: Self =
        Self { first: ByteSet::ALL, rest: ByteSet::ALL, may_be_empty: true, accepts: |_| true };

    /// Digits, at least one.
    pub const ONLY_DIGITS: Self =
        Self { first: ByteSet::DIGITS, rest: ByteSet::DIGITS, may_be_empty: false, accepts: |_| false };

    /// Whether its sets admit every value.
    pub fn is_any(&self) -> bool {
        self.may_be_empty && self.first == ByteSet::ALL && self.rest == ByteSet::ALL
    }

    /// Whether a value keeps the rule.
    pub fn admits(&self, value: &[u8]) -> bool {
        let Some((first, rest)) = value.split_first() else { return self.may_be_empty };
        (self.first.has(*first) && rest.iter().all(|byte| self.rest.has(*byte))) || (self.accepts)(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_bytes_hold_what_was_put_in() {
        let set = ByteSet::ALL.above(b' ').without(b"=\"");
        for byte in 0..=255 {
            assert_eq!(set.has(byte), byte > b' ' && byte != b'=' && byte != b'"', "{byte}");
        }
        assert!(ByteSet::DIGITS.is_within(&set));
        assert!(!ByteSet::DIGITS.with(b"=").is_within(&set));
        assert!(ByteSet::NONE.with(b"=").or(set).has(b'='));
    }

    #[test]
    fn a_rule_asks_only_about_values_with_surprising_bytes() {
        let rule = SlotRule {
            first: ByteSet::DIGITS,
            rest: ByteSet::DIGITS.with(b"."),
            may_be_empty: false,
            accepts: |value| value == b"true",
        };
        for (value, admitted) in [("", false), ("1.5", true), (".5", false), ("true", true), ("x", false)] {
            assert_eq!(rule.admits(value.as_bytes()), admitted, "{value}");
        }
    }
}
