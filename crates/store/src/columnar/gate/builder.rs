//! Makes the gate of a group while its columns are encoded.
//!
//! Of a template's lines not each is read: literals, and values that are many times there, are read once, and where a value begins or
//! ends, whatever may stand there is taken to stand beside whatever may stand at the other side. So a gate knows more texts than
//! there are, and none too few. Numbers are runs of digits.

use std::ops::Range;

use super::super::column_encoder::{CONSTANT, DICTIONARY, DIGITS, HEX, NESTED, RAW};
use super::super::frame::Stamp;
use super::super::integer;
use super::super::templates::Literals;
use super::Gate;
use super::ends::{Ends, Place};
use super::identifiers::{Identifiers, RUN_MIN, UUID_BYTES, WINDOW, for_each_word};
use super::trigrams::{Trigrams, each, kind, only};
use crate::codec::{Malformed, Reader};

/// A gate has at most one byte for so many of lines.
const LINE_BYTES_A_BYTE: usize = 334;
/// Its trigrams at most for so many.
const LINE_BYTES_A_TRIGRAM_BYTE: usize = 900;
/// Texts that are read between two looks at whether there are too many trigrams, in bytes.
const TEXT_BYTES_UNTIL_LOOK: usize = 1 << 16;

/// Builds gates, one after the other; keeps its memory between them.
#[derive(Default)]
pub(in crate::columnar) struct GateBuilder {
    trigrams: Trigrams,
    has_too_many_trigrams: bool,
    read_bytes: usize,
    identifiers: Identifiers,
    /// A column could not be read: nothing is known.
    failed: bool,
    /// What may stand before what is read next.
    place: Place,
    /// What surely stands behind that and is still to be read.
    text: Vec<u8>,
    bits: Vec<u8>,
}

/// A column as it is encoded, with what is known of it besides.
#[derive(Clone, Copy)]
pub(in crate::columnar) struct EncodedColumn<'c> {
    pub(in crate::columnar) blob: &'c [u8],
    pub(in crate::columnar) count: usize,
    /// Of its values.
    pub(in crate::columnar) stamp: Stamp,
    /// Of each slot, template after template, and the rows of each template, when it is nested.
    pub(in crate::columnar) slots: &'c [Stamp],
    pub(in crate::columnar) slot_rows: &'c [usize],
}

impl GateBuilder {
    /// Forgets everything but the memory.
    pub(in crate::columnar) fn clear(&mut self) {
        self.trigrams.clear();
        self.identifiers.clear();
        self.text.clear();
        (self.has_too_many_trigrams, self.failed, self.read_bytes) = (false, false, 0);
    }

    /// The lines of a template begin.
    pub(in crate::columnar) fn begin(&mut self) {
        self.place = Place::START;
        self.text.clear();
    }

    /// They go on with this.
    pub(in crate::columnar) fn literal(&mut self, literal: &[u8]) {
        self.text.extend_from_slice(literal);
    }

    /// They go on with values of a column.
    pub(in crate::columnar) fn column(&mut self, column: EncodedColumn<'_>) {
        if self.tells_nothing() {
            return;
        }
        let mut reader = Reader::new(column.blob);
        self.failed |= self.read_column(&mut reader, column).is_err();
    }

    /// They end.
    pub(in crate::columnar) fn end(&mut self) {
        if !self.tells_nothing() {
            self.read_text();
        }
    }

    /// Whether so much was read already that whatever comes the gate will say nothing.
    fn tells_nothing(&self) -> bool {
        self.failed || self.has_too_many_trigrams && self.identifiers.tell_nothing()
    }

    /// Appends the gate of lines of so many bytes; nothing if it would say nothing.
    pub(in crate::columnar) fn finish(&mut self, line_bytes: usize, out: &mut Vec<u8>) {
        /// Beside trigrams and words.
        const FRAME_BYTES: usize = 16;
        let bytes_max = (line_bytes / LINE_BYTES_A_BYTE).saturating_sub(FRAME_BYTES);
        if bytes_max == 0 || self.tells_nothing() {
            return;
        }
        let trigrams = match self.has_too_many_trigrams {
            true => Vec::new(),
            false => self.trigrams.filter(bytes_max.min(line_bytes / LINE_BYTES_A_TRIGRAM_BYTE)),
        };
        let identifiers = self.identifiers.filter(bytes_max - trigrams.len(), &mut self.bits);
        Gate::write(&trigrams, &identifiers, out);
    }

    fn read_column(&mut self, reader: &mut Reader<'_>, column: EncodedColumn<'_>) -> Result<(), Malformed> {
        let form = reader.byte()?;
        if form == CONSTANT {
            self.text.extend_from_slice(reader.bytes()?);
            return Ok(());
        }
        self.read_text();
        match form {
            DIGITS => {
                reader.byte()?;
                integer::skip(reader, column.count)?;
                self.digits(column.stamp.len_max());
            }
            HEX => self.hex(reader, column.count)?,
            DICTIONARY => {
                let mut ends = Ends::default();
                for _ in 0..reader.count()? {
                    let value = reader.bytes()?;
                    self.value(value, &mut ends);
                }
                integer::skip(reader, column.count)?;
                self.pass(&ends);
            }
            NESTED => self.nested(reader, column)?,
            RAW => {
                let lens = integer::decode(reader, column.count)?;
                let mut ends = Ends::default();
                for len in lens {
                    let value = reader.take(usize::try_from(len).map_err(|_| TOO_LONG)?)?;
                    self.value(value, &mut ends);
                }
                self.pass(&ends);
            }
            _ => return Err(Malformed("a column has no such form")),
        }
        Ok(())
    }

    /// What may stand before is where each template of the values begins.
    fn nested(&mut self, reader: &mut Reader<'_>, column: EncodedColumn<'_>) -> Result<(), Malformed> {
        let before = self.place;
        let mut behind = Place::NOWHERE;
        let templates: Vec<Literals<'_>> =
            (0..reader.count()?).map(|_| Literals::parse(reader)).collect::<Result<_, _>>()?;
        integer::skip(reader, column.count)?;
        if templates.len() != column.slot_rows.len() {
            return Err(Malformed("a nested column has other templates than it had"));
        }
        let mut stamps = column.slots.iter();
        for (template, rows) in templates.iter().zip(column.slot_rows) {
            self.place = before;
            for (number, literal) in template.iter().enumerate() {
                if number > 0 {
                    let stamp = *stamps.next().ok_or(Malformed("a slot has no stamp"))?;
                    if *rows > 0 {
                        let slot =
                            EncodedColumn { blob: &[], count: *rows, stamp, slots: &[], slot_rows: &[] };
                        self.read_column(reader, slot)?;
                    }
                }
                self.text.extend_from_slice(literal);
            }
            self.read_text();
            if *rows > 0 {
                behind.join(&self.place);
            }
        }
        self.place = behind;
        Ok(())
    }

    /// Runs of up to so many digits.
    fn digits(&mut self, len_max: usize) {
        if len_max >= RUN_MIN {
            self.identifiers.note_unread_run(len_max);
        }
        self.trigrams.read(&b"000"[..len_max.min(3)]);
        let mut ends = Ends::default();
        for len in 1..=len_max.min(UUID_BYTES) {
            self.add_ends(&[b'0'; UUID_BYTES][..len], &mut ends);
        }
        self.pass(&ends);
    }

    /// Values of one shape.
    fn hex(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), Malformed> {
        let shape = reader.bytes()?;
        let digits = |shape: &[u8]| shape.iter().filter(|byte| **byte == 0).count();
        let width = digits(shape) / 2;
        let packed = reader.take(width.saturating_mul(count))?;
        // One value, with zeros for all digits.
        let value: Vec<u8> = shape.iter().map(|byte| if *byte == 0 { b'0' } else { *byte }).collect();
        self.trigrams.read(&value);
        let mut words = Vec::new();
        for_each_word(&value, |word| words.push(word));
        let before = |word: &Range<usize>| digits(&shape[..word.start]);
        match &*words {
            [] => {}
            [word]
                if digits(&shape[word.clone()]) == WINDOW
                    && before(word) % 2 == 0
                    && word.len() <= UUID_BYTES =>
            {
                self.identifiers.add_packed(packed, width, before(word) / 2, word.len() == UUID_BYTES);
            }
            _ => {
                let mut value = value.clone();
                for packed in packed.chunks_exact(width.max(1)) {
                    let digits = packed.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                    let places = value.iter_mut().zip(shape).filter(|(_, place)| **place == 0);
                    places.zip(digits).for_each(|((place, _), digit)| *place = hex_digit(digit));
                    self.identifiers.read(&value);
                }
            }
        }
        let mut ends = Ends::default();
        self.add_ends(&value, &mut ends);
        self.pass(&ends);
        Ok(())
    }

    /// Reads one of the values that may stand at this place.
    fn value(&mut self, value: &[u8], ends: &mut Ends) {
        self.read(value);
        self.add_ends(value, ends);
    }

    fn read(&mut self, text: &[u8]) {
        if !self.has_too_many_trigrams {
            self.trigrams.read(text);
            self.read_bytes += text.len();
            if self.read_bytes >= TEXT_BYTES_UNTIL_LOOK {
                self.read_bytes = 0;
                self.has_too_many_trigrams = self.trigrams.are_too_many();
            }
        }
        self.identifiers.read(text);
    }

    fn add_ends(&mut self, value: &[u8], ends: &mut Ends) {
        if ends.add(value, self.place.uuid) {
            self.identifiers.note_unread_uuid();
        }
    }

    /// Goes on behind values with these ends.
    fn pass(&mut self, ends: &Ends) {
        if !self.has_too_many_trigrams {
            self.follow(ends);
        }
        if self.place.run > 0 && ends.leading_run > 0 {
            self.identifiers.note_unread_run(self.place.run + ends.leading_run);
        }
        self.place.pass(ends);
    }

    /// Notes the trigrams across the place at which values with these ends begin.
    fn follow(&mut self, ends: &Ends) {
        let trigrams = &mut self.trigrams;
        for (first, seconds) in self.place.twos() {
            for second in each(seconds) {
                trigrams.follow(first, second, ends.first);
            }
        }
        for second in each(self.place.last()) {
            for (first, next) in ends.first_two() {
                trigrams.follow(second, first, next);
            }
        }
    }

    /// Reads the text that surely stands here.
    fn read_text(&mut self) {
        let text = std::mem::take(&mut self.text);
        if let Some(first) = text.first() {
            for (before, seconds) in self.place.twos() {
                for second in each(seconds) {
                    self.trigrams.follow(before, second, only(kind(*first)));
                }
            }
            if let Some(next) = text.get(1) {
                for second in each(self.place.last()) {
                    self.trigrams.follow(second, kind(*first), only(kind(*next)));
                }
            }
            self.read(&text);
            let mut ends = Ends::default();
            self.add_ends(&text, &mut ends);
            if self.place.run > 0 && ends.leading_run > 0 {
                self.identifiers.note_unread_run(self.place.run + ends.leading_run);
            }
            self.place.pass(&ends);
        }
        self.text = text;
        self.text.clear();
    }
}

const TOO_LONG: Malformed = Malformed("a value is too long");

/// The digit of a number below 16.
fn hex_digit(number: u8) -> u8 {
    if number < 10 { b'0' + number } else { b'a' + number - 10 }
}
