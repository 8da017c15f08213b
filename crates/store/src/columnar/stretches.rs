//! Which stretches of bytes are compressed by themselves: the planes of numbers, and packed digits.
//!
//! zstd keeps one table of frequencies for up to 128 KiB. Where the lowest bytes of numbers, which are noise, share it
//! with the highest ones or with text, all of them get longer: times of an access log by a tenth. So each long plane is a zstd
//! frame of its own, and so is what lies between two of them. Frames one behind the other decompress like one.

use std::ops::Range;

use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

use super::column::packed_width;
use super::column_encoder::{CONSTANT, DICTIONARY, DIGITS, HEX, NESTED, RAW};
use super::integer;
use super::templates::Literals;
use crate::codec::{Malformed, Reader};

/// Shorter planes are compressed with what lies beside them: a frame takes some ten bytes more than a part of one. Tests have
/// small columns.
const STRETCH_BYTES_MIN: usize = if cfg!(test) { 64 } else { 2048 };

/// Long planes among some bytes, in their order.
#[derive(Default)]
pub(crate) struct Stretches(Vec<Range<usize>>);

impl Stretches {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Notes the planes of `count` numbers, which end at `end`.
    pub(crate) fn note_numbers(&mut self, end: usize, planes: usize, count: usize) {
        if count >= STRETCH_BYTES_MIN {
            self.0.extend((0..planes).rev().map(|plane| end - (plane + 1) * count..end - plane * count));
        }
    }

    /// Notes those of a column of `count` values that begins at `start`. `slot_rows` has the rows of each template if it is
    /// nested.
    pub(crate) fn note_column(&mut self, start: usize, blob: &[u8], count: usize, slot_rows: &[usize]) {
        if blob.len() >= STRETCH_BYTES_MIN {
            let mut walk = Walk { reader: Reader::new(blob), end: start + blob.len(), stretches: self };
            let known = walk.column(count, slot_rows);
            debug_assert!(known.is_ok(), "{known:?}");
        }
    }

    /// Appends the bytes from `from` on, compressed.
    pub(crate) fn compress(
        &self,
        compressor: &mut Compressor<'_>,
        plain: &[u8],
        from: usize,
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let mut at = from;
        for plane in self.0.iter().filter(|plane| plane.start >= from) {
            append(compressor, &plain[at..plane.start], out)?;
            append(compressor, &plain[plane.clone()], out)?;
            at = plane.end;
        }
        append(compressor, &plain[at..], out)
    }
}

/// Appends a frame of these bytes, if there are some.
fn append(compressor: &mut Compressor<'_>, plain: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    if plain.is_empty() {
        return Ok(());
    }
    let start = out.len();
    out.resize(start + compress_bound(plain.len()), 0);
    let len = compressor.compress_to_buffer(plain, &mut out[start..])?;
    out.truncate(start + len);
    Ok(())
}

/// A way through the bytes of a column.
struct Walk<'b, 's> {
    reader: Reader<'b>,
    /// Where the column ends among all bytes.
    end: usize,
    stretches: &'s mut Stretches,
}

impl Walk<'_, '_> {
    /// Where the reader is among all bytes.
    fn at(&self) -> usize {
        self.end - self.reader.rest().len()
    }

    fn column(&mut self, count: usize, slot_rows: &[usize]) -> Result<(), Malformed> {
        if count == 0 {
            return Ok(());
        }
        match self.reader.byte()? {
            CONSTANT => drop(self.reader.bytes()?),
            DIGITS => {
                self.reader.byte()?;
                self.numbers(count)?;
            }
            HEX => {
                let width = packed_width(self.reader.bytes()?)?;
                self.reader.take(width.saturating_mul(count))?;
                self.stretches.note_numbers(self.at(), 1, width * count);
            }
            DICTIONARY => {
                for _ in 0..self.reader.count()? {
                    self.reader.bytes()?;
                }
                self.numbers(count)?;
            }
            NESTED => {
                let templates = self.reader.count()?;
                let slots = (0..templates).map(|_| Ok(Literals::parse(&mut self.reader)?.iter().count() - 1));
                let slots = slots.collect::<Result<Vec<usize>, Malformed>>()?;
                self.numbers(count)?;
                for (slots, rows) in slots.into_iter().zip(slot_rows) {
                    (0..slots).try_for_each(|_| self.column(*rows, &[]))?;
                }
            }
            RAW => {
                let lens = integer::add_up(&mut self.reader.clone(), count, count)?;
                self.numbers(count)?;
                self.reader.take(usize::try_from(lens.all).map_err(|_| Malformed("a value is too long"))?)?;
            }
            _ => return Err(Malformed("a column has no such form")),
        }
        Ok(())
    }

    fn numbers(&mut self, count: usize) -> Result<(), Malformed> {
        let planes = integer::skip(&mut self.reader, count)?;
        self.stretches.note_numbers(self.at(), planes, count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::column_encoder::ColumnEncoder;
    use super::super::frame::decompress;
    use super::super::strings::Span;
    use super::*;

    /// Makes a value of a column.
    type Make<'m> = &'m dyn Fn(&mut fastrand::Rng) -> String;

    fn compressed(stretches: &Stretches, plain: &[u8], from: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut compressor = Compressor::new(1).expect("zstd works");
        stretches.compress(&mut compressor, plain, from, &mut out).expect("memory");
        assert_eq!(decompress(&out, plain.len()).expect("frames")[..], plain[from..]);
        out
    }

    /// Times and the streams of rows, as in an access log.
    #[test]
    fn numbers_that_are_half_noise_take_less_plane_by_plane() {
        let mut rng = fastrand::Rng::with_seed(1);
        let steps: Vec<u64> = (0..20_000).map(|_| (-rng.f64().ln() * 10_800_000.0) as u64).collect();
        let streams: Vec<u64> = steps.iter().map(|_| rng.u64(..10)).collect();
        let (mut plain, mut stretches) = (b"head".to_vec(), Stretches::default());
        for numbers in [steps, streams] {
            let planes = integer::encode(&numbers, &mut plain);
            stretches.note_numbers(plain.len(), planes, numbers.len());
        }
        assert_eq!(stretches.0.len(), 5);
        let (apart, together) =
            (compressed(&stretches, &plain, 0).len(), compressed(&Stretches::default(), &plain, 0).len());
        assert!(apart * 100 < together * 93, "{apart} of {together}");
    }

    #[test]
    fn the_long_planes_of_each_form_are_found() {
        let mut rng = fastrand::Rng::with_seed(2);
        let makes: [(Make<'_>, usize); 6] = [
            (&|_| "same".to_owned(), 0),
            (&|rng| rng.u32(..1 << 24).to_string(), 3),
            (&|rng| format!("{:032x}", rng.u128(..)), 1),
            (&|rng| format!("word{}", "x".repeat(rng.usize(..40))), 1),
            (&|rng| format!("{}.{}.example", rng.u16(..), rng.u8(..)), 3),
            (&|rng| (0..rng.usize(..40)).map(|_| rng.alphabetic()).collect(), 1),
        ];
        for (number, (make, planes)) in makes.into_iter().enumerate() {
            let (mut text, mut values) = (Vec::new(), Vec::new());
            for _ in 0..500 {
                let value = make(&mut rng);
                values.push(Span { start: text.len() as u32, len: value.len() as u32 });
                text.extend_from_slice(value.as_bytes());
            }
            let (mut plain, mut encoder, mut stretches) =
                (b"before".to_vec(), ColumnEncoder::default(), Stretches::default());
            let start = plain.len();
            encoder.encode(&text, &values, &mut plain);
            stretches.note_column(start, &plain[start..], values.len(), encoder.slot_rows());
            assert_eq!(stretches.0.len(), planes, "column {number}");
            assert!(stretches.0.iter().all(|plane| plane.start > start && plane.end <= plain.len()));
            let from = stretches.0.first().map_or(start, |plane| plane.start);
            [0, from].into_iter().for_each(|from| drop(compressed(&stretches, &plain, from)));
        }
    }
}
