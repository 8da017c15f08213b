//! Numbers and packed hex digits are searched as they are, without spelling them.

use std::ops::RangeInclusive;

use memchr::memmem::Finder;
use timberyard_model::decimal;

use super::hex::NIBBLE;
use super::hex_search::PackedHex;
use super::matches::Matches;
use super::needle::{Piece, Test};
use super::numbers::Numbers;
use super::spelling::spell_number;

/// The most digits of which every number fits 64 bits.
const DIGITS_MAX: usize = 19;

/// Which of these numbers pass, written with so many digits, or with `fixed` 0 without leading zeros.
pub(super) fn test_numbers(fixed: usize, numbers: &Numbers, test: Test<'_>) -> Matches {
    let Some(most) = numbers.most() else { return Matches::None };
    let piece = test.piece();
    let Some(digits) = Digits::of(piece.bytes()) else {
        // Nothing is looked for, or more digits than there are.
        let is_everywhere = piece.len() == 0 && !matches!(test, Test::Equals(_));
        return if is_everywhere { Matches::All } else { Matches::None };
    };
    let passes = |test: &dyn Fn(u64) -> bool| Matches::from_rows(numbers.map(test));
    match test {
        Test::Equals(_) if spell_number(digits.value, fixed, &mut { decimal::ROOM }) == piece.bytes() => {
            passes(&|number| number == digits.value)
        }
        Test::Equals(_) => Matches::None,
        Test::Prefix(_) => {
            let ranges = digits.ranges_of_prefix(fixed);
            if ranges.iter().all(|range| *range.start() > most) {
                return Matches::None;
            }
            passes(&|number| ranges.iter().any(|range| range.contains(&number)))
        }
        // A number without leading zeros needs to be as long as what is looked for.
        _ if fixed == 0 && most < digits.least => Matches::None,
        _ if fixed > 0 && fixed < digits.len => Matches::None,
        Test::Suffix(_) => passes(&|number| digits.end(number, fixed)),
        Test::Contains(_) => passes(&|number| digits.are_in(number, fixed)),
    }
}

/// Decimal digits that are looked for.
struct Digits {
    value: u64,
    len: usize,
    /// Ten to the power of `len`.
    modulus: u64,
    /// The least number without leading zeros that has as many digits.
    least: u64,
}

impl Digits {
    fn of(bytes: &[u8]) -> Option<Self> {
        let len = bytes.len();
        if len == 0 || len > DIGITS_MAX || !bytes.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let value = bytes.iter().fold(0, |value, byte| value * 10 + u64::from(byte - b'0'));
        Some(Self { value, len, modulus: 10_u64.pow(len as u32), least: least(len) })
    }

    /// The numbers that begin with these digits.
    fn ranges_of_prefix(&self, fixed: usize) -> Vec<RangeInclusive<u64>> {
        let from = |behind: usize| {
            let tens = 10_u64.checked_pow(behind as u32)?;
            let first = self.value.checked_mul(tens)?;
            Some(first..=first.saturating_add(tens - 1))
        };
        if fixed > 0 {
            return fixed.checked_sub(self.len).and_then(from).into_iter().collect();
        }
        match self.value {
            // Only the number 0 begins with a zero.
            0 if self.len == 1 => vec![0..=0],
            value if value < self.least => Vec::new(),
            _ => (0..=DIGITS_MAX).map_while(from).collect(),
        }
    }

    /// Whether the number, which is as long as these digits, ends with them.
    fn end(&self, number: u64, fixed: usize) -> bool {
        number % self.modulus == self.value && (fixed > 0 || number >= self.least)
    }

    fn are_in(&self, mut number: u64, fixed: usize) -> bool {
        let mut left = fixed;
        loop {
            if self.end(number, left) {
                return true;
            }
            number /= 10;
            left = left.saturating_sub(1);
            let is_over = if fixed > 0 { left < self.len } else { number < self.least.max(1) };
            if is_over {
                return false;
            }
        }
    }
}

/// The least number that is written with so many digits and no leading zeros.
fn least(len: usize) -> u64 {
    if len == 1 { 0 } else { 10_u64.pow(len as u32 - 1) }
}

/// Which values, all of them digits, hold the piece; `None` when it is too short to be searched like this.
pub(super) fn hex_with(hex: PackedHex<'_>, piece: Piece<'_>) -> Option<Matches> {
    let PackedHex { packed, width, count, .. } = hex;
    let nibbles: Vec<u8> = piece.bytes().iter().map(|byte| NIBBLE[*byte as usize]).collect();
    if nibbles.len() < 3 {
        return None;
    }
    let mut rows = Vec::new();
    // Its first digit is the first or the second one of a byte.
    for skipped in [0, 1] {
        let whole = nibbles.get(skipped..).unwrap_or_default();
        let bytes: Vec<u8> = whole.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        let finder = Finder::new(&bytes);
        let mut from = 0;
        while let Some(found) = finder.find(&packed[from..]) {
            let at = from + found;
            from = at + 1;
            let row = at / width;
            let value = &packed[row * width..][..width];
            let start = 2 * (at % width);
            let digit = |place: usize| value[place / 2] >> (4 * (1 - place % 2)) & 0xf;
            let fits = start >= skipped && start - skipped + nibbles.len() <= 2 * width;
            if fits && nibbles.iter().zip(start - skipped..).all(|(nibble, place)| digit(place) == *nibble) {
                rows.resize(count, false);
                rows[row] = true;
            }
        }
    }
    Some(Matches::from_rows(rows))
}

#[cfg(test)]
mod tests {
    use timberyard_model::required_literals::Literal;

    use super::super::needle::Needle;
    use super::*;

    /// The naive answer is to write the number.
    #[test]
    fn numbers_are_searched_as_if_they_were_written() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let fixed = [0, 0, 1, 3, 5, 19][random.usize(..6)];
            let digits = if fixed == 0 { random.u32(1..20) } else { fixed as u32 };
            let mut number = || {
                let most = 10_u64.pow(random.u32(1..=digits.min(19)));
                random.u64(..most)
            };
            let numbers: Vec<u64> = (0..8).map(|_| number()).collect();
            let source = numbers[random.usize(..8)].to_string();
            let (start, zeros) = (random.usize(..source.len()), ["", "", "", "0", "00"][random.usize(..5)]);
            let end = random.usize(start..source.len()) + 1;
            let text = format!("{zeros}{}", &source[start..end]);
            let needle = Needle::new(&Literal::from(text.as_bytes())).expect("a literal");
            let piece = needle.piece();
            for test in
                [Test::Contains(&needle), Test::Prefix(piece), Test::Suffix(piece), Test::Equals(piece)]
            {
                let found = test_numbers(fixed, &Numbers::Long(numbers.clone()), test);
                for (row, number) in numbers.iter().enumerate() {
                    let written = spell_number(*number, fixed, &mut { decimal::ROOM }).to_vec();
                    let expected = test.passes(&written);
                    assert_eq!(found.has(row), expected, "{text} {}", String::from_utf8_lossy(&written));
                }
            }
        }
    }
}
