//! Lines into the bytes of a group.

use zstd::bulk::Compressor;

use super::column_encoder;
use super::frame::{Frame, Stamp};
use super::integer;
use super::strings::{Span, Strings};
use super::templates::TemplateTable;
use super::tokenize::tokenize;
use crate::codec::put_varint;

/// Columns smaller than this lie together in the head.
pub(super) const OWN_FRAME_BYTES: usize = 4096;
/// The zstd level: on such columns a higher one gains nothing worth its time.
const LEVEL: i32 = 1;

/// Encodes groups of lines; keeps its memory and its compression context between groups.
pub(crate) struct Encoder {
    table: TemplateTable,
    compressor: Compressor<'static>,
    head: Vec<u8>,
    frames: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> std::io::Result<Self> {
        let compressor = Compressor::new(LEVEL)?;
        Ok(Self { table: TemplateTable::new(), compressor, head: Vec::new(), frames: Vec::new() })
    }

    /// Appends the group of these lines: together less than 4 GiB.
    pub(crate) fn encode(&mut self, lines: &Strings, out: &mut Vec<u8>) -> std::io::Result<()> {
        let Self { table, compressor, head, frames } = self;
        table.clear();
        head.clear();
        frames.clear();
        let text = &lines.bytes;
        let mut spans = Vec::new();
        let mut ids = Vec::with_capacity(lines.len());
        let mut offset = 0;
        for &end in &lines.ends {
            let line = &text[offset as usize..end as usize];
            tokenize(line, offset, &mut spans);
            ids.push(u64::from(table.file(line, offset, &spans)));
            offset = end;
        }

        put_varint(head, lines.len() as u64);
        put_varint(head, text.len() as u64);
        put_varint(head, table.filled.len() as u64);
        table.filled.iter().for_each(|filled| filled.template.write(head));
        let mut blob = Vec::new();
        integer::encode(&ids, &mut blob);
        let mut places = Places { compressor, head, frames };
        places.place(&blob, &[], text)?;
        for values in table.filled.iter().flat_map(|filled| &filled.columns) {
            blob.clear();
            column_encoder::encode(text, values, &mut blob);
            places.place(&blob, values, text)?;
        }
        Frame::write(compressor, head, out)?;
        out.extend_from_slice(frames);
        Ok(())
    }
}

/// Where the columns of a group go.
struct Places<'e> {
    compressor: &'e mut Compressor<'static>,
    head: &'e mut Vec<u8>,
    frames: &'e mut Vec<u8>,
}

impl Places<'_> {
    /// Puts a column into the head, or into a frame of its own with its stamp in the head.
    fn place(&mut self, blob: &[u8], values: &[Span], text: &[u8]) -> std::io::Result<()> {
        if blob.len() < OWN_FRAME_BYTES {
            put_varint(self.head, blob.len() as u64 + 1);
            self.head.extend_from_slice(blob);
            Ok(())
        } else {
            put_varint(self.head, 0);
            Stamp::of(text, values).write(self.head);
            Frame::write(self.compressor, blob, self.frames)
        }
    }
}
