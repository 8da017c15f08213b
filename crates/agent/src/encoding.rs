//! Encodings of files: where a line ends in bytes, and what the line is in UTF-8.
//!
//! UTF-8 is handed on byte for byte, valid or not. A byte order mark at the beginning of a line is left out.

use std::borrow::Cow;

use serde::Deserialize;

/// How the bytes of a file are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8, or any that ends lines with the byte 0x0A; not changed.
    #[default]
    Utf8,
    /// UTF-16, the low byte first.
    Utf16le,
    /// UTF-16, the high byte first.
    Utf16be,
    /// ISO 8859-1: each byte is the character of that number.
    Latin1,
}

impl Encoding {
    /// The end of the first line in `bytes`, behind its line feed; the search begins at `from`.
    pub(crate) fn line_end(self, bytes: &[u8], from: usize) -> Option<usize> {
        let wide = |unit: [u8; 2]| {
            let from = from & !1;
            let units = bytes.get(from..)?.chunks_exact(2);
            units.enumerate().find(|(_, found)| *found == unit).map(|(number, _)| from + number * 2 + 2)
        };
        match self {
            Self::Utf8 | Self::Latin1 => {
                memchr::memchr(b'\n', bytes.get(from..)?).map(|place| from + place + 1)
            }
            Self::Utf16le => wide([b'\n', 0]),
            Self::Utf16be => wide([0, b'\n']),
        }
    }

    /// Bytes of a line feed.
    pub(crate) fn unit_bytes(self) -> usize {
        match self {
            Self::Utf8 | Self::Latin1 => 1,
            Self::Utf16le | Self::Utf16be => 2,
        }
    }

    /// A line without its line feed, in UTF-8. Halves of surrogate pairs become U+FFFD.
    pub(crate) fn decode(self, line: &[u8]) -> Cow<'_, [u8]> {
        let wide = |unit: fn([u8; 2]) -> u16| {
            let units = line.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
            let text: String = char::decode_utf16(units)
                .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect();
            Cow::Owned(text.trim_start_matches('\u{feff}').to_owned().into_bytes())
        };
        match self {
            Self::Utf8 => Cow::Borrowed(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)),
            Self::Utf16le => wide(u16::from_le_bytes),
            Self::Utf16be => wide(u16::from_be_bytes),
            Self::Latin1 => {
                Cow::Owned(line.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_the_encoding_says() {
        let text = "ä\u{a0a}\nb";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (encoding, bytes) in [(Encoding::Utf16le, le), (Encoding::Utf16be, be)] {
            let end = encoding.line_end(&bytes, 0).expect("a line");
            assert_eq!(end, 6);
            assert_eq!(&*encoding.decode(&bytes[..end - 2]), "ä\u{a0a}".as_bytes());
            assert_eq!(encoding.line_end(&bytes, end), None);
        }
        assert_eq!(Encoding::Utf8.line_end(b"ab\ncd\n", 3), Some(6));
        assert_eq!(&*Encoding::Latin1.decode(b"caf\xe9"), "café".as_bytes());
        assert_eq!(&*Encoding::Utf8.decode(b"\xef\xbb\xbfcaf\xe9"), b"caf\xe9");
    }
}
