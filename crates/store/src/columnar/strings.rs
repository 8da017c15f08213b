//! Many byte strings in one buffer.

use super::spelling::append_piece;
use crate::codec::Malformed;

/// Byte strings one after the other, with the place where each one ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strings {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u32>,
}

/// Byte strings that lie somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct StringsView<'s> {
    pub(super) bytes: &'s [u8],
    pub(super) ends: &'s [u32],
}

impl<'s> StringsView<'s> {
    pub(super) fn len(self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub(super) fn get(self, index: usize) -> &'s [u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// Appends a string to a text.
    #[inline]
    pub(super) fn append(self, index: usize, out: &mut Vec<u8>) {
        append_string(self.bytes, self.ends, index, out);
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'s [u8]> {
        (0..self.len()).map(move |index| self.get(index))
    }
}

#[inline]
fn append_string(bytes: &[u8], ends: &[u32], index: usize, out: &mut Vec<u8>) {
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    append_piece(out, bytes, start, ends[index] as usize - start);
}

/// A piece of a text: where it starts and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Span {
    #[inline]
    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..][..self.len as usize]
    }
}

impl Strings {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.end_one();
    }

    /// Forgets all strings and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Ends the string whose bytes were appended to `bytes`.
    pub(crate) fn end_one(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    /// The strings without what may lie behind them.
    pub(super) fn view(&self) -> StringsView<'_> {
        let len = self.ends.last().copied().unwrap_or_default() as usize;
        StringsView { bytes: &self.bytes[..len], ends: &self.ends }
    }

    /// Appends a string to a text.
    #[inline]
    pub(super) fn append(&self, index: usize, out: &mut Vec<u8>) {
        append_string(&self.bytes, &self.ends, index, out);
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        StringsView { bytes: &self.bytes, ends: &self.ends }.get(index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.view().iter()
    }
}

/// How many bytes decoding may still produce, so that a few hostile bytes cannot ask for all memory.
#[derive(Debug)]
pub(crate) struct Budget(pub(crate) usize);

impl Budget {
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.0 = self.0.checked_sub(bytes).ok_or(Malformed("it decodes to more bytes than it says"))?;
        Ok(())
    }
}
