//! Columns of whole numbers: differences to the least value or to the value before, as planes of bytes.
//!
//! ```text
//! mode u8 (0 = to the least, 1 = zigzag to the value before)   base varint   width u8   width × count bytes, lowest plane first
//! ```

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

/// Appends the numbers.
pub(crate) fn encode(numbers: &[u64], out: &mut Vec<u8>) {
    let (mut least, mut most, mut step_most) = (u64::MAX, 0, 0);
    let mut previous = numbers.first().copied().unwrap_or(0);
    let first = previous;
    for &number in numbers {
        least = least.min(number);
        most = most.max(number);
        step_most = step_most.max(zigzag(number.wrapping_sub(previous) as i64));
        previous = number;
    }
    let by_least = width(most.saturating_sub(least));
    let by_previous = width(step_most);
    if by_previous < by_least {
        out.push(TO_PREVIOUS);
        put_varint(out, first);
        let mut previous = first;
        planes(numbers, by_previous, out, |number| {
            let step = zigzag(number.wrapping_sub(previous) as i64);
            previous = number;
            step
        });
    } else {
        out.push(TO_LEAST);
        put_varint(out, if numbers.is_empty() { 0 } else { least });
        planes(numbers, by_least, out, |number| number - least);
    }
}

fn planes(numbers: &[u64], width: usize, out: &mut Vec<u8>, mut difference: impl FnMut(u64) -> u64) {
    out.push(width as u8);
    let start = out.len();
    let count = numbers.len();
    out.resize(start + width * count, 0);
    let body = &mut out[start..];
    match width {
        0 => {}
        1 => body.iter_mut().zip(numbers).for_each(|(byte, number)| *byte = difference(*number) as u8),
        _ => {
            for (i, number) in numbers.iter().enumerate() {
                let value = difference(*number).to_le_bytes();
                for plane in 0..width {
                    body[plane * count + i] = value[plane];
                }
            }
        }
    }
}

/// Reads `count` numbers.
pub(crate) fn decode(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, Malformed> {
    let mode = reader.byte()?;
    let base = reader.varint()?;
    let width = usize::from(reader.byte()?);
    if width > 8 || mode > TO_PREVIOUS {
        return Err(Malformed("a number column has no such form"));
    }
    let size = width.checked_mul(count).ok_or(Malformed("a number column is too long"))?;
    let body = reader.take(size)?;
    let mut numbers = vec![0_u64; count];
    for plane in 0..width {
        let bytes = &body[plane * count..][..count];
        numbers.iter_mut().zip(bytes).for_each(|(number, byte)| *number |= u64::from(*byte) << (8 * plane));
    }
    if mode == TO_LEAST {
        numbers.iter_mut().for_each(|number| *number = number.wrapping_add(base));
    } else {
        let mut previous = base;
        for number in &mut numbers {
            previous = previous.wrapping_add(unzigzag(*number) as u64);
            *number = previous;
        }
    }
    Ok(numbers)
}

/// Reads `count` numbers that are all below `bound`, or says `otherwise`.
pub(crate) fn decode_places(
    reader: &mut Reader<'_>,
    count: usize,
    bound: usize,
    otherwise: &'static str,
) -> Result<Vec<u32>, Malformed> {
    let places: Vec<u32> = decode(reader, count)?
        .into_iter()
        // Too large for 32 bits is too large for any bound.
        .map(|number| u32::try_from(number).unwrap_or(u32::MAX))
        .collect();
    if places.iter().any(|place| *place as usize >= bound) {
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
        ] {
            let mut bytes = Vec::new();
            encode(&numbers, &mut bytes);
            assert_eq!(decode(&mut Reader::new(&bytes), numbers.len()), Ok(numbers));
        }
    }
}
