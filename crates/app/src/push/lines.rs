//! Splits a stream of bytes into lines at `\n`, holding no more of a line than the limit.

use std::io::{self, BufRead};

/// One line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line within the limit, without its `\n`. Everything else is as it was, a `\r` too.
    Whole {
        /// Its number, from 1.
        number: u64,
        /// Its bytes.
        text: &'a [u8],
        /// Whether a `\n` ended it.
        ended: bool,
    },
    /// A line over the limit.
    TooLong {
        /// Its number, from 1.
        number: u64,
        /// Its length.
        bytes: u64,
    },
}

impl Line<'_> {
    /// How much of the input it took, with its `\n`.
    pub(super) fn bytes_read(&self) -> u64 {
        match self {
            Line::Whole { text, ended, .. } => text.len() as u64 + u64::from(*ended),
            Line::TooLong { bytes, .. } => bytes + 1,
        }
    }
}

/// Reads lines one by one.
pub(super) struct LineReader<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    line_bytes_max: usize,
}

impl<R: BufRead> LineReader<R> {
    /// Lines of at most `line_bytes_max` bytes.
    pub(super) fn new(input: R, line_bytes_max: usize) -> Self {
        Self { input, line: Vec::new(), number: 0, line_bytes_max }
    }

    /// The next line; `None` at the end. A last line without `\n` is a line.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut bytes = 0u64;
        let mut ended = false;
        while !ended {
            let chunk = match self.input.fill_buf() {
                Ok([]) => break,
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (part, used) = match chunk.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    ended = true;
                    (chunk.get(..end).unwrap_or(chunk), end + 1)
                }
                None => (chunk, chunk.len()),
            };
            bytes += part.len() as u64;
            if bytes <= self.line_bytes_max as u64 {
                self.line.extend_from_slice(part);
            }
            self.input.consume(used);
        }
        if bytes == 0 && !ended {
            return Ok(None);
        }
        self.number += 1;
        let number = self.number;
        if bytes > self.line_bytes_max as u64 {
            return Ok(Some(Line::TooLong { number, bytes }));
        }
        Ok(Some(Line::Whole { number, text: &self.line, ended }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn check(input: &[u8], limit: usize) -> String {
        // A tiny buffer: every line spans several reads.
        let mut reader = LineReader::new(BufReader::with_capacity(2, input), limit);
        let mut out = String::new();
        while let Some(line) = reader.next_line().expect("memory is readable") {
            let shown = match line {
                Line::Whole { number, text, .. } => format!("{number}:{} ", text.escape_ascii()),
                Line::TooLong { number, bytes } => format!("{number}!{bytes} "),
            };
            out.push_str(&shown);
        }
        out
    }

    #[test]
    fn lines_are_kept_byte_for_byte() {
        assert_eq!(check(b"", 9), "");
        assert_eq!(check(b"\n", 9), "1: ");
        assert_eq!(check(b"one\r\n\n\xff\0\nlast", 9), r"1:one\r 2: 3:\xff\x00 4:last ");
    }

    #[test]
    fn a_line_over_the_limit_is_measured_and_its_neighbours_are_kept() {
        assert_eq!(check(b"abc\nabcd\nab\nabcdefgh", 3), "1:abc 2!4 3:ab 4!8 ");
    }
}
