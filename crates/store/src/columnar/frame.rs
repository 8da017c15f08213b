//! Where the bytes of a column are: among the small ones, or in a compressed frame of their own with a stamp that
//! tells what cannot be in it.

use std::borrow::Cow;
use std::cell::RefCell;

use timberyard_model::fields::ByteSet;
use zstd::bulk::{Compressor, Decompressor};

use super::column_encoder::CONSTANT;
use super::needle::Piece;
use super::strings::{Budget, Span};
use crate::codec::{Malformed, Reader, put_varint};

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

/// The bytes of a column.
pub(super) enum Blob<'g> {
    /// Small columns lie in the group's head.
    Small(&'g [u8]),
    /// Larger ones in a frame.
    Framed(Stamp, Frame<'g>),
}

/// Compressed or stored bytes.
#[derive(Clone, Copy)]
pub(super) struct Frame<'g> {
    kind: u8,
    plain_len: usize,
    bytes: &'g [u8],
}

/// The kind of decimal digits.
pub(super) const CLASS_DIGIT: u8 = 1;
/// The kind of the letters that are hexadecimal digits.
pub(super) const CLASS_HEX_LETTER: u8 = 2;

/// The kind of a byte, one bit each: arithmetic and no table, so that many bytes are looked at together.
#[inline]
const fn class(byte: u8) -> u8 {
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
    /// Of values with these kinds of bytes.
    pub(super) fn of(classes: u8, values: &[Span]) -> Self {
        Self { classes, len_max: values.iter().map(|value| value.len).max().unwrap_or(0) }
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

    fn bytes_at_most(self) -> ByteSet {
        let kinds = (0..CLASS_BYTES.len()).filter(|bit| self.classes >> bit & 1 == 1);
        kinds.fold(ByteSet::NONE, |bytes, bit| bytes.or(CLASS_BYTES[bit]))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { classes: reader.byte()?, len_max: reader.bounded(u32::MAX as usize)? as u32 })
    }
}

impl Blob<'_> {
    /// The value of a column that has only one, when that can be seen here.
    pub(super) fn constant(&self) -> Result<Option<&[u8]>, Malformed> {
        match self {
            Self::Small(bytes) if bytes.first() == Some(&CONSTANT) => {
                Ok(Some(Reader::new(&bytes[1..]).bytes()?))
            }
            _ => Ok(None),
        }
    }

    /// Bytes that include all of the values', when that is known without looking at them.
    pub(super) fn bytes_at_most(&self) -> Option<ByteSet> {
        match self {
            Self::Small(_) => None,
            Self::Framed(stamp, _) => Some(stamp.bytes_at_most()),
        }
    }

    /// Whether a value could hold the piece; never wrong when it says no.
    pub(super) fn may_hold(&self, piece: Piece<'_>) -> bool {
        match self {
            Self::Small(_) => true,
            Self::Framed(stamp, _) => piece.len() <= stamp.len_max as usize && stamp.has_classes_of(piece),
        }
    }

    pub(super) fn plain(&self, budget: &mut Budget) -> Result<Cow<'_, [u8]>, Malformed> {
        match self {
            Self::Small(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Framed(_, frame) => frame.plain(budget),
        }
    }
}

impl<'g> Frame<'g> {
    /// Appends `plain`, compressed where that makes it smaller.
    pub(super) fn write(
        compressor: &mut Compressor<'_>,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let start = out.len();
        out.push(ZSTD);
        put_varint(out, plain.len() as u64);
        // The length as stored is known only afterwards: five bytes hold any that fits.
        let length_at = out.len();
        let body_at = length_at + LENGTH_BYTES;
        out.resize(body_at + zstd::zstd_safe::compress_bound(plain.len()), 0);
        let len = compressor.compress_to_buffer(plain, &mut out[body_at..])?;
        if len < plain.len() {
            out.truncate(body_at + len);
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
        Ok(Self { kind, plain_len, bytes: reader.take(len)? })
    }

    pub(super) fn plain(&self, budget: &mut Budget) -> Result<Cow<'g, [u8]>, Malformed> {
        if self.kind == STORED {
            return Ok(Cow::Borrowed(self.bytes));
        }
        budget.spend(self.plain_len)?;
        decompress(self.bytes, self.plain_len)
            .filter(|plain| plain.len() == self.plain_len)
            .map(Cow::Owned)
            .ok_or(Malformed("a frame does not decompress"))
    }
}

/// At most `len_max` bytes; with one context a thread, since making one costs more than a small frame.
pub(crate) fn decompress(bytes: &[u8], len_max: usize) -> Option<Vec<u8>> {
    thread_local! {
        static CONTEXT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    CONTEXT.with_borrow_mut(|context| {
        if context.is_none() {
            *context = Decompressor::new().ok();
        }
        context.as_mut()?.decompress(bytes, len_max).ok()
    })
}
