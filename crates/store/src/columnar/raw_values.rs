//! Values that lie one after the other as they are, where they were decompressed to.

use super::integer;
use super::strings::StringsView;
use crate::codec::{Malformed, Reader};
use timberyard_model::buffer::Buffer;

/// The values of a raw column.
pub(crate) struct RawValues {
    buffer: Buffer,
    /// Where the first value begins.
    start: usize,
    /// Where each ends, from there.
    ends: Vec<u32>,
}

impl RawValues {
    /// Reads `count` values: their lengths, then all their bytes.
    pub(super) fn read(reader: &mut Reader<'_>, count: usize) -> Result<Self, Malformed> {
        let ends = read_ends(reader, count)?;
        let bytes = reader.take(ends.last().copied().unwrap_or_default() as usize)?;
        Ok(Self { buffer: Buffer::from(bytes.to_vec()), start: 0, ends })
    }

    /// The same from all of a buffer.
    pub(super) fn read_in_place(buffer: Buffer, count: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new(&buffer);
        let ends = read_ends(&mut reader, count)?;
        let start = buffer.len() - reader.rest().len();
        reader.take(ends.last().copied().unwrap_or_default() as usize)?;
        Ok(Self { buffer, start, ends })
    }

    #[inline]
    pub(super) fn view(&self) -> StringsView<'_> {
        StringsView { bytes: self.bytes(), ends: &self.ends }
    }

    fn bytes(&self) -> &[u8] {
        let len = self.ends.last().copied().unwrap_or_default() as usize;
        &self.buffer[self.start..][..len]
    }
}

fn read_ends(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>, Malformed> {
    let mut end = 0_u64;
    let lens = integer::decode(reader, count)?.into_iter();
    let ends: Vec<u32> = lens
        .map(|len| {
            end = end.saturating_add(len);
            end as u32
        })
        .collect();
    // Ends never become less: if the last fits, all do.
    if end > u64::from(u32::MAX) {
        return Err(Malformed("a column is too long"));
    }
    Ok(ends)
}
