//! Compressed bytes of a group, and stamps, which tell what cannot be among the values of a column.

use std::cell::RefCell;
use std::ops::Deref;

use timberyard_model::fields::ByteSet;
use zstd::bulk::{Compressor, Decompressor};

use super::needle::Piece;
use super::stretches::Stretches;
use super::strings::{Budget, Span};
use crate::codec::{Malformed, Reader, checksum, put_u64, put_varint};
use timberyard_model::buffer::Buffer;

const STORED: u8 = 0;
const ZSTD: u8 = 1;
/// Bytes of the varint for the stored length of a compressed frame, padded: up to 2^35.
const LENGTH_BYTES: usize = 5;

/// Which kinds of bytes the values of a column have, and how long the longest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    classes: u8,
    len_max: u32,
}

/// Compressed or stored bytes.
#[derive(Clone, Copy)]
pub(super) struct Frame<'g> {
    kind: u8,
    plain_len: usize,
    bytes: &'g [u8],
    /// Of the bytes, unless somebody else has checked them.
    checksum: Option<u64>,
}

/// The bytes of a frame before compression.
pub(super) enum Plain<'g> {
    /// They were stored as they are.
    Stored(&'g [u8]),
    /// They were decompressed.
    Inflated(Buffer),
}

/// The kind of decimal digits.
pub(super) const CLASS_DIGIT: u8 = 1;
/// The kind of the letters that are hexadecimal digits.
pub(super) const CLASS_HEX_LETTER: u8 = 2;

/// The kind of a byte, one bit each: arithmetic and no table, so that many bytes are looked at together.
#[inline]
pub(super) const fn class(byte: u8) -> u8 {
    let digit = (byte.wrapping_sub(b'0') < 10) as u8 * CLASS_DIGIT;
    let hex_letter = (byte.wrapping_sub(b'a') < 6) as u8 * CLASS_HEX_LETTER;
    let letter = (byte.wrapping_sub(b'g') < 20) as u8 * 4;
    let capital = (byte.wrapping_sub(b'A') < 26) as u8 * 8;
    let space = (byte == b' ') as u8 * 16;
    let mark = (byte.wrapping_sub(b'-') < 3) as u8 | (byte == b':') as u8 | (byte == b'_') as u8;
    let high = (byte >= 0x80) as u8 * 128;
    let found = digit | hex_letter | letter | capital | space | (mark * 32) | high;
    found | ((found == 0) as u8 * 64)
}

/// The bytes of each kind.
const CLASS_BYTES: [ByteSet; 8] = {
    let mut kinds = [ByteSet::NONE; 8];
    let mut byte = 0;
    while byte < 256 {
        let kind = class(byte as u8).trailing_zeros() as usize;
        kinds[kind] = kinds[kind].with(&[byte as u8]);
        byte += 1;
    }
    kinds
};

/// The kinds of all these bytes.
pub(super) fn classes(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |classes, byte| classes | class(*byte))
}

impl Stamp {
    /// One bit for each kind of bytes that values have.
    pub(super) fn kinds(self) -> u8 {
        self.classes
    }

    /// Of the longest value, in bytes.
    pub(super) fn len_max(self) -> usize {
        self.len_max as usize
    }

    /// Of values with these kinds of bytes.
    pub(super) fn of(classes: u8, values: &[Span]) -> Self {
        Self { classes, len_max: values.iter().map(|value| value.len).max().unwrap_or(0) }
    }

    /// Of decimal numbers.
    pub(super) fn of_digits(len_max: u32) -> Self {
        Self { classes: CLASS_DIGIT, len_max }
    }

    /// Whether a value could hold the piece; never wrong when it says no.
    pub(super) fn may_hold(self, piece: Piece<'_>) -> bool {
        piece.len() <= self.len_max as usize && self.has_classes_of(piece)
    }

    fn has_classes_of(self, piece: Piece<'_>) -> bool {
        if !piece.ignores_case() {
            return classes(piece.bytes()) & !self.classes == 0;
        }
        // A small letter may stand there as a capital.
        piece.bytes().iter().all(|byte| (class(*byte) | class(byte.to_ascii_uppercase())) & self.classes != 0)
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.push(self.classes);
        put_varint(out, u64::from(self.len_max));
    }

    /// Bytes that include all of the values'.
    pub(super) fn bytes_at_most(self) -> ByteSet {
        let kinds = (0..CLASS_BYTES.len()).filter(|bit| self.classes >> bit & 1 == 1);
        kinds.fold(ByteSet::NONE, |bytes, bit| bytes.or(CLASS_BYTES[bit]))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { classes: reader.byte()?, len_max: reader.bounded(u32::MAX as usize)? as u32 })
    }
}

impl<'g> Frame<'g> {
    /// Appends `plain` with what is needed to read it, compressed where that makes it smaller.
    pub(super) fn write(
        compressor: &mut Compressor<'_>,
        plain: &[u8],
        stretches: &Stretches,
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let start = out.len();
        out.push(ZSTD);
        put_varint(out, plain.len() as u64);
        // The length as stored is known only afterwards: five bytes hold any that fits.
        let length_at = out.len();
        let body_at = length_at + LENGTH_BYTES;
        out.resize(body_at, 0);
        stretches.compress(compressor, plain, 0, out)?;
        let len = out.len() - body_at;
        if len < plain.len() {
            for (i, byte) in out[length_at..body_at].iter_mut().enumerate() {
                *byte = (len >> (7 * i)) as u8 & 0x7f | if i + 1 < LENGTH_BYTES { 0x80 } else { 0 };
            }
        } else {
            out.truncate(length_at);
            out[start] = STORED;
            put_varint(out, plain.len() as u64);
            out.extend_from_slice(plain);
        }
        Ok(())
    }

    pub(super) fn read(reader: &mut Reader<'g>) -> Result<Self, Malformed> {
        let kind = reader.byte()?;
        let plain_len = reader.bounded(u32::MAX as usize)?;
        let len = reader.bounded(u32::MAX as usize)?;
        if kind > ZSTD || (kind == STORED && plain_len != len) {
            return Err(Malformed("a frame has no such kind"));
        }
        Ok(Self { kind, plain_len, bytes: reader.take(len)?, checksum: None })
    }

    /// Appends the bytes from a place on to `out`, compressed where that makes them smaller, and what is needed to read them
    /// to `head`.
    pub(super) fn write_apart(
        compressor: &mut Compressor<'_>,
        (bytes, from, stretches): (&[u8], usize, &Stretches),
        head: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let (start, plain) = (out.len(), &bytes[from..]);
        stretches.compress(compressor, bytes, from, out)?;
        let is_smaller = out.len() - start < plain.len();
        if !is_smaller {
            out.truncate(start);
            out.extend_from_slice(plain);
        }
        head.push(if is_smaller { ZSTD } else { STORED });
        put_varint(head, plain.len() as u64);
        put_varint(head, (out.len() - start) as u64);
        put_u64(head, checksum(&out[start..]));
        Ok(())
    }

    /// A frame that `head` says how to read; its bytes are the next of `frames`.
    pub(super) fn read_apart(head: &mut Reader<'g>, frames: &mut Reader<'g>) -> Result<Self, Malformed> {
        let kind = head.byte()?;
        let plain_len = head.bounded(u32::MAX as usize)?;
        let len = head.bounded(u32::MAX as usize)?;
        let checksum = Some(head.u64()?);
        if kind > ZSTD || (kind == STORED && plain_len != len) {
            return Err(Malformed("a frame has no such kind"));
        }
        Ok(Self { kind, plain_len, bytes: frames.take(len)?, checksum })
    }

    /// The bytes before compression, after the checksum was compared.
    pub(super) fn plain(&self, budget: &mut Budget) -> Result<Plain<'g>, Malformed> {
        if self.checksum.is_some_and(|expected| checksum(self.bytes) != expected) {
            return Err(Malformed("a frame's checksum does not hold"));
        }
        if self.kind == STORED {
            return Ok(Plain::Stored(self.bytes));
        }
        budget.spend(self.plain_len)?;
        decompress(self.bytes, self.plain_len)
            .filter(|plain| plain.len() == self.plain_len)
            .map(Plain::Inflated)
            .ok_or(Malformed("a frame does not decompress"))
    }
}

impl Deref for Plain<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Stored(bytes) => bytes,
            Self::Inflated(buffer) => buffer,
        }
    }
}

/// At most `len_max` bytes; with one context a thread, since making one costs more than a small frame.
pub(crate) fn decompress(bytes: &[u8], len_max: usize) -> Option<Buffer> {
    thread_local! {
        static CONTEXT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    CONTEXT.with_borrow_mut(|context| {
        if context.is_none() {
            *context = Decompressor::new().ok();
        }
        let mut buffer = Buffer::with_room(len_max);
        context.as_mut()?.decompress_to_buffer(bytes, buffer.bytes_mut()).ok()?;
        (buffer.len() <= len_max).then_some(buffer)
    })
}
