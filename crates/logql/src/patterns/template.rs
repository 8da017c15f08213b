//! Turns a line into its template: words stay, what varies becomes `<_>`.
//!
//! A line is cut into words at blanks, quotes, brackets and `= , ; / | ? &`, and at a `:` that has no digit on both
//! sides, so that times and addresses with ports stay whole (nor at any later `:` of such a word: a line filter would
//! end the value at its first one). A word varies when it holds a digit, `<` or `>` (which would read as a capture),
//! or is long or not UTF-8. What separates words stays as it is. Between two `<_>` there is always a separator, so a
//! template is a line filter (`|>`) that its own lines pass.

use std::ops::Range;

use timberyard_model::fields::ByteSet;

/// What stands for a word that varies.
pub(super) const CAPTURE: &str = "<_>";
/// Bytes of a template, about; the rest becomes `<_>`.
const TEMPLATE_BYTES_MAX: usize = 3000;
/// Words of a template; the rest becomes `<_>`.
const WORDS_MAX: usize = 128;
/// Bytes of a word that can be told from a value.
const WORD_BYTES_MAX: usize = 64;

/// Puts the template of `line` into `template`.
pub(super) fn write_template(line: &[u8], template: &mut String) {
    template.clear();
    write_words(line, template);
    cut(template, WORDS_MAX, TEMPLATE_BYTES_MAX);
}

/// Appends what becomes of all words of `line`, or of a part of a line between separators.
pub(super) fn write_words(line: &[u8], template: &mut String) {
    let mut at = 0;
    for word in words(line) {
        push_separator(line, at..word.start, template);
        at = word.end;
        template.push_str(steady_text(line, &word).unwrap_or(CAPTURE));
    }
    push_separator(line, at..line.len(), template);
}

/// Puts one `<_>` in the place of what a template has beyond so many words, or, about, bytes.
pub(super) fn cut_template(template: &mut String) {
    cut(template, WORDS_MAX, TEMPLATE_BYTES_MAX);
}

/// Whether a template may have to be cut.
pub(super) fn may_be_long(template: &str) -> bool {
    needs_cut(template, WORDS_MAX, TEMPLATE_BYTES_MAX)
}

/// Between two words is at least a byte.
fn needs_cut(template: &str, words_max: usize, bytes_max: usize) -> bool {
    template.len() > bytes_max.min(2 * words_max - 1)
}

fn cut(template: &mut String, words_max: usize, bytes_max: usize) {
    if !needs_cut(template, words_max, bytes_max) {
        return;
    }
    let mut keep = bytes_max;
    for (index, word) in words(template.as_bytes()).enumerate() {
        if index == words_max || word.end > bytes_max {
            keep = keep.min(word.start);
            break;
        }
        // Between two `<_>` has to be a separator.
        keep = bytes_max.max(word.end + 1);
    }
    if keep < template.len() {
        template.truncate(keep);
        template.push_str(CAPTURE);
    }
}

/// The places of the words of a line or template.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while line.get(at).is_some_and(|_| separates(line, at)) {
            at += 1;
        }
        let start = at;
        let mut has_colon = false;
        while let Some(byte) = line.get(at).filter(|byte| has_colon && **byte == b':' || !separates(line, at))
        {
            has_colon |= *byte == b':';
            at += 1;
        }
        (start < at).then_some(start..at)
    })
}

/// The text of a word that does not vary.
fn steady_text<'l>(line: &'l [u8], word: &Range<usize>) -> Option<&'l str> {
    let bytes = line.get(word.clone())?;
    let varies = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'<' | b'>');
    if bytes.len() > WORD_BYTES_MAX || bytes.iter().any(varies) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

fn push_separator(line: &[u8], range: Range<usize>, template: &mut String) {
    // Separators are ASCII.
    template.extend(line.get(range).unwrap_or_default().iter().map(|byte| char::from(*byte)));
}

fn separates(line: &[u8], at: usize) -> bool {
    let digit = |at: Option<usize>| at.and_then(|at| line.get(at)).is_some_and(u8::is_ascii_digit);
    match line.get(at) {
        Some(b':') => !(digit(at.checked_sub(1)) && digit(at.checked_add(1))),
        Some(byte) => is_separator(*byte),
        None => false,
    }
}

/// Bytes that end a word wherever they stand.
pub(super) const SEPARATORS: &[u8] = b" \t\n\x0c\r\"'`()[]{}=,;/|?&";

const SEPARATOR_SET: ByteSet = ByteSet::NONE.with(SEPARATORS);

pub(super) fn is_separator(byte: u8) -> bool {
    SEPARATOR_SET.has(byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use timberyard_model::{Labels, Timestamp};

    use crate::stage::{Pipeline, Verdict, WorkingRow};
    use crate::syntax::ast::{LineFilter, LineFilterOperand, LineFilterOperator, PipelineStage};

    fn template(line: &[u8]) -> String {
        let mut template = String::new();
        write_template(line, &mut template);
        template
    }

    fn passes(line: &str, template: &str) -> bool {
        let filter = LineFilter {
            operator: LineFilterOperator::MatchesPattern,
            any_of: vec![LineFilterOperand::Text(template.to_owned())],
        };
        let filter = Pipeline::new(&[PipelineStage::LineFilter(filter)]).expect("a line filter");
        let stream = Labels::default();
        let mut row = WorkingRow::new(&stream);
        row.reset(Timestamp::default(), line.as_bytes(), &stream, []);
        filter.process(&mut row) == Verdict::Keep
    }

    #[test]
    fn words_stay_and_values_become_captures() {
        for (line, expected) in [
            ("order created", "order created"),
            ("order 17 of user-4 created", "order <_> of <_> created"),
            ("level=info took=35ms path=/api/v1/items/9", "level=info took=<_> path=/api/<_>/items/<_>"),
            (r#"{"code":200,"msg":"ok"}"#, r#"{"code":<_>,"msg":"ok"}"#),
            ("2026-11-01T01:02:03.5Z up", "<_> up"),
            ("10.0.0.1:8080: refused", "<_> refused"),
            ("0:0:<: 10.0.0.1: refused", "<_> <_>: refused"),
            ("<b>bold</b> 1", "<_>/<_> <_>"),
            ("a  b\t", "a  b\t"),
            ("", ""),
            ("grün 1", "grün <_>"),
            ("trailing 7:", "trailing <_>:"),
        ] {
            assert_eq!(template(line.as_bytes()), expected, "{line}");
        }
        assert_eq!(template(b"bytes \xff\xfe here"), "bytes <_> here");
    }

    #[test]
    fn what_lies_behind_the_bounds_of_a_line_is_one_capture() {
        let many = template(&b"word ".repeat(1000));
        assert_eq!((many.matches("word").count(), many.ends_with("word <_>")), (128, true));
        assert_eq!(template(&b"a".repeat(5000)), "<_>");
        assert_eq!(template(&b" ".repeat(3001)), format!("{}<_>", " ".repeat(3000)));
    }

    proptest! {
        #[test]
        fn a_cut_template_is_a_line_filter_that_its_line_passes(line in "([ab]{0,4}|[0-3]|[ :=/]{0,9}|é){0,30}") {
            let mut template = template(line.as_bytes());
            cut(&mut template, 3, 9);
            assert!(template.len() <= 9 + 1 + CAPTURE.len() && words(template.as_bytes()).count() <= 4);
            prop_assert!(passes(&line, &template), "{:?} {:?}", template, line);
        }

        #[test]
        fn a_template_is_a_line_filter_that_its_line_passes(line in "([a-c]|[0-3]|[ :=/<>_\"é]){0,40}") {
            let template = template(line.as_bytes());
            prop_assert!(passes(&line, &template), "{:?} {:?}", template, line);
        }
    }
}
