//! Finds the variable parts of a line; what lies between them is its template.
//!
//! A wrong guess costs ratio, never a byte: any choice of spans gives the line back.
//!
//! - A line that starts with `{` is read as JSON: every string that is not a key, and every number or word outside
//!   of strings, is variable; keys, punctuation and white space are not.
//! - In other lines a token with a digit is variable, and so is what follows `=` and what stands in double quotes.

use super::strings::Span;

/// A line with more variable parts than this becomes one variable as a whole.
pub(crate) const SLOTS_MAX: usize = 256;

const DELIMITER: u8 = 1;
const DIGIT: u8 = 2;

/// What each byte means in a text line.
const CLASS: [u8; 256] = {
    let mut class = [0_u8; 256];
    let delimiters = b" \t\r\n,;()[]{}<>\"'=|";
    let mut i = 0;
    while i < delimiters.len() {
        class[delimiters[i] as usize] = DELIMITER;
        i += 1;
    }
    let mut digit = b'0';
    while digit <= b'9' {
        class[digit as usize] = DIGIT;
        digit += 1;
    }
    class
};

/// Finds the variable parts of `line`, which starts at `offset` of its text, in order, without overlap.
/// Leaves `spans` with the whole line as one part when there are too many.
pub(crate) fn tokenize(line: &[u8], offset: u32, spans: &mut Vec<Span>) {
    spans.clear();
    if line.first() == Some(&b'{') {
        tokenize_json(line, offset, spans);
    } else {
        tokenize_text(line, offset, spans);
    }
    if spans.len() > SLOTS_MAX {
        spans.clear();
        spans.push(Span { start: offset, len: line.len() as u32 });
    }
}

fn tokenize_text(line: &[u8], offset: u32, spans: &mut Vec<Span>) {
    let mut at = 0;
    let mut after_equals = false;
    while at < line.len() {
        let byte = line[at];
        if CLASS[byte as usize] == DELIMITER {
            at += 1;
            if byte == b'"' {
                let len = quoted(&line[at..]);
                // A quote that is never closed ends with the line.
                spans.push(Span { start: offset + at as u32, len: len as u32 });
                at = (at + len + 1).min(line.len());
                after_equals = false;
            } else {
                after_equals = byte == b'=';
            }
            continue;
        }
        let start = at;
        let mut seen = 0;
        while at < line.len() {
            let class = CLASS[line[at] as usize];
            if class == DELIMITER {
                break;
            }
            seen |= class;
            at += 1;
        }
        if seen & DIGIT != 0 || after_equals {
            spans.push(Span { start: offset + start as u32, len: (at - start) as u32 });
        }
        after_equals = false;
    }
}

/// Bytes until the closing quote, or all of them.
fn quoted(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &rest[at..]) {
        at += found;
        if rest[at] == b'"' {
            return at;
        }
        at = (at + 2).min(rest.len());
    }
    rest.len()
}

fn tokenize_json(line: &[u8], offset: u32, spans: &mut Vec<Span>) {
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'"' => {
                at += 1;
                let len = quoted(&line[at..]);
                let after = (at + len + 1).min(line.len());
                let mut next = after;
                while line.get(next) == Some(&b' ') {
                    next += 1;
                }
                if line.get(next) != Some(&b':') {
                    spans.push(Span { start: offset + at as u32, len: len as u32 });
                }
                at = after;
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            _ => {
                let start = at;
                while at < line.len()
                    && !matches!(line[at], b',' | b'}' | b']' | b' ' | b'"' | b'\t' | b'\r' | b'\n')
                {
                    at += 1;
                }
                spans.push(Span { start: offset + start as u32, len: (at - start) as u32 });
            }
        }
    }
}

/// Finds the runs of digits in a value: the variable parts of a nested column.
pub(crate) fn digit_runs(value: &[u8], offset: u32, spans: &mut Vec<Span>) {
    spans.clear();
    let mut at = 0;
    while at < value.len() {
        if !value[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < value.len() && value[at].is_ascii_digit() {
            at += 1;
        }
        spans.push(Span { start: offset + start as u32, len: (at - start) as u32 });
    }
    if spans.len() > SLOTS_MAX {
        spans.clear();
        spans.push(Span { start: offset, len: value.len() as u32 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> Vec<&str> {
        let mut spans = Vec::new();
        tokenize(line.as_bytes(), 0, &mut spans);
        spans.iter().map(|s| &line[s.start as usize..][..s.len as usize]).collect()
    }

    #[test]
    fn json_values_are_variable_and_keys_are_not() {
        assert_eq!(
            parts(r#"{"a":"x\"y", "b" : 1.50,"c":[true,null],"d":{}}"#),
            [r#"x\"y"#, "1.50", "true", "null"]
        );
    }

    #[test]
    fn tokens_with_digits_values_and_quoted_text_are_variable() {
        assert_eq!(
            parts(r#"10.0.0.1 - GET took 12ms level=info msg="a b" [x]"#),
            ["10.0.0.1", "12ms", "info", "a b"]
        );
        assert_eq!(parts(r#"open "quote"#), ["quote"]);
        assert_eq!(parts(""), Vec::<&str>::new());
    }

    #[test]
    fn a_line_with_too_many_parts_is_one_part() {
        assert_eq!(parts(&"1 ".repeat(SLOTS_MAX + 1)).len(), 1);
    }
}
