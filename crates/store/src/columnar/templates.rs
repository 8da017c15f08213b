//! A template: what lines have in common.

use super::strings::Span;
use crate::codec::{Malformed, Reader, put_varint};

/// The literal parts of a template: one more than it has slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    lens: Vec<u32>,
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

    /// What lies between the variable parts of the line at `place` of the text.
    pub(super) fn of(text: &[u8], place: Span, parts: &[Span]) -> Self {
        let mut template = Self::default();
        let mut at = place.start;
        for part in parts {
            template.push(&text[at as usize..part.start as usize]);
            at = part.start + part.len;
        }
        template.push(&text[at as usize..(place.start + place.len) as usize]);
        template
    }

    fn push(&mut self, literal: &[u8]) {
        self.bytes.extend_from_slice(literal);
        self.lens.push(literal.len() as u32);
    }

    /// The template of values that have none of their own: one variable, all of it.
    pub(super) fn whole() -> Self {
        Self { bytes: Vec::new(), lens: vec![0, 0] }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.slots() as u64);
        for len in &self.lens {
            put_varint(out, u64::from(*len));
        }
        out.extend_from_slice(&self.bytes);
    }
}

/// The literal parts of an encoded template, still where they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literals<'g> {
    lens: Reader<'g>,
    count: usize,
    bytes: &'g [u8],
}

impl<'g> Literals<'g> {
    pub(super) fn parse(reader: &mut Reader<'g>) -> Result<Self, Malformed> {
        let slots = reader.bounded(super::tokenize::SLOTS_MAX)?;
        let lens = *reader;
        let mut total = 0;
        for _ in 0..=slots {
            total += reader.bounded(u32::MAX as usize)?;
        }
        Ok(Self { lens, count: slots + 1, bytes: reader.take(total)? })
    }

    /// Slots between them.
    pub(super) fn slots(&self) -> usize {
        self.count - 1
    }

    /// In their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'g [u8]> + use<'g> {
        let Self { mut lens, count, mut bytes } = *self;
        (0..count).map(move |_| {
            let len = lens.varint().unwrap_or_default() as usize;
            let (literal, rest) = bytes.split_at_checked(len).unwrap_or_default();
            bytes = rest;
            literal
        })
    }
}
