//! What the bytes of a line mean to whoever reads it: looked at all together, before the line is read.
//!
//! Places are counted from the beginning of the line.

use super::strings::Span;
use super::tokenize::Reading;
use super::words::{self, word_at};

/// Bytes that end a token of a text line.
pub(super) const DELIMITER: u8 = 1 << 7;
/// Quotes and what escapes them.
pub(super) const QUOTE: u8 = 1 << 6;
/// Bytes that end a number or word of a JSON line.
pub(super) const JSON_END: u8 = 1 << 5;
/// Bytes that no number or word of a JSON line begins with.
pub(super) const JSON_NO_START: u8 = 1 << 4;
/// Digits.
const DIGIT: u8 = 1;
/// Bytes behind the end of a line, where every reading stops.
const PADDING: [u8; 16] = [DELIMITER | QUOTE | JSON_END | JSON_NO_START; 16];

/// The bit, if so.
#[inline]
const fn when(so: bool, bit: u8) -> u8 {
    if so { bit } else { 0 }
}

/// The classes of a byte of a text line: arithmetic and no table, so that many bytes are looked at together.
#[inline]
const fn class_in_text(byte: u8) -> u8 {
    when(byte <= b' ', DELIMITER)
        | when(byte == b'"', DELIMITER | QUOTE)
        | when(byte.wrapping_sub(b'\'') <= b')' - b'\'', DELIMITER)
        | when(byte == b',', DELIMITER)
        | when(byte.wrapping_sub(b';') <= b'>' - b';', DELIMITER)
        | when(byte == b'[', DELIMITER)
        | when(byte == b'\\', QUOTE)
        | when(byte == b']', DELIMITER)
        | when(byte.wrapping_sub(b'{') <= b'}' - b'{', DELIMITER)
        | when(byte.is_ascii_digit(), DIGIT)
}

/// The classes of a byte of a JSON line.
#[inline]
const fn class_in_json(byte: u8) -> u8 {
    const END: u8 = JSON_END | JSON_NO_START;
    when(byte <= b' ', END)
        | when(byte == b'"', END | QUOTE)
        | when(byte == b',', END)
        | when(byte == b':', JSON_NO_START)
        | when(byte == b'\\', QUOTE)
        // The brackets differ from the braces in this bit.
        | when(byte | 0x20 == b'{', JSON_NO_START)
        | when(byte | 0x20 == b'}', END)
}

/// The classes of the bytes of a line.
#[derive(Default)]
pub(super) struct Classes(Vec<u8>);

impl Classes {
    /// Looks at the bytes of the line at `place` of the text.
    #[inline]
    pub(super) fn read(&mut self, text: &[u8], place: Span, reading: Reading) {
        match reading {
            Reading::Text => self.read_as(text, place, class_in_text),
            Reading::Json => self.read_as(text, place, class_in_json),
            Reading::Value => {}
        }
    }

    #[inline]
    fn read_as(&mut self, text: &[u8], place: Span, class: impl Fn(u8) -> u8) {
        let (start, len) = (place.start as usize, place.len as usize);
        let wanted = len.next_multiple_of(PADDING.len()) + PADDING.len();
        if self.0.len() < wanted {
            self.0.resize(wanted, 0);
        }
        // Whole chunks, whatever lies behind the line: what is left over would take as long as all the rest.
        let there = text.get(start..text.len().min(start + wanted - PADDING.len())).unwrap_or_default();
        let (chunks, rest) = there.as_chunks::<16>();
        let (places, rest_places) = self.0.as_chunks_mut::<16>();
        for (classes, chunk) in places.iter_mut().zip(chunks) {
            for (place, byte) in classes.iter_mut().zip(chunk) {
                *place = class(*byte);
            }
        }
        let rest_places = places.get_mut(chunks.len()).map_or(rest_places, |places| &mut places[..]);
        rest_places.iter_mut().zip(rest).for_each(|(place, byte)| *place = class(*byte));
        self.0[len..].iter_mut().zip(PADDING).for_each(|(place, class)| *place = class);
    }

    /// The classes of the byte at a place of the line.
    #[inline]
    pub(super) fn of(&self, at: usize) -> u8 {
        self.0[at]
    }

    /// The first place from `at` on with one of the classes, no later than the end of the line.
    #[inline]
    pub(super) fn next(&self, at: usize, classes: u8) -> usize {
        let mut at = at;
        loop {
            let found = word_at(&self.0, at) & u64::from_le_bytes([classes; 8]);
            if found != 0 {
                return at + words::before(found);
            }
            at += 8;
        }
    }

    /// Where the token that starts at `at` ends, and whether it has a digit.
    #[inline]
    pub(super) fn token(&self, at: usize) -> (usize, bool) {
        let mut at = at;
        let mut digits = 0;
        loop {
            let classes = word_at(&self.0, at);
            let delimiters = classes & u64::from_le_bytes([DELIMITER; 8]);
            if delimiters != 0 {
                // The bits below the lowest delimiter.
                digits |= classes & (delimiters - 1) & !delimiters;
                return (at + words::before(delimiters), digits & u64::from_le_bytes([DIGIT; 8]) != 0);
            }
            digits |= classes;
            at += 8;
        }
    }
}
