//! Headers of a push that says what it was read from, and of its answer.
//!
//! `X-Timberyard-Origin: NAME=FROM-TO, …` names stretches of bytes; `X-Timberyard-Stored: NAME=END, …` in the answer says how
//! far origins are stored. Spaces around commas do not count.

use timberyard_model::origin::{BATCH_ORIGINS_MAX, OriginEnd, OriginName, OriginRange};

/// What a push was read from.
pub const ORIGIN: &str = "x-timberyard-origin";
/// How far origins are stored.
pub const STORED: &str = "x-timberyard-stored";
/// Says `true` when the push was stored before, so that nothing was stored now.
pub const DUPLICATE: &str = "x-timberyard-duplicate";

/// A header that does not say which origins are meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {reason}")]
pub struct OriginHeaderError {
    header: &'static str,
    reason: String,
}

/// What a request was read from.
pub fn read_ranges(text: &str) -> Result<Vec<OriginRange>, OriginHeaderError> {
    let refuse = |reason: String| OriginHeaderError { header: ORIGIN, reason };
    let mut ranges: Vec<OriginRange> = Vec::new();
    for part in text.split(',') {
        let part = part.trim();
        let parsed = || {
            let (name, range) = part.split_once('=')?;
            let (from, to) = range.split_once('-')?;
            Some((name, from.parse::<u64>().ok()?, to.parse::<u64>().ok()?))
        };
        let (name, from, to) = parsed().ok_or_else(|| refuse(format!("`{part}` is not NAME=FROM-TO")))?;
        OriginRange::add_to(&mut ranges, name, from, to).map_err(|error| refuse(error.to_string()))?;
    }
    Ok(ranges)
}

/// The header of a request.
pub fn write_ranges(ranges: &[OriginRange]) -> String {
    let texts: Vec<String> =
        ranges.iter().map(|OriginRange { name, from, to }| format!("{name}={from}-{to}")).collect();
    texts.join(", ")
}

/// How far origins are stored, as an answer says.
pub fn read_ends(text: &str) -> Result<Vec<OriginEnd>, OriginHeaderError> {
    let refuse = |reason: String| OriginHeaderError { header: STORED, reason };
    let end = |part: &str| {
        let part = part.trim();
        let parsed = part.split_once('=').and_then(|(name, end)| Some((name, end.parse().ok()?)));
        let (name, end) = parsed.ok_or_else(|| refuse(format!("`{part}` is not NAME=END")))?;
        let name = OriginName::new(name).map_err(|error| refuse(error.to_string()))?;
        Ok(OriginEnd { name, end })
    };
    text.split(',').take(BATCH_ORIGINS_MAX).map(end).collect()
}

/// The header of an answer.
pub fn write_ends(ends: &[OriginEnd]) -> String {
    let texts: Vec<String> = ends.iter().map(|OriginEnd { name, end }| format!("{name}={end}")).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written() {
        let ranges = read_ranges("host-1/a=0-10,host-1/b=7-18446744073709551615").expect("valid");
        assert_eq!(write_ranges(&ranges), "host-1/a=0-10, host-1/b=7-18446744073709551615");
        assert_eq!(read_ranges(&write_ranges(&ranges)), Ok(ranges));
        let ends = read_ends("a=1, b/c=20").expect("valid");
        assert_eq!(write_ends(&ends), "a=1, b/c=20");
    }

    #[test]
    fn what_names_no_stretch_is_refused() {
        for (text, reason) in [
            ("", "`` is not NAME=FROM-TO"),
            ("a", "`a` is not NAME=FROM-TO"),
            ("a=1", "`a=1` is not NAME=FROM-TO"),
            ("a=-1-2", "`a=-1-2` is not NAME=FROM-TO"),
            ("a=5-5", "`a=5-5` holds no byte"),
            ("a=0-1,a=1-2", "`a` is named twice"),
            ("a b=0-1", "name of an origin must be"),
        ] {
            let error = read_ranges(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
        let many: Vec<String> = (0..=BATCH_ORIGINS_MAX).map(|number| format!("n{number}=0-1")).collect();
        assert!(read_ranges(&many.join(",")).expect_err("too many").to_string().contains("more than 64"));
        assert!(read_ends("a=b").is_err());
    }
}
