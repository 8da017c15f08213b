//! The first word of a line that is a level and stands alone, as Loki looks for it.

use timberyard_model::level::Level;

/// Places that are looked at together.
const PLACES: usize = 16;

/// The level that the line's first such word is.
pub(crate) fn level_word(line: &[u8]) -> Option<Level> {
    if let Some(level) = word_at(line, 0) {
        return Some(level);
    }
    let mut at = 1;
    // Each place with the byte before and the one behind: no word has fewer letters.
    while let Some(window) = line.get(at - 1..).and_then(<[u8]>::first_chunk::<{ PLACES + 2 }>) {
        let mut candidates = candidates(window);
        while candidates != 0 {
            let place = candidates.trailing_zeros() as usize / 8;
            if let Some(level) = word_after(line, at + place) {
                return Some(level);
            }
            candidates &= !(0xff << (8 * place));
        }
        at += PLACES;
    }
    (at..line.len()).find_map(|at| word_after(line, at))
}

/// Places between the first and the last byte at which a word may begin, by what stands before and its first two letters:
/// a byte that is not zero for each. Arithmetic and no table, so that all are looked at together.
fn candidates(window: &[u8; PLACES + 2]) -> u128 {
    let mut found = [0_u8; PLACES];
    for (place, found) in found.iter_mut().enumerate() {
        // In small letters; what else comes to be one is sorted out later.
        let (before, first, second) = (window[place], window[place + 1] | 0x20, window[place + 2] | 0x20);
        let starts = (before <= b')') | (before == b'=') | (before | 0x20 == b'{') | (before == b'|');
        let begins = ((second == b'r') & ((first == b't') | (first == b'c') | (first == b'e')))
            | ((second == b'a') & ((first == b'f') | (first == b'w')))
            | ((second == b'e') & (first == b'd'))
            | ((second == b'n') & (first == b'i'));
        *found = u8::from(starts & begins);
    }
    u128::from_le_bytes(found)
}

/// The level word that begins at `at`, if one may begin there.
fn word_after(line: &[u8], at: usize) -> Option<Level> {
    let before = *line.get(at.checked_sub(1)?)?;
    if class_of(before) & STARTS_WORD != 0 { word_at(line, at) } else { None }
}

/// The level word that begins at `at` and ends where one may end.
fn word_at(line: &[u8], at: usize) -> Option<Level> {
    let tail = line.get(at..)?;
    let (length, level) = level_word_prefix(tail)?;
    tail.get(length).is_none_or(|next| class_of(*next) & ENDS_WORD != 0).then_some(level)
}

/// A level word may follow this byte. Not a colon: in `misc:error` the word is a part.
const STARTS_WORD: u8 = 1 << 4;
/// A level word may end before this byte. Here a colon may: `error: no route`.
const ENDS_WORD: u8 = 1 << 1;
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let both = b" \t\n[({\"'=|";
    let mut i = 0;
    while i < both.len() {
        classes[both[i] as usize] = STARTS_WORD | ENDS_WORD;
        i += 1;
    }
    let ends = b"])}:,!";
    i = 0;
    while i < ends.len() {
        classes[ends[i] as usize] = ENDS_WORD;
        i += 1;
    }
    classes
};

#[inline]
fn class_of(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

fn level_word_prefix(text: &[u8]) -> Option<(usize, Level)> {
    const fn words_from(first: u8) -> &'static [(&'static [u8], Level)] {
        match first {
            b't' => &[(b"trace", Level::Trace)],
            b'd' => &[(b"debug", Level::Debug)],
            b'f' => &[(b"fatal", Level::Fatal)],
            b'c' => &[(b"critical", Level::Critical)],
            b'e' => &[(b"error", Level::Error), (b"err", Level::Error)],
            b'w' => &[(b"warning", Level::Warn), (b"warn", Level::Warn)],
            b'i' => &[(b"info", Level::Info)],
            _ => &[],
        }
    }
    let words = words_from(text.first()?.to_ascii_lowercase());
    words.iter().find_map(|(word, level)| {
        let start = text.get(..word.len())?;
        start.eq_ignore_ascii_case(word).then_some((word.len(), *level))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::random_numbers;

    /// Looking at one place after the other.
    fn naive(line: &[u8]) -> Option<Level> {
        word_at(line, 0).or_else(|| (1..line.len()).find_map(|at| word_after(line, at)))
    }

    #[test]
    fn the_first_word_is_found_wherever_it_stands() {
        let pieces: [&[u8]; 20] = [
            b"error",
            b"INFO",
            b"warn",
            b"Warning",
            b"err",
            b"debug",
            b"critical",
            b"fatal",
            b"trace",
            b"info",
            b" ",
            b"=",
            b":",
            b"x",
            b"[",
            b"|",
            b"er",
            b"\"",
            b"\xff",
            b"in a longer word ",
        ];
        let mut random = random_numbers();
        let mut found = 0;
        for _ in 0..50_000 {
            let line: Vec<u8> = (0..random(9)).flat_map(|_| pieces[random(20)].to_vec()).collect();
            assert_eq!(level_word(&line), naive(&line), "{}", String::from_utf8_lossy(&line));
            found += usize::from(naive(&line).is_some());
        }
        assert!(found > 10_000);
    }
}
