//! What tells, in a few bytes beside a group, that no line of it can hold a text: neither its columns nor its head are read
//! then.
//!
//! ```text
//! gate   version u8 (1), longest run of hexadecimal digits varint, known u8, probes u8
//!        trigrams string, bits of words the rest
//! ```

mod builder;
mod ends;
mod identifiers;
mod questions;
#[cfg(test)]
mod tests;
mod trigrams;

use identifiers::IdentifierFilter;

pub(super) use builder::{EncodedColumn, GateBuilder};
pub(super) use questions::GateQuestions;

use crate::codec::{Malformed, Reader, put_bytes, put_varint};

const VERSION: u8 = 1;
const KNOWS_LONG: u8 = 1;
const KNOWS_SHORT: u8 = 2;
const KNOWS_UUIDS: u8 = 4;

/// The gate of a group, read.
pub(crate) struct Gate<'g> {
    /// Nothing where they would say nothing.
    trigrams: &'g [u8],
    identifiers: IdentifierFilter<'g>,
}

impl<'g> Gate<'g> {
    fn write(trigrams: &[u8], identifiers: &IdentifierFilter<'_>, out: &mut Vec<u8>) {
        let when = |so: bool, bit: u8| if so { bit } else { 0 };
        out.push(VERSION);
        put_varint(out, identifiers.longest as u64);
        out.push(
            when(identifiers.knows_long, KNOWS_LONG)
                | when(identifiers.knows_short, KNOWS_SHORT)
                | when(identifiers.knows_uuids, KNOWS_UUIDS),
        );
        out.push(identifiers.probes);
        put_bytes(out, trigrams);
        out.extend_from_slice(identifiers.bits);
    }

    pub(crate) fn read(bytes: &'g [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != VERSION {
            return Err(Malformed("a gate is of no known version"));
        }
        let longest = reader.bounded(u32::MAX as usize)?;
        let known = reader.byte()?;
        let probes = reader.byte()?;
        let trigrams = reader.bytes()?;
        if !trigrams::is_size(trigrams.len()) {
            return Err(Malformed("a gate's trigrams are not as many as they can be"));
        }
        let identifiers = IdentifierFilter {
            longest,
            knows_long: known & KNOWS_LONG != 0,
            knows_short: known & KNOWS_SHORT != 0,
            knows_uuids: known & KNOWS_UUIDS != 0,
            probes,
            bits: reader.rest(),
        };
        Ok(Self { trigrams, identifiers })
    }

    /// Whether a line of the group could hold the text, in whatever case; never wrong when it says no.
    pub(crate) fn may_hold(&self, text: &[u8]) -> bool {
        (self.trigrams.is_empty() || trigrams::may_hold(self.trigrams, text))
            && self.identifiers.may_hold(text)
    }
}
