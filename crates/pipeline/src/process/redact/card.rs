//! Numbers of payment cards: 13 to 19 digits, perhaps in groups with a space or hyphen between, that begin as an issuer's
//! do and whose last digit is right by Luhn's rule (ISO/IEC 7812-1).
//!
//! A number stands alone: letters and digits right beside it make it part of something else, such as a trace id.

use std::ops::Range;

use super::Detector;

/// The fewest and most digits of a number.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

pub(super) struct Card;

impl Detector for Card {
    fn find(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let mut at = from;
        loop {
            let start = at + text.get(at..)?.iter().position(u8::is_ascii_digit)?;
            let run = Run::at(text, start);
            if let Some(found) = run.card(text) {
                return Some(found);
            }
            at = run.end;
        }
    }
}

/// Groups of digits with one space or hyphen between each two of them.
struct Run {
    groups: Vec<Range<usize>>,
    end: usize,
}

impl Run {
    fn at(text: &[u8], start: usize) -> Self {
        let mut groups = Vec::new();
        let mut at = start;
        loop {
            let digits = text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
            let end = at + digits.count();
            groups.push(at..end);
            let is_separated = matches!(text.get(end), Some(b' ' | b'-'));
            if !is_separated || !text.get(end + 1).is_some_and(u8::is_ascii_digit) {
                return Self { groups, end };
            }
            at = end + 1;
        }
    }

    /// The first number that begins and ends with a group, the longest of those that begin there.
    fn card(&self, text: &[u8]) -> Option<Range<usize>> {
        for (first, from) in self.groups.iter().enumerate() {
            let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            let before = from.start.checked_sub(1).and_then(|before| text.get(before));
            if is_word(before) {
                continue;
            }
            let mut digits = Vec::with_capacity(*DIGITS.end());
            let mut found = None;
            for to in self.groups.iter().skip(first) {
                let group = text.get(to.clone()).unwrap_or_default();
                if digits.len() + group.len() > *DIGITS.end() {
                    break;
                }
                digits.extend(group.iter().map(|byte| byte - b'0'));
                if !is_word(text.get(to.end)) && is_card(&digits) {
                    found = Some(from.start..to.end);
                }
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

fn is_card(digits: &[u8]) -> bool {
    let number =
        |count: usize| digits.iter().take(count).fold(0u32, |value, digit| value * 10 + u32::from(*digit));
    let length = digits.len();
    let is_issued = match (number(1), number(2), number(4)) {
        (4, ..) => matches!(length, 13 | 16 | 19),
        (_, 34 | 37, _) => length == 15,
        (_, 51..=55, _) | (.., 2221..=2720) => length == 16,
        (_, 36 | 38 | 39, _) | (.., 3000..=3059 | 3095) => (14..=19).contains(&length),
        (.., 3528..=3589) => (16..=19).contains(&length),
        (_, 62 | 65, _) | (.., 6011 | 6440..=6499) => (16..=19).contains(&length),
        (_, 50 | 56..=58 | 63 | 67, _) => DIGITS.contains(&length),
        _ => false,
    };
    is_issued && luhn(digits)
}

/// Whether the last digit is right: every second digit from the end counts twice, and all together are a multiple of ten.
fn luhn(digits: &[u8]) -> bool {
    let doubled = |(place, digit): (usize, &u8)| match (place % 2, *digit * 2) {
        (0, _) => u32::from(*digit),
        (_, twice) => u32::from(if twice > 9 { twice - 9 } else { twice }),
    };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}
