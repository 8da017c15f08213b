//! Columns of whole numbers: differences to the least value or to the value before, as planes of bytes.
//!
//! ```text
//! mode u8 (0 = to the least, 1 = zigzag to the value before)   base varint   width u8   width × count bytes, lowest plane first
//! ```

use super::numbers::Numbers;
use crate::codec::{Malformed, Reader, put_varint};

const TO_LEAST: u8 = 0;
const TO_PREVIOUS: u8 = 1;

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn width(max: u64) -> usize {
    (64 - max.leading_zeros() as usize).div_ceil(8)
}

/// What is to be known of numbers to encode them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: u64,
    pub(super) most: u64,
    /// The bits of all zigzag differences to the number before together: as many as those of the longest.
    steps: u64,
}

impl Bounds {
    pub(super) fn of<T: Copy + Into<u64>>(numbers: &[T]) -> Self {
        let first: u64 = numbers.first().copied().map_or(0, Into::into);
        let mut bounds = Self { least: first, most: first, steps: 0 };
        let mut previous = first;
        for number in numbers {
            let number = (*number).into();
            bounds.least = bounds.least.min(number);
            bounds.most = bounds.most.max(number);
            bounds.steps |= zigzag(number.wrapping_sub(previous) as i64);
            previous = number;
        }
        bounds
    }
}

/// Appends the numbers; gives how many planes they have.
pub(crate) fn encode<T: Copy + Into<u64>>(numbers: &[T], out: &mut Vec<u8>) -> usize {
    encode_within(numbers, Bounds::of(numbers), out)
}

/// Appends the numbers, whose bounds are these; gives how many planes they have.
pub(super) fn encode_within<T: Copy + Into<u64>>(numbers: &[T], bounds: Bounds, out: &mut Vec<u8>) -> usize {
    let Bounds { least, most, steps } = bounds;
    let first: u64 = numbers.first().copied().map_or(0, Into::into);
    let by_least = width(most - least);
    let by_previous = width(steps);
    let count = numbers.len();
    if by_previous < by_least {
        out.push(TO_PREVIOUS);
        put_varint(out, first);
        out.push(by_previous as u8);
        for shift in (0..8 * by_previous).step_by(8) {
            out.push(0);
            out.extend(numbers.windows(2).map(|pair| {
                let (previous, number): (u64, u64) = (pair[0].into(), pair[1].into());
                (zigzag(number.wrapping_sub(previous) as i64) >> shift) as u8
            }));
        }
    } else {
        out.push(TO_LEAST);
        put_varint(out, least);
        out.push(by_least as u8);
        out.reserve(by_least * count);
        for shift in (0..8 * by_least).step_by(8) {
            out.extend(numbers.iter().map(|number| (((*number).into() - least) >> shift) as u8));
        }
    }
    by_previous.min(by_least)
}

/// Reads `count` numbers.
pub(crate) fn decode(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, Malformed> {
    let planes = Planes::read(reader, count)?;
    let mut numbers = planes.sums();
    if planes.mode == TO_PREVIOUS {
        let mut previous = planes.base;
        for number in &mut numbers {
            previous = previous.wrapping_add(unzigzag(*number) as u64);
            *number = previous;
        }
    }
    Ok(numbers)
}

/// Reads `count` numbers in few bytes each.
pub(super) fn decode_small(reader: &mut Reader<'_>, count: usize) -> Result<Numbers, Malformed> {
    let mut ahead = *reader;
    let planes = Planes::read(&mut ahead, count)?;
    // Hostile numbers that wrap around are as long as they are.
    let fits = planes.base.checked_add(u64::from(u16::MAX)).is_some();
    let numbers = match (planes.mode, planes.width) {
        (TO_LEAST, 1) if fits => Numbers::Bytes(planes.base, planes.plane(0).to_vec()),
        (TO_LEAST, 2) if fits => {
            let pairs = planes.plane(0).iter().zip(planes.plane(1));
            Numbers::Pairs(planes.base, pairs.map(|(low, high)| u16::from_le_bytes([*low, *high])).collect())
        }
        _ => return Ok(Numbers::Long(decode(reader, count)?)),
    };
    *reader = ahead;
    Ok(numbers)
}

/// Numbers still as planes of bytes.
struct Planes<'r> {
    mode: u8,
    base: u64,
    count: usize,
    width: usize,
    bytes: &'r [u8],
}

impl<'r> Planes<'r> {
    fn read(reader: &mut Reader<'r>, count: usize) -> Result<Self, Malformed> {
        let mode = reader.byte()?;
        let base = reader.varint()?;
        let width = usize::from(reader.byte()?);
        if width > 8 || mode > TO_PREVIOUS {
            return Err(Malformed("a number column has no such form"));
        }
        let size = width.checked_mul(count).ok_or(Malformed("a number column is too long"))?;
        Ok(Self { mode, base, count, width, bytes: reader.take(size)? })
    }

    fn plane(&self, plane: usize) -> &'r [u8] {
        &self.bytes[plane * self.count..][..self.count]
    }

    /// The bytes of one number.
    #[inline]
    fn bits(&self, index: usize) -> u64 {
        let byte = |plane: usize| u64::from(self.bytes[plane * self.count + index]) << (8 * plane);
        match self.width {
            0 => 0,
            1 => byte(0),
            width => (0..width).fold(0, |bits, plane| bits | byte(plane)),
        }
    }

    /// Differences to the least with it, the others as they are. Numbers of few bytes are put together in one go.
    fn sums(&self) -> Vec<u64> {
        let least = if self.mode == TO_LEAST { self.base } else { 0 };
        match self.width {
            0 => vec![least; self.count],
            1 => self.plane(0).iter().map(|byte| least.wrapping_add(u64::from(*byte))).collect(),
            2 => {
                let pairs = self.plane(0).iter().zip(self.plane(1));
                pairs
                    .map(|(low, high)| least.wrapping_add(u16::from_le_bytes([*low, *high]).into()))
                    .collect()
            }
            width => {
                let mut numbers = vec![0_u64; self.count];
                for plane in 0..width {
                    let bytes = self.plane(plane);
                    numbers
                        .iter_mut()
                        .zip(bytes)
                        .for_each(|(number, byte)| *number |= u64::from(*byte) << (8 * plane));
                }
                numbers.iter_mut().for_each(|number| *number = number.wrapping_add(least));
                numbers
            }
        }
    }
}

/// The number at `index` of `count`; decodes no more than it takes.
pub(super) fn decode_one(reader: &mut Reader<'_>, count: usize, index: usize) -> Result<u64, Malformed> {
    let planes = Planes::read(reader, count)?;
    if index >= count {
        return Err(Malformed("a number column has no such number"));
    }
    Ok(match planes.mode {
        TO_LEAST => planes.base.wrapping_add(planes.bits(index)),
        _ => {
            (0..=index).fold(planes.base, |number, at| number.wrapping_add(unzigzag(planes.bits(at)) as u64))
        }
    })
}

/// Numbers added up that stand for lengths.
pub(super) struct Sums {
    /// Of those before one of them.
    pub(super) before: u64,
    /// That one.
    pub(super) one: u64,
    /// Of all.
    pub(super) all: u64,
}

/// Adds up the numbers before the one at `index` and all of `count`; all but the last sum mean nothing if there is no such
/// number.
pub(super) fn add_up(reader: &mut Reader<'_>, count: usize, index: usize) -> Result<Sums, Malformed> {
    let planes = Planes::read(reader, count)?;
    let mut sums = Sums { before: 0, one: 0, all: 0 };
    let mut number = planes.base;
    for at in 0..count {
        number = match planes.mode {
            TO_LEAST => planes.base.wrapping_add(planes.bits(at)),
            _ => number.wrapping_add(unzigzag(planes.bits(at)) as u64),
        };
        if at == index {
            (sums.before, sums.one) = (sums.all, number);
        }
        sums.all = sums.all.saturating_add(number);
    }
    Ok(sums)
}

/// Passes over `count` numbers; gives how many planes they have.
pub(super) fn skip(reader: &mut Reader<'_>, count: usize) -> Result<usize, Malformed> {
    Planes::read(reader, count).map(|planes| planes.width)
}

/// Reads `count` numbers that are all below `bound`, or says `otherwise`.
pub(crate) fn decode_places(
    reader: &mut Reader<'_>,
    count: usize,
    bound: usize,
    otherwise: &'static str,
) -> Result<Vec<u32>, Malformed> {
    let mut ahead = *reader;
    let planes = Planes::read(&mut ahead, count)?;
    let places: Vec<u32> = match (planes.mode, planes.width, u32::try_from(planes.base)) {
        // Most are: a few templates or words of a dictionary.
        (TO_LEAST, 1, Ok(least)) => {
            *reader = ahead;
            planes.plane(0).iter().map(|byte| least.saturating_add(u32::from(*byte))).collect()
        }
        _ => {
            // Too large for 32 bits is too large for any bound.
            let numbers = decode(reader, count)?.into_iter();
            numbers.map(|number| u32::try_from(number).unwrap_or(u32::MAX)).collect()
        }
    };
    if places.iter().copied().max().is_some_and(|most| most as usize >= bound) {
        return Err(Malformed(otherwise));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for numbers in [
            vec![],
            vec![7],
            vec![u64::MAX, 0, 1 << 63],
            (0..1000).map(|i| 1_700_000_000_000 + i * 3).collect(),
            (0..1000).map(|i| i * i % 977).collect::<Vec<u64>>(),
            (0..1000).map(|i| 70 + i * i % 200).collect(),
            (0..1000).map(|i| u64::MAX - i * i % 200_000).collect(),
            vec![u64::MAX; 9],
        ] {
            let mut bytes = Vec::new();
            encode(&numbers, &mut bytes);
            let (mut passing, mut reader) = (Reader::new(&bytes), Reader::new(&bytes));
            skip(&mut passing, numbers.len()).expect("valid");
            assert!(passing.is_empty());
            let most = numbers.iter().copied().max().unwrap_or(0) as usize;
            if most < 100_000 {
                let places = decode_places(&mut Reader::new(&bytes), numbers.len(), most + 1, "too large");
                let places: Vec<u64> = places.expect("small").into_iter().map(u64::from).collect();
                assert_eq!(places, numbers);
                let refused = decode_places(&mut Reader::new(&bytes), numbers.len(), most, "too large");
                assert!(refused.is_err() || numbers.is_empty());
            }
            let small = decode_small(&mut Reader::new(&bytes), numbers.len()).expect("valid");
            assert_eq!(
                (small.map(|number| number), small.most()),
                (numbers.clone(), numbers.iter().max().copied())
            );
            for (index, number) in numbers.iter().enumerate() {
                assert_eq!(small.get(index), Some(*number));
                let one = decode_one(&mut Reader::new(&bytes), numbers.len(), index);
                assert_eq!(one, Ok(*number));
            }
            assert_eq!(small.get(numbers.len()), None);
            assert_eq!(decode(&mut reader, numbers.len()), Ok(numbers));
            assert!(reader.is_empty());
        }
    }
}
