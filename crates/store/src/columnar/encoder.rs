//! Lines into the bytes of a group.

use zstd::bulk::Compressor;

use super::column_encoder;
use super::cursor::put_varint;
use super::frame::{Frame, Stamp};
use super::integer;
use super::strings::{Span, Strings};
use super::templates::TemplateTable;
use super::tokenize::tokenize;

/// Columns smaller than this lie together in the head.
pub(super) const OWN_FRAME_BYTES: usize = 4096;
/// The zstd level: on such columns a higher one gains nothing worth its time.
const LEVEL: i32 = 1;

/// Encodes groups of lines; keeps its compression context between groups.
pub(crate) struct Encoder {
    compressor: Compressor<'static>,
}

impl Encoder {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { compressor: Compressor::new(LEVEL)? })
    }

    /// Appends the group of these lines: together less than 4 GiB.
    pub(crate) fn encode(&mut self, lines: &Strings, out: &mut Vec<u8>) -> std::io::Result<()> {
        let text = &lines.bytes;
        let mut table = TemplateTable::new();
        let mut spans = Vec::new();
        let mut ids = Vec::with_capacity(lines.len());
        let mut offset = 0;
        for &end in &lines.ends {
            let line = &text[offset as usize..end as usize];
            tokenize(line, offset, &mut spans);
            ids.push(u64::from(table.file(line, offset, &spans)));
            offset = end;
        }

        let (mut head, mut frames, mut blob) = (Vec::new(), Vec::new(), Vec::new());
        put_varint(&mut head, lines.len() as u64);
        put_varint(&mut head, text.len() as u64);
        put_varint(&mut head, table.filled.len() as u64);
        table.filled.iter().for_each(|filled| filled.template.write(&mut head));
        integer::encode(&ids, &mut blob);
        self.place(&blob, &[], text, &mut head, &mut frames)?;
        for values in table.filled.iter().flat_map(|filled| &filled.columns) {
            blob.clear();
            column_encoder::encode(text, values, &mut blob);
            self.place(&blob, values, text, &mut head, &mut frames)?;
        }
        Frame::write(&mut self.compressor, &head, out)?;
        out.extend_from_slice(&frames);
        Ok(())
    }

    /// Puts a column into the head, or into a frame of its own with its stamp in the head.
    fn place(
        &mut self,
        blob: &[u8],
        values: &[Span],
        text: &[u8],
        head: &mut Vec<u8>,
        frames: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        if blob.len() < OWN_FRAME_BYTES {
            put_varint(head, blob.len() as u64 + 1);
            head.extend_from_slice(blob);
            Ok(())
        } else {
            put_varint(head, 0);
            Stamp::of(text, values).write(head);
            Frame::write(&mut self.compressor, blob, frames)
        }
    }
}
