//! Splits what was read of a log into lines, holding no more of one than the limit.
//!
//! A line over the limit is handed on in parts, never dropped; each says which part it is. Where a part ends depends on the text alone, so
//! that it is the same whoever reads again from the beginning of the line.

use super::encoding::Encoding;

/// Room that is kept from one piece to the next.
const KEPT_BYTES: usize = 512;

/// What is left of a log that was read and is not a whole line yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unfinished {
    bytes: Vec<u8>,
    /// Up to where no line ends.
    searched: usize,
    /// Parts of this line that were handed on.
    parts: u32,
}

/// A line, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawLine<'a> {
    /// Its bytes without the line feed.
    pub(crate) bytes: &'a [u8],
    /// Bytes of the log that it took, with the line feed.
    pub(crate) taken: u64,
    /// Of a line over the limit: which part, from 1.
    pub(crate) part: Option<u32>,
}

impl Unfinished {
    /// Forgets what waits.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes in what comes next in the log and hands over the lines that are whole now.
    pub(crate) fn feed(
        &mut self,
        chunk: &[u8],
        encoding: Encoding,
        bytes_max: usize,
        mut take: impl FnMut(RawLine<'_>),
    ) {
        self.bytes.extend_from_slice(chunk);
        let mut start = 0;
        let bytes_max = (bytes_max & !1).max(2);
        loop {
            let rest = self.bytes.get(start..).unwrap_or_default();
            match encoding.line_end(rest, self.searched) {
                Some(end) if end - encoding.unit_bytes() <= bytes_max => {
                    let line = rest.get(..end - encoding.unit_bytes()).unwrap_or_default();
                    let part = (self.parts > 0).then_some(self.parts + 1);
                    take(RawLine { bytes: line, taken: end as u64, part });
                    self.parts = 0;
                    start += end;
                }
                None if rest.len() <= bytes_max => {
                    self.searched = rest.len().saturating_sub(encoding.unit_bytes() - 1);
                    break;
                }
                _ => {
                    self.parts += 1;
                    let line = rest.get(..bytes_max).unwrap_or_default();
                    take(RawLine { bytes: line, taken: bytes_max as u64, part: Some(self.parts) });
                    start += bytes_max;
                }
            }
            self.searched = 0;
        }
        self.bytes.drain(..start);
        // There may be thousands of files, and most have nothing or little that waits.
        self.bytes.shrink_to(KEPT_BYTES);
    }

    /// Hands over what waits, as the log has ended without a line feed.
    pub(crate) fn finish(&mut self, take: impl FnOnce(RawLine<'_>)) {
        if !self.bytes.is_empty() {
            let part = (self.parts > 0).then_some(self.parts + 1);
            take(RawLine { bytes: &self.bytes, taken: self.bytes.len() as u64, part });
        }
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8], step: usize, bytes_max: usize) -> Vec<(Vec<u8>, u64, Option<u32>)> {
        let mut unfinished = Unfinished::default();
        let mut lines = Vec::new();
        let mut take = |line: RawLine<'_>| lines.push((line.bytes.to_vec(), line.taken, line.part));
        for chunk in text.chunks(step) {
            unfinished.feed(chunk, Encoding::Utf8, bytes_max, &mut take);
        }
        unfinished.finish(&mut take);
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        let text = b"one\n\r\n\nexactly8\nten bytes.\ntwenty-one bytes are.\nlast";
        let whole = split(text, text.len(), 8);
        assert!((1..text.len()).all(|step| split(text, step, 8) == whole));
        assert_eq!(whole.iter().map(|(_, taken, _)| taken).sum::<u64>(), text.len() as u64);
        let parts: Vec<_> =
            whole.iter().map(|(line, _, part)| (String::from_utf8_lossy(line), *part)).collect();
        let expected = [
            ("one", None),
            ("\r", None),
            ("", None),
            ("exactly8", None),
            ("ten byte", Some(1)),
            ("s.", Some(2)),
            ("twenty-o", Some(1)),
            ("ne bytes", Some(2)),
            (" are.", Some(3)),
            ("last", None),
        ];
        assert_eq!(parts, expected.map(|(line, part)| (line.into(), part)));
    }
}
