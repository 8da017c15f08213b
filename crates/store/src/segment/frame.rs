//! Compressed stretches of a segment: a zstd frame, or the bytes as they are when that is not smaller.

use std::sync::Mutex;

use zstd::bulk::Compressor;

use crate::codec::{Malformed, Reader, checksum, put_u64, put_varint};
use crate::columnar::{Encoder, Stretches, Strings, decompress};
use crate::core::lock;
use timberyard_model::buffer::Buffer;

/// zstd's fastest level keeps about as little of logs as the next ones.
const LEVEL: i32 = 1;
/// A writer that has come to more working memory than this gives it up: of many columns each grows to what the longest
/// needed.
const SPARE_BYTES_MAX: usize = 8 << 20;
/// No stretch is longer than this after decompression, in bytes.
const RAW_BYTES_MAX: usize = 1 << 30;

/// Where a stretch ends and how it is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Bytes in the file.
    pub(crate) stored: u32,
    /// Bytes after decompression.
    pub(crate) raw: u32,
    /// Checksum of the bytes in the file.
    pub(crate) checksum: u64,
}

/// Compresses one stretch after the other with the same working memory, which is kept for the next writer: to let it grow
/// again for each segment costs more than some columns.
pub(crate) struct FrameWriter {
    compressor: Option<Compressor<'static>>,
    lines: Option<Encoder>,
}

/// The working memory that no writer has.
static SPARE: Mutex<Option<(Compressor<'static>, Encoder)>> = Mutex::new(None);

impl FrameWriter {
    pub(crate) fn new() -> Self {
        match lock(&SPARE).take() {
            Some((compressor, lines)) => Self { compressor: Some(compressor), lines: Some(lines) },
            // Without memory for a compressor everything is stored as it is.
            None => Self { compressor: Compressor::new(LEVEL).ok(), lines: Encoder::new().ok() },
        }
    }

    /// Gives up the working memory that no writer has.
    pub(crate) fn forget_spare() {
        drop(lock(&SPARE).take());
    }

    /// Appends `raw`, compressed if that helps, to `out`.
    pub(crate) fn write(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<Frame, Malformed> {
        self.write_stretches(raw, &Stretches::default(), out)
    }

    /// The same, with stretches of it compressed by themselves.
    pub(crate) fn write_stretches(
        &mut self,
        raw: &[u8],
        stretches: &Stretches,
        out: &mut Vec<u8>,
    ) -> Result<Frame, Malformed> {
        if raw.len() > RAW_BYTES_MAX {
            return Err(Malformed("stretch is longer than 1 GiB"));
        }
        let start = out.len();
        let compressed =
            self.compressor.as_mut().map(|compressor| stretches.compress(compressor, raw, 0, out));
        if !matches!(compressed, Some(Ok(()))) || out.len() - start >= raw.len() {
            out.truncate(start);
            out.extend_from_slice(raw);
        }
        Ok(Frame::of(out, start, raw.len()))
    }

    /// Appends lines as templates and columns. Its length after decompression is that of the lines.
    pub(crate) fn write_lines(&mut self, lines: &Strings, out: &mut Vec<u8>) -> Result<Frame, Malformed> {
        if lines.bytes.len() > RAW_BYTES_MAX {
            return Err(Malformed("lines are longer than 1 GiB"));
        }
        let start = out.len();
        let encoder = self.lines.as_mut().ok_or(Malformed("no memory to compress"))?;
        encoder.encode(lines, out).map_err(|_| Malformed("lines do not compress"))?;
        Ok(Frame::of(out, start, lines.bytes.len()))
    }

    /// Appends the gate of the lines that were appended last, as it is; nothing if there is none.
    pub(crate) fn write_gate(&mut self, lines: &Strings, out: &mut Vec<u8>) -> Frame {
        let start = out.len();
        if let Some(encoder) = &mut self.lines {
            encoder.write_gate(lines.bytes.len(), out);
        }
        match out.len() - start {
            0 => Frame::default(),
            len => Frame::of(out, start, len),
        }
    }
}

impl Drop for FrameWriter {
    fn drop(&mut self) {
        let lines = self.lines.take().filter(|lines| lines.kept_bytes() <= SPARE_BYTES_MAX);
        if let Some(spare) = self.compressor.take().zip(lines) {
            *lock(&SPARE) = Some(spare);
        }
    }
}

impl Frame {
    /// What was appended to `out` from `start` on.
    fn of(out: &[u8], start: usize, raw: usize) -> Self {
        let written = out.get(start..).unwrap_or_default();
        Self { stored: written.len() as u32, raw: raw as u32, checksum: checksum(written) }
    }

    /// Compares length and checksum with what is in the file.
    pub(crate) fn check(&self, stored: &[u8]) -> Result<(), Malformed> {
        if stored.len() == self.stored as usize && checksum(stored) == self.checksum {
            Ok(())
        } else {
            Err(Malformed("checksum does not hold"))
        }
    }

    /// The bytes before compression, after the checksum was compared.
    pub(crate) fn read(&self, stored: &[u8]) -> Result<Buffer, Malformed> {
        self.check(stored)?;
        if self.stored == self.raw {
            return Ok(Buffer::from(stored.to_vec()));
        }
        let raw = self.raw as usize;
        if raw > RAW_BYTES_MAX {
            return Err(Malformed("stretch is longer than 1 GiB"));
        }
        let bytes = decompress(stored, raw).ok_or(Malformed("zstd frame does not hold"))?;
        if bytes.len() != raw {
            return Err(Malformed("zstd frame has another length than the footer says"));
        }
        Ok(bytes)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.stored));
        put_varint(out, u64::from(self.raw));
        put_u64(out, self.checksum);
    }

    /// The same for a stretch that is stored as it is, if there is one.
    pub(crate) fn put_plain(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.stored));
        if self.stored > 0 {
            put_u64(out, self.checksum);
        }
    }

    pub(crate) fn get_plain(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.varint_u32()? {
            0 => Ok(Self::default()),
            stored => Ok(Self { stored, raw: stored, checksum: reader.u64()? }),
        }
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { stored: reader.varint_u32()?, raw: reader.varint_u32()?, checksum: reader.u64()? })
    }
}
