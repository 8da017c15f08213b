//! Whole numbers written as decimal digits, many of them: counts in answers and numbers in decoded lines, where formatting
//! would cost several times as much as everything else.

/// Where digits are written: at the end of the first [`END`] bytes. Behind them are bytes to spare, so that digits can be
/// copied in pieces of fixed size.
pub type Room = [u8; 36];
/// A room in which nothing is written yet.
pub const ROOM: Room = [b'0'; 36];
/// Where digits in a room end. No number of 64 bits has more digits.
pub const END: usize = 20;

/// Writes a number into a fresh [`ROOM`] and says where its digits begin, which end at [`END`]. With fewer than `digits_min`
/// (at most 20) it begins with zeros.
#[inline]
pub fn write(mut number: u64, digits_min: usize, room: &mut Room) -> usize {
    let mut start = END;
    let mut pair = |unneeded: usize, number: u64| {
        start -= 2;
        let [tens, ones] = PAIRS[number as usize];
        (room[start], room[start + 1]) = (tens, ones);
        start += unneeded;
    };
    while number >= 100 {
        pair(0, number % 100);
        number /= 100;
    }
    pair(usize::from(number < 10), number);
    // Zeros are there already.
    start.min(END - digits_min.min(END))
}

/// Appends a number with at least so many digits.
pub fn append(number: u64, digits_min: usize, out: &mut Vec<u8>) {
    let mut room = ROOM;
    let start = write(number, digits_min, &mut room);
    let (digits, before) = (&room[start..], out.len());
    match digits.first_chunk::<16>() {
        // A piece of fixed size takes no call, and nearly every number is that short.
        Some(piece) if END - start <= piece.len() => out.extend_from_slice(piece),
        _ => out.extend_from_slice(digits),
    }
    out.truncate(before + END - start);
}

/// The two digits of each number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]);
        let tens = (0..20).flat_map(|digits| [10_u64.pow(digits) - 1, 10_u64.pow(digits)]);
        for number in (0..3000).chain(edges).chain(tens).chain([u64::MAX]) {
            for digits_min in [0, 1, 2, 3, 7, 19, 20] {
                let mut out = b"x".to_vec();
                append(number, digits_min, &mut out);
                assert_eq!(String::from_utf8(out), Ok(format!("x{number:0digits_min$}")));
            }
        }
    }
}
