//! The name of a session's file. A session id is anyone's text: whatever it is, its file lies in the folder, and no two
//! sessions have one file.

use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_64;

/// How the file of a session ends that is written to.
pub(super) const OPEN_SUFFIX: &str = ".ndjson";
/// The file of what has no session.
const NO_SESSION: &str = "_no_session";
/// A longer name is cut, and its digest follows.
const NAME_BYTES_MAX: usize = 120;

/// The beginning of the names of a session's files.
pub(super) fn stem(session: Option<&[u8]>) -> String {
    let Some(session) = session.filter(|session| !session.is_empty()) else {
        return NO_SESSION.to_owned();
    };
    let mut name = String::with_capacity(session.len());
    for (place, byte) in session.iter().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || *byte == b'-' || (place > 0 && b"_.".contains(byte));
        if plain {
            name.push(char::from(*byte));
        } else {
            // Writing to text cannot fail.
            let _ = write!(name, "%{byte:02x}");
        }
    }
    if name.len() > NAME_BYTES_MAX {
        name.truncate(NAME_BYTES_MAX);
        let _ = write!(name, "~{:016x}", xxh3_64(session));
    }
    name
}

/// What a file of the folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// It is written to.
    Open,
    /// It is full, with its number and how it is compressed.
    Full(u64, Packing),
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Plain,
    /// As gzip.
    Gzip,
    /// As zstd.
    Zstd,
}

impl Packing {
    /// What follows the name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// The name of a session's full file.
pub(super) fn full(stem: &str, number: u64) -> String {
    format!("{stem}{OPEN_SUFFIX}.{number:06}")
}

/// Whose file it is, and of which kind; `None` of what this connector did not write.
pub(super) fn parse(name: &str) -> Option<(&str, FileKind)> {
    if let Some(stem) = name.strip_suffix(OPEN_SUFFIX) {
        return Some((stem, FileKind::Open));
    }
    let packings = [Packing::Gzip, Packing::Zstd, Packing::Plain];
    let packing = packings.into_iter().find(|packing| name.ends_with(packing.suffix()))?;
    let (stem, number) = name.strip_suffix(packing.suffix())?.rsplit_once('.')?;
    Some((stem.strip_suffix(OPEN_SUFFIX)?, FileKind::Full(number.parse().ok()?, packing)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_session_can_name_a_path() {
        for (session, expected) in [
            ("s-1", "s-1"),
            ("a_b.c", "a_b.c"),
            ("../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd"),
            (".hidden", "%2ehidden"),
            ("_no_session", "%5fno_session"),
            ("a\0b\nc", "a%00b%0ac"),
            ("%41", "%2541"),
            ("", NO_SESSION),
        ] {
            assert_eq!(stem(Some(session.as_bytes())), expected);
        }
        assert_eq!(stem(None), NO_SESSION);
        let long = stem(Some("x".repeat(4000).as_bytes()));
        assert_eq!(long.len(), NAME_BYTES_MAX + 17);
        assert_ne!(long, stem(Some("x".repeat(4001).as_bytes())));
    }

    #[test]
    fn names_say_what_a_file_is() {
        assert_eq!(parse("s-1.ndjson"), Some(("s-1", FileKind::Open)));
        assert_eq!(parse("s-1.ndjson.000003.gz"), Some(("s-1", FileKind::Full(3, Packing::Gzip))));
        let tricky = full("a.ndjson.000001", 2);
        assert_eq!(parse(&tricky), Some(("a.ndjson.000001", FileKind::Full(2, Packing::Plain))));
        assert_eq!(parse("a.ndjson.000001.ndjson"), Some(("a.ndjson.000001", FileKind::Open)));
        assert_eq!(parse("notes.txt"), None);
    }
}
