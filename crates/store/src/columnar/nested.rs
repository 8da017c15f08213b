//! A column inside a column: values as templates whose slots are runs of digits and hexadecimal words, such as times,
//! addresses, paths with ids, and messages with numbers.
//!
//! Values of more templates than are worth having lie beside the others as they are.

use super::classes::Classes;
use super::column_encoder::{
    CONSTANT, DICTIONARY, DIGITS, DIGITS_MAX, FEW, NESTED, PlainEncoder, RAW, SAMPLE,
};
use super::distinct;
use super::frame::{CLASS_DIGIT, Stamp, classes};
use super::integer::{self, Bounds};
use super::shapes::{Blotted, Shapes};
use super::strings::Span;
use super::template_tree::{Found, TemplateTree};
use super::templates::Template;
use super::tokenize::{Line, Reading};
use super::words::{decimal, word_at};
use crate::codec::{put_bytes, put_varint};

/// The template of values that have none of their own.
const WHOLE: u32 = 0;
/// So many values may be without a template before it matters how many have one.
const WHOLE_FREE: usize = 64;

/// Encodes nested columns; keeps its memory between them.
#[derive(Default)]
pub(super) struct Nested {
    shapes: Shapes,
    /// Of no bytes: only digits are looked for.
    classes: Classes,
    tree: TemplateTree,
    parts: Vec<Span>,
    /// The first of them is that of whole values.
    templates: Vec<Filled>,
    templates_len: usize,
    templates_max: usize,
    /// Values without a template of their own.
    whole: Vec<Span>,
    /// The template of each value.
    ids: Vec<u32>,
    runs: Vec<Run>,
    /// Of each slot of what was encoded last.
    stamps: Vec<Stamp>,
    /// Of each of its templates.
    rows: Vec<usize>,
}

/// A template with its values.
#[derive(Default)]
struct Filled {
    template: Template,
    /// The shape of each value.
    shapes: Vec<u32>,
    slots: Vec<Slot>,
}

/// What stands in one slot: numbers, or hexadecimal words.
#[derive(Default)]
struct Slot {
    numbers: Vec<u64>,
    words: Vec<Span>,
    holds_words: bool,
    /// How many digits the shortest and the longest run has.
    len_min: u32,
    len_max: u32,
}

/// A run of at most 19 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    number: u64,
    len: u32,
}

impl Nested {
    /// About how much memory it keeps for the next column, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        let of_slot = |slot: &Slot| {
            slot.numbers.capacity() * size_of::<u64>() + slot.words.capacity() * size_of::<Span>()
        };
        let of_template = |filled: &Filled| {
            filled.shapes.capacity() * size_of::<u32>() + filled.slots.iter().map(of_slot).sum::<usize>()
        };
        self.templates.iter().map(of_template).sum()
    }

    /// Appends the values, unless most of them have no template, and gives the kinds of their bytes.
    pub(super) fn encode(
        &mut self,
        text: &[u8],
        values: &[Span],
        plain: &mut PlainEncoder,
        out: &mut Vec<u8>,
    ) -> Option<u8> {
        self.clear();
        self.templates_max = (values.len() / 16).clamp(8, 1024);
        for (filed, value) in values.iter().enumerate() {
            self.file(*value, text);
            if self.whole.len() > WHOLE_FREE + filed / 4 * 3 {
                return None;
            }
        }
        let templates = self.templates.get(..self.templates_len).unwrap_or_default();
        out.push(NESTED);
        put_varint(out, templates.len() as u64);
        let mut found = CLASS_DIGIT;
        for Filled { template, .. } in templates {
            template.write(out);
            template.literals().for_each(|literal| found |= classes(literal));
        }
        integer::encode(&self.ids, out);
        let classes = plain.encode_plain(text, &self.whole, out);
        self.stamps.push(Stamp::of(classes, &self.whole));
        self.rows.push(self.whole.len());
        found |= classes;
        for filled in &templates[1..] {
            self.rows.push(filled.shapes.len());
            for slot in 0..filled.template.slots() {
                let classes = filled.encode_slot(slot, text, &self.shapes, &mut self.runs, plain, out);
                self.stamps.push(filled.slot_stamp(slot, classes));
                found |= classes;
            }
        }
        Some(found)
    }

    /// Of each slot of what was encoded last, template after template.
    pub(super) fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// How many values each template of what was encoded last has.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Forgets what was encoded last.
    pub(super) fn forget(&mut self) {
        self.stamps.clear();
        self.rows.clear();
    }

    fn clear(&mut self) {
        self.shapes.clear();
        self.tree.clear();
        self.templates_len = 0;
        self.add(Template::whole());
        self.whole.clear();
        self.ids.clear();
    }

    fn add(&mut self, template: Template) {
        if self.templates.len() == self.templates_len {
            self.templates.push(Filled::default());
        }
        if let Some(filled) = self.templates.get_mut(self.templates_len) {
            filled.clear(template);
        }
        self.templates_len += 1;
    }

    /// Puts the runs of a value into its template.
    fn file(&mut self, value: Span, text: &[u8]) {
        let blotted = Blotted::of(text, value);
        let shape = match &blotted {
            Some(blotted) => self.shapes.number(blotted),
            None => self.shapes.next_number(),
        };
        if shape as usize == self.shapes.len() {
            self.add_shape(blotted.as_ref(), value, text);
        }
        let template = self.shapes.template(shape);
        self.ids.push(template);
        if template == WHOLE {
            self.whole.push(value);
            return;
        }
        let filled = &mut self.templates[template as usize];
        filled.shapes.push(shape);
        for (slot, run) in filled.slots.iter_mut().zip(self.shapes.runs(shape)) {
            let start = value.start + run.offset;
            if slot.holds_words {
                slot.words.push(Span { start, len: run.len });
            } else {
                slot.numbers.push(number_at(text, start as usize, run.len as usize));
            }
        }
    }

    #[inline(never)]
    fn add_shape(&mut self, blotted: Option<&Blotted>, value: Span, text: &[u8]) {
        let line = Line::new(text, value, &self.classes);
        let room = self.templates_len < self.templates_max;
        let template = match self.tree.find(line, Reading::Value, room, &mut self.parts) {
            Found::None => WHOLE,
            Found::Known(number) => number + 1,
            Found::New(number) => {
                self.add(Template::of(text, value, &self.parts));
                if let Some(filled) = self.templates.get_mut(number as usize + 1) {
                    filled.note_words(text, &self.parts);
                }
                number + 1
            }
        };
        let fits = self.parts.iter().all(|part| part.len as usize <= DIGITS_MAX || !is_number(part.of(text)));
        let template = if fits { template } else { WHOLE };
        self.shapes.add(blotted, value, template, &self.parts);
        if template != WHOLE {
            self.templates[template as usize].note_lens(&self.parts);
        }
    }
}

impl Filled {
    fn clear(&mut self, template: Template) {
        self.shapes.clear();
        self.slots.resize_with(template.slots(), Slot::default);
        for slot in &mut self.slots {
            slot.numbers.clear();
            slot.words.clear();
            slot.holds_words = false;
            (slot.len_min, slot.len_max) = (u32::MAX, 0);
        }
        self.template = template;
    }

    /// Notes which slots hold hexadecimal words: all values of a template have them in the same ones.
    fn note_words(&mut self, text: &[u8], parts: &[Span]) {
        for (slot, part) in self.slots.iter_mut().zip(parts) {
            slot.holds_words = !is_number(part.of(text));
        }
    }

    /// Notes the lengths of the runs of a new shape.
    fn note_lens(&mut self, runs: &[Span]) {
        for (slot, run) in self.slots.iter_mut().zip(runs) {
            slot.len_min = slot.len_min.min(run.len);
            slot.len_max = slot.len_max.max(run.len);
        }
    }

    /// The stamp of a slot whose values have these kinds of bytes.
    fn slot_stamp(&self, number: usize, classes: u8) -> Stamp {
        match self.slots.get(number) {
            Some(slot) if slot.holds_words => Stamp::of(classes, &slot.words),
            Some(slot) => Stamp::of_digits(slot.len_max),
            None => Stamp::default(),
        }
    }

    /// Appends the column of one slot, and gives the kinds of its bytes.
    fn encode_slot(
        &self,
        number: usize,
        text: &[u8],
        shapes: &Shapes,
        runs: &mut Vec<Run>,
        plain: &mut PlainEncoder,
        out: &mut Vec<u8>,
    ) -> u8 {
        let Some(slot) = self.slots.get(number) else { return 0 };
        if slot.holds_words {
            return plain.encode_plain(text, &slot.words, out);
        }
        let Some(first) = slot.numbers.first() else { return 0 };
        let bounds = Bounds::of(&slot.numbers);
        let same_len = slot.len_min == slot.len_max;
        if same_len && bounds.least == bounds.most {
            out.push(CONSTANT);
            put_bytes(out, Run { number: *first, len: slot.len_min }.write(&mut [0; DIGITS_MAX]));
            return CLASS_DIGIT;
        }
        let lens = self.shapes.iter().map(|shape| shapes.runs(*shape).get(number).map_or(0, |run| run.len));
        let all = || slot.numbers.iter().zip(lens.clone()).map(|(number, len)| Run { number: *number, len });
        let canonical = match same_len {
            true => Run { number: bounds.least, len: slot.len_min }.is_canonical(),
            false => all().all(Run::is_canonical),
        };
        let regular = same_len || canonical;
        // Small differences are as small as numbers of dictionary entries would be.
        if !(regular && bounds.most - bounds.least < 256) {
            runs.clear();
            runs.extend(all());
            let sample = Sample::of(runs);
            let distinct_max = match regular {
                _ if sample.few => 256.min(runs.len() / 2 + 1),
                false if sample.repeats => (runs.len() / 4).min(1 << 16),
                _ => 0,
            };
            if distinct_max > 0 && dictionary(runs, distinct_max, plain, out) {
                return CLASS_DIGIT;
            }
        }
        if regular {
            out.push(DIGITS);
            out.push(if canonical { 0 } else { slot.len_min as u8 });
            integer::encode_within(&slot.numbers, bounds, out);
        } else {
            raw(runs, plain, out);
        }
        CLASS_DIGIT
    }
}

fn is_number(part: &[u8]) -> bool {
    part.iter().all(u8::is_ascii_digit)
}

/// The number that at most 19 digits are.
#[inline]
fn number_at(text: &[u8], start: usize, len: usize) -> u64 {
    if len <= 8 { decimal(word_at(text, start), len) } else { long_number_at(text, start, len) }
}

#[inline(never)]
fn long_number_at(text: &[u8], start: usize, len: usize) -> u64 {
    let (mut at, mut rest, mut number) = (start, len, 0_u64);
    while rest > 0 {
        let digits = rest.min(8);
        number = number * POWERS[digits] + decimal(word_at(text, at), digits);
        (at, rest) = (at + digits, rest - digits);
    }
    number
}

/// The powers of ten that fit 64 bits.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut i = 1;
    while i < 20 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

impl Run {
    /// Whether the number without leading zeros has as many digits.
    #[inline]
    fn is_canonical(self) -> bool {
        self.len == 1 || self.number >= POWERS[self.len as usize - 1]
    }

    /// Its digits.
    fn write(self, digits: &mut [u8; DIGITS_MAX]) -> &[u8] {
        let digits = &mut digits[..self.len as usize];
        let mut number = self.number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        digits
    }

    fn hash(self) -> u64 {
        let product = u128::from(self.number ^ u64::from(self.len) << 58) * 0x9e37_79b9_7f4a_7c15;
        (product >> 64) as u64 ^ product as u64
    }
}

/// How many different runs there are in a sample.
struct Sample {
    few: bool,
    repeats: bool,
}

impl Sample {
    fn of(runs: &[Run]) -> Self {
        let step = runs.len().div_ceil(SAMPLE);
        let sampled = runs.len().div_ceil(step);
        let mut hashes = [0_u64; SAMPLE];
        runs.iter().step_by(step).zip(&mut hashes).for_each(|(run, hash)| *hash = run.hash());
        let distinct = distinct::count(&hashes[..sampled]);
        Self { few: distinct <= FEW.min(sampled / 2), repeats: distinct <= sampled * 3 / 4 }
    }
}

fn dictionary(runs: &[Run], distinct_max: usize, plain: &mut PlainEncoder, out: &mut Vec<u8>) -> bool {
    let PlainEncoder { distinct, ids, .. } = plain;
    let mut known: Vec<Run> = Vec::new();
    distinct.clear();
    ids.clear();
    for run in runs {
        let id = distinct.number(run.hash(), |number| known[number as usize] == *run);
        if id as usize == known.len() {
            if known.len() == distinct_max {
                return false;
            }
            known.push(*run);
        }
        ids.push(id);
    }
    out.push(DICTIONARY);
    put_varint(out, known.len() as u64);
    known.iter().for_each(|run| put_bytes(out, run.write(&mut [0; DIGITS_MAX])));
    integer::encode(ids, out);
    true
}

fn raw(runs: &[Run], plain: &mut PlainEncoder, out: &mut Vec<u8>) {
    out.push(RAW);
    plain.ids.clear();
    plain.ids.extend(runs.iter().map(|run| run.len));
    integer::encode(&plain.ids, out);
    runs.iter().for_each(|run| out.extend_from_slice(run.write(&mut [0; DIGITS_MAX])));
}
