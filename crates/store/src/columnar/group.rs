//! The bytes of a group, opened: searched and spelled out.
//!
//! ```text
//! group      frame of the head, then the frames of the large columns in order
//! head       rows varint   bytes of all lines varint   templates varint, templates
//!            column of template numbers, columns of each template's slots in order
//! column     1 + length varint, bytes      or 0, stamp: the next frame
//! stamp      kinds of bytes u8, length of the longest value varint
//! frame      kind u8 (0 stored, 1 zstd)   length varint   length as stored varint   bytes
//! ```

use std::borrow::Cow;

use super::encoder::OWN_FRAME_BYTES;
use super::frame::{Blob, Frame, Stamp};
use super::integer;
use super::matches::Matches;
use super::needle::Needle;
use super::strings::{Budget, Strings};
use super::table::{Slot, Table};
use super::templates::Template;
use crate::codec::{Malformed, Reader};

/// Rows that a group may have: each costs some memory even when it is empty.
const ROWS_MAX: usize = 1 << 24;

/// The bytes of a group with its head decompressed.
pub(crate) struct GroupBytes<'b> {
    head: Cow<'b, [u8]>,
    frames: &'b [u8],
    bytes_max: usize,
    budget: Budget,
}

/// An opened group.
pub(crate) struct Group<'g> {
    table: Table<'g>,
    text_bytes: usize,
    budget: Budget,
    budget_bytes: usize,
}

impl<'b> GroupBytes<'b> {
    /// Reads the head of a group of at most `bytes_max` bytes of lines.
    pub(crate) fn read(group: &'b [u8], bytes_max: usize) -> Result<Self, Malformed> {
        let mut budget = Budget(budget_of(bytes_max));
        let mut frames = Reader::new(group);
        let head = Frame::read(&mut frames)?.plain(&mut budget)?;
        Ok(Self { head, frames: frames.rest(), bytes_max, budget })
    }
}

impl<'g> Group<'g> {
    /// Opens a group; columns are not read yet.
    pub(crate) fn open(bytes: &'g GroupBytes<'_>) -> Result<Self, Malformed> {
        let bytes_max = bytes.bytes_max;
        let mut budget = Budget(bytes.budget.0);
        let mut frames = Reader::new(bytes.frames);
        let mut head = Reader::new(&bytes.head);
        let rows = head.bounded(ROWS_MAX)?;
        let text_bytes = head.bounded(bytes_max)?;
        let templates = head.bounded(rows + 1)?;
        let templates: Vec<Template> =
            (0..templates).map(|_| Template::parse(&mut head)).collect::<Result<_, _>>()?;
        let ids = next_blob(&mut head, &mut frames)?;
        let ids = &ids.plain(&mut budget)?;
        let ids = integer::decode_places(&mut Reader::new(ids), rows, templates.len(), NO_TEMPLATE)?;
        let mut table = Table::new(templates, ids)?;
        for filled in &mut table.templates {
            for _ in 0..filled.template.slots() {
                filled.slots.push(Slot::closed(next_blob(&mut head, &mut frames)?));
            }
        }
        if head.is_empty() && frames.is_empty() {
            Ok(Self { table, text_bytes, budget, budget_bytes: budget_of(bytes_max) })
        } else {
            Err(Malformed("its parts do not add up"))
        }
    }

    /// How many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes that were decompressed or put together so far.
    pub(crate) fn decompressed_bytes(&self) -> u64 {
        (self.budget_bytes - self.budget.0) as u64
    }

    /// The rows, and what reading them may still cost.
    pub(super) fn parts(&mut self) -> (&Table<'g>, &mut Budget) {
        (&self.table, &mut self.budget)
    }

    /// Lines that have the needle anywhere.
    pub(crate) fn search(&mut self, needle: &Needle) -> Result<Matches, Malformed> {
        self.table.search(needle, &mut self.budget)
    }

    /// The lines that match, in their order.
    pub(crate) fn spell(&mut self, matches: &Matches) -> Result<Strings, Malformed> {
        let mut lines = Strings::default();
        if *matches == Matches::All {
            lines.bytes.reserve(self.text_bytes);
            lines.ends.reserve(self.len());
        }
        self.table.spell(matches, &mut self.budget, &mut lines)?;
        if *matches == Matches::All && lines.bytes.len() != self.text_bytes {
            return Err(Malformed("its lines are not as long as it says"));
        }
        Ok(lines)
    }
}

/// What reading a group of so many bytes of lines may cost: a short value may take some tens of bytes in tables; hostile
/// bytes may not cost more than that.
fn budget_of(bytes_max: usize) -> usize {
    bytes_max.saturating_mul(64).saturating_add(16 << 20)
}

const NO_TEMPLATE: &str = "a template does not exist";

fn next_blob<'g>(head: &mut Reader<'g>, frames: &mut Reader<'g>) -> Result<Blob<'g>, Malformed> {
    match head.bounded(OWN_FRAME_BYTES)? {
        0 => Ok(Blob::Framed(Stamp::read(head)?, Frame::read(frames)?)),
        len => Ok(Blob::Small(head.take(len - 1)?)),
    }
}
