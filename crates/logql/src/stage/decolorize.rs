//! `| decolorize`: takes the escape sequences of terminals out of a line.

use std::borrow::Cow;

use regex::bytes::{NoExpand, Regex};

use super::{Stage, Verdict, WorkingRow};

/// ECMA-48 control sequences and the older ones beside them.
const ESCAPE_SEQUENCE: &str = r"(?x)
    [\x1b\u{9b}]                        # escape, or the control sequence introducer
    [\[\]()\#;?]*                       # what kind of sequence
    (?:
        (?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\x07                     # a text that the bell ends
      |
        (?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-nqrty=><~]       # numbers and a final character
    )";

/// Removes escape sequences.
pub(crate) struct DecolorizeStage {
    sequence: Regex,
}

impl DecolorizeStage {
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self { sequence: Regex::new(ESCAPE_SEQUENCE).map_err(|error| error.to_string())? })
    }
}

impl Stage for DecolorizeStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        // 0xc2 begins U+009B.
        if memchr::memchr2(0x1b, 0xc2, row.line()).is_some() {
            let line = self.sequence.replace_all(row.line(), NoExpand(b""));
            if let Cow::Owned(line) = line {
                row.replace_line(Cow::Owned(line));
            }
        }
        Verdict::Keep
    }
}
