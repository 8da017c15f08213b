//! What is searched for: bytes, or letters in either case, and the tests that a needle laid along a template leaves for
//! single values.

use std::borrow::Cow;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use timberyard_model::required_literals::Literal;

use super::frame::class;
use super::matches::Matches;

/// A needle with what finds it, made once a scan.
pub(crate) struct Needle {
    literal: Literal,
    finder: With,
    /// For each byte whether it is one of the literal's.
    has: [bool; 256],
    /// The kind of each byte of the literal.
    kinds: Vec<u8>,
}

enum With {
    Bytes(Box<Finder<'static>>),
    Letters(Regex),
}

/// Bytes, or letters in either case, as a piece of a needle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'n> {
    bytes: &'n [u8],
    ignores_case: bool,
}

/// A question about one value.
#[derive(Clone, Copy)]
pub(crate) enum Test<'n> {
    /// The value has the needle somewhere.
    Contains(&'n Needle),
    /// It starts with these bytes.
    Prefix(Piece<'n>),
    /// It ends with them.
    Suffix(Piece<'n>),
    /// It is them.
    Equals(Piece<'n>),
}

impl Needle {
    /// A needle of these bytes; `None` when letters in either case are asked for together with bytes that are not ASCII.
    pub(crate) fn new(literal: &Literal) -> Option<Self> {
        let finder = if literal.ignores_case {
            let text = std::str::from_utf8(&literal.bytes).ok().filter(|text| text.is_ascii())?;
            let mut expression = RegexBuilder::new(&regex::escape(text));
            With::Letters(expression.case_insensitive(true).unicode(false).build().ok()?)
        } else {
            With::Bytes(Box::new(Finder::new(&literal.bytes).into_owned()))
        };
        let mut has = [false; 256];
        literal.bytes.iter().for_each(|byte| has[usize::from(*byte)] = true);
        let kinds = literal.bytes.iter().map(|byte| class(*byte)).collect();
        Some(Self { literal: literal.clone(), finder, has, kinds })
    }

    /// Whether it has the byte; of letters in either case the small ones.
    #[inline]
    pub(crate) fn has(&self, byte: u8) -> bool {
        self.has[usize::from(byte)]
    }

    /// Its longest stretch of bytes of none of these kinds.
    pub(super) fn longest_outside(&self, kinds: u8) -> &[u8] {
        let (mut longest, mut start) = (0..0, 0);
        for stretch in self.kinds.split(|kind| kind & kinds != 0) {
            if stretch.len() > longest.len() {
                longest = start..start + stretch.len();
            }
            start += stretch.len() + 1;
        }
        self.literal.bytes.get(longest).unwrap_or_default()
    }

    /// Whether it lies in a text.
    #[inline]
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        text.len() >= self.literal.bytes.len() && self.find(text).is_some()
    }

    /// Where it lies first.
    #[inline]
    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        match &self.finder {
            With::Bytes(finder) => finder.find(text),
            With::Letters(regex) => regex.find(text).map(|found| found.start()),
        }
    }

    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece { bytes: &self.literal.bytes, ignores_case: self.literal.ignores_case }
    }

    /// Looks for it in many strings at once, one after the other in `bytes`, and then in which of them it lies.
    pub(crate) fn search(&self, bytes: &[u8], ends: &[u32]) -> Matches {
        let len = self.piece().len();
        if len == 0 {
            return Matches::All;
        }
        let (mut from, mut row) = (0, 0);
        let mut rows = Vec::new();
        while let Some(found) = self.find(&bytes[from..]) {
            let at = from + found;
            row += ends[row..].partition_point(|end| *end as usize <= at);
            let end = ends[row] as usize;
            if at + len <= end {
                rows.resize(ends.len(), false);
                rows[row] = true;
                from = end;
            } else {
                from = at + 1;
            }
        }
        Matches::from_rows(rows)
    }
}

impl<'n> Piece<'n> {
    pub(crate) fn len(self) -> usize {
        self.bytes.len()
    }

    /// The bytes; letters that may have either case are small.
    pub(crate) fn bytes(self) -> &'n [u8] {
        self.bytes
    }

    pub(crate) fn ignores_case(self) -> bool {
        self.ignores_case
    }

    /// The piece up to there.
    pub(crate) fn up_to(self, len: usize) -> Self {
        Self { bytes: &self.bytes[..len], ..self }
    }

    /// The piece from there.
    pub(crate) fn from(self, at: usize) -> Self {
        Self { bytes: &self.bytes[at..], ..self }
    }

    /// Whether it is the value.
    #[inline]
    pub(crate) fn is(self, value: &[u8]) -> bool {
        if self.ignores_case { self.bytes.eq_ignore_ascii_case(value) } else { self.bytes == value }
    }

    /// Whether the value starts with it.
    pub(crate) fn starts(self, value: &[u8]) -> bool {
        value.get(..self.len()).is_some_and(|start| self.is(start))
    }

    /// Whether the value ends with it.
    pub(crate) fn ends(self, value: &[u8]) -> bool {
        value.len().checked_sub(self.len()).is_some_and(|at| self.is(&value[at..]))
    }

    /// The literal as this piece compares bytes: in small letters if case does not matter.
    pub(crate) fn folded(self, literal: &[u8]) -> Cow<'_, [u8]> {
        if self.ignores_case { Cow::Owned(literal.to_ascii_lowercase()) } else { Cow::Borrowed(literal) }
    }
}

impl<'n> Test<'n> {
    /// Whether a value passes.
    #[inline]
    pub(crate) fn passes(self, value: &[u8]) -> bool {
        match self {
            Self::Contains(needle) => needle.is_in(value),
            Self::Prefix(piece) => piece.starts(value),
            Self::Suffix(piece) => piece.ends(value),
            Self::Equals(piece) => piece.is(value),
        }
    }

    /// Whether a value with these bytes at its ends could pass.
    pub(crate) fn may_pass_between(self, first: &[u8], last: &[u8]) -> bool {
        let may_begin = |piece: Piece<'_>| {
            let len = piece.len().min(first.len());
            piece.up_to(len).is(&first[..len])
        };
        let may_end = |piece: Piece<'_>| {
            let len = piece.len().min(last.len());
            piece.from(piece.len() - len).is(&last[last.len() - len..])
        };
        match self {
            Self::Contains(_) => true,
            Self::Prefix(piece) => may_begin(piece),
            Self::Suffix(piece) => may_end(piece),
            Self::Equals(piece) => {
                piece.len() >= first.len().max(last.len()) && may_begin(piece) && may_end(piece)
            }
        }
    }

    /// The bytes that a passing value has.
    pub(crate) fn piece(self) -> Piece<'n> {
        match self {
            Self::Contains(needle) => needle.piece(),
            Self::Prefix(piece) | Self::Suffix(piece) | Self::Equals(piece) => piece,
        }
    }
}
