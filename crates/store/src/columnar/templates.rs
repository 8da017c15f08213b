//! The templates of a group: what lines have in common, found again by hash and compared byte by byte.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;

use xxhash_rust::xxh3::xxh3_64;

use super::strings::Span;
use crate::codec::{Malformed, Reader, put_varint};

/// Templates that may exist before most lines must be known ones.
const FREE_TEMPLATES: usize = 512;
/// The template of lines that have none of their own: one variable, the whole line.
pub(crate) const WHOLE_LINE: u32 = 0;

/// For keys that are good hashes already, or, as labels, hash as one number.
pub(crate) type Prehashed = BuildHasherDefault<Identity>;

/// A key that is already a good hash.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        // Only u64 keys are ever hashed.
        debug_assert!(false);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// The literal parts of a template: one more than it has slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    lens: Vec<u32>,
}

/// A template with the values of each slot so far.
pub(crate) struct Filled {
    pub(crate) template: Template,
    pub(crate) rows: u32,
    pub(crate) columns: Vec<Vec<Span>>,
}

/// All templates of one group while it is being encoded.
pub(crate) struct TemplateTable {
    numbers: HashMap<u64, u32, Prehashed>,
    pub(crate) filled: Vec<Filled>,
    rows: usize,
    key: Template,
    spare_columns: Vec<Vec<Span>>,
}

impl Template {
    /// Slots between the literal parts.
    pub(crate) fn slots(&self) -> usize {
        self.lens.len() - 1
    }

    /// The literal parts in order.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.lens.iter().map(move |len| {
            let part = &self.bytes[start..][..*len as usize];
            start += *len as usize;
            part
        })
    }

    /// What lies between the spans of a line.
    fn read(&mut self, line: &[u8], offset: u32, spans: &[Span]) {
        self.bytes.clear();
        self.lens.clear();
        let mut at = 0;
        for span in spans {
            let start = (span.start - offset) as usize;
            self.bytes.extend_from_slice(&line[at..start]);
            self.lens.push((start - at) as u32);
            at = start + span.len as usize;
        }
        self.bytes.extend_from_slice(&line[at..]);
        self.lens.push((line.len() - at) as u32);
    }

    fn hash(&self) -> u64 {
        let mut shape = 0x9e37_79b9_7f4a_7c15_u64;
        for len in &self.lens {
            shape = (shape.rotate_left(5) ^ u64::from(*len)).wrapping_mul(0x9fb2_1c65_1e98_df25);
        }
        xxh3_64(&self.bytes) ^ shape
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.slots() as u64);
        for len in &self.lens {
            put_varint(out, u64::from(*len));
        }
        out.extend_from_slice(&self.bytes);
    }

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let slots = reader.bounded(super::tokenize::SLOTS_MAX)?;
        let mut lens = Vec::with_capacity(slots + 1);
        let mut total = 0;
        for _ in 0..=slots {
            let len = reader.bounded(u32::MAX as usize)?;
            total += len;
            lens.push(len as u32);
        }
        Ok(Self { bytes: reader.take(total)?.to_vec(), lens })
    }
}

impl TemplateTable {
    pub(crate) fn new() -> Self {
        let mut table = Self {
            numbers: HashMap::default(),
            filled: Vec::new(),
            rows: 0,
            key: Template::default(),
            spare_columns: Vec::new(),
        };
        table.clear();
        table
    }

    /// Forgets all templates but that of whole lines, and keeps the memory for the next group.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.rows = 0;
        for mut column in self.filled.drain(..).flat_map(|filled| filled.columns) {
            column.clear();
            self.spare_columns.push(column);
        }
        self.add(Template { bytes: Vec::new(), lens: vec![0, 0] });
    }

    fn add(&mut self, template: Template) -> u32 {
        let columns = (0..template.slots()).map(|_| self.spare_columns.pop().unwrap_or_default()).collect();
        self.filled.push(Filled { template, rows: 0, columns });
        (self.filled.len() - 1) as u32
    }

    /// Files a line under its template and gives that one's number.
    pub(crate) fn file(&mut self, line: &[u8], offset: u32, spans: &[Span]) -> u32 {
        self.rows += 1;
        self.key.read(line, offset, spans);
        let hash = self.key.hash();
        let number = match self.numbers.get(&hash) {
            // Two templates with one hash: the later one goes without.
            Some(number) if !self.same(*number) => WHOLE_LINE,
            Some(number) => *number,
            None if self.filled.len() > FREE_TEMPLATES.max(self.rows / 4) => WHOLE_LINE,
            None => {
                let number = self.add(self.key.clone());
                self.numbers.insert(hash, number);
                number
            }
        };
        let filled = &mut self.filled[number as usize];
        filled.rows += 1;
        if number == WHOLE_LINE {
            filled.columns[0].push(Span { start: offset, len: line.len() as u32 });
        } else {
            for (column, span) in filled.columns.iter_mut().zip(spans) {
                column.push(*span);
            }
        }
        number
    }

    fn same(&self, number: u32) -> bool {
        let known = &self.filled[number as usize].template;
        known.lens == self.key.lens && known.bytes == self.key.bytes
    }
}
