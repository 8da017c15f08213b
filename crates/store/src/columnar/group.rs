//! The bytes of a group, opened: searched and spelled out.
//!
//! ```text
//! group      version u8 (2), frame of the head, checksum of all that u64, then the bytes of large columns' frames in order
//! head       rows varint   bytes of all lines varint   templates varint, of each rows varint and template
//!            column of template numbers, columns of each template's slots in order
//! column     1 + length varint, bytes, of a nested column stamps of slots      or 0, stamp, outline string, stamps of slots, frame without its bytes
//! stamp      kinds of bytes u8, length of the longest value varint
//! frame      kind u8 (0 stored, 1 zstd)   length varint   length as stored varint   checksum u64   bytes
//! ```

use super::blob::Blob;
use super::encoder::OWN_FRAME_BYTES;
use super::frame::{Frame, Plain, Stamp};
use super::integer;
use super::matches::Matches;
use super::needle::Needle;
use super::slot::Slot;
use super::strings::{Budget, Strings};
use super::table::Table;
use super::template_list::TemplateList;
use crate::codec::{Malformed, Reader, checksum};
use timberyard_model::buffer::Buffer;

/// The first byte of a group that is written today.
pub(super) const VERSION: u8 = 2;
/// Rows that a group may have: each costs some memory even when it is empty.
const ROWS_MAX: usize = 1 << 24;

/// The bytes of a group with its head decompressed.
pub(crate) struct GroupBytes<'b> {
    is_outlined: bool,
    head: Plain<'b>,
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
        let is_outlined = Self::checks_itself(group);
        if is_outlined {
            frames.byte()?;
        }
        let head = Frame::read(&mut frames)?;
        if is_outlined {
            let checked = group.len() - frames.rest().len();
            if frames.u64()? != checksum(&group[..checked]) {
                return Err(Malformed("the checksum of a head does not hold"));
            }
        }
        let head = head.plain(&mut budget)?;
        Ok(Self { is_outlined, head, frames: frames.rest(), bytes_max, budget })
    }

    /// Whether what is read of a group is compared with checksums inside of it. Groups of version 1, which begin with the
    /// kind of a frame, have none.
    pub(crate) fn checks_itself(group: &[u8]) -> bool {
        group.first() == Some(&VERSION)
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
        let mut table = if bytes.is_outlined {
            let templates = TemplateList::read(&mut head, templates, Some(rows))?;
            Table::new(templates, rows, outlined_blob(&mut head, &mut frames)?)?
        } else {
            let templates = TemplateList::read(&mut head, templates, None)?;
            let ids = next_blob(&mut head, &mut frames)?.plain(&mut budget)?;
            let ids = integer::decode_places(&mut Reader::new(&ids), rows, templates.len(), NO_TEMPLATE)?;
            Table::of(templates, ids)?
        };
        let next_blob = if bytes.is_outlined { outlined_blob } else { next_blob };
        table.fill(|_| Ok(Slot::closed(next_blob(&mut head, &mut frames)?)))?;
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
            lines.bytes = Buffer::with_room(self.text_bytes).into_bytes();
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

/// The next column of a group of version 1.
fn next_blob<'g>(head: &mut Reader<'g>, frames: &mut Reader<'g>) -> Result<Blob<'g>, Malformed> {
    match head.bounded(OWN_FRAME_BYTES)? {
        0 => Ok(Blob::framed(Stamp::read(head)?, Frame::read(frames)?)),
        len => Ok(Blob::small(head.take(len - 1)?)),
    }
}

/// The next column of a group.
fn outlined_blob<'g>(head: &mut Reader<'g>, frames: &mut Reader<'g>) -> Result<Blob<'g>, Malformed> {
    match head.bounded(OWN_FRAME_BYTES)? {
        0 => Blob::read_outlined(head, frames),
        len => Blob::read_small(head, len - 1),
    }
}
