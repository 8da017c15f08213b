//! The expressions of `pattern` and of `|>`: literals with captures such as `<ip>` and `<_>` between.

use memchr::memmem;

/// A piece of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These bytes.
    Literal(Vec<u8>),
    /// Anything up to the next literal, under a name; `None` for `<_>`.
    Capture(Option<String>),
}

/// A checked expression: no two captures side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PatternExpression {
    pieces: Vec<Piece>,
}

impl PatternExpression {
    /// Reads the expression of a `pattern` stage: at least one named capture, none twice.
    pub(crate) fn for_parser(text: &str) -> Result<Self, String> {
        let expression = Self::read(text)?;
        let names: Vec<&str> = expression.names().collect();
        if names.is_empty() {
            return Err("at least one capture is required".to_owned());
        }
        expression.refuse_consecutive_captures()?;
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                return Err(format!("duplicate capture name ({name}): invalid expression"));
            }
        }
        Ok(expression)
    }

    /// Reads the expression of a line filter: no named captures. The empty expression accepts
    /// only the empty line.
    pub(crate) fn for_line_filter(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { pieces: Vec::new() });
        }
        let expression = Self::read(text)?;
        expression.refuse_consecutive_captures()?;
        if let Some(name) = expression.names().next() {
            return Err(format!("named captures are not allowed: found '<{name}>'"));
        }
        Ok(expression)
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("syntax error: unexpected $end, expecting IDENTIFIER or LITERAL".to_owned());
        }
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(name) = capture_name(rest) {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Capture((name != "_").then(|| name.to_owned())));
                rest = &rest[name.len() + 2..];
            } else {
                let (taken, behind) = rest.split_at(first.len_utf8());
                literal.extend_from_slice(taken.as_bytes());
                rest = behind;
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { pieces })
    }

    fn refuse_consecutive_captures(&self) -> Result<(), String> {
        for pair in self.pieces.windows(2) {
            if let [Piece::Capture(first), Piece::Capture(second)] = pair {
                return Err(format!(
                    "found consecutive capture '<{}><{}>': invalid expression",
                    first.as_deref().unwrap_or("_"),
                    second.as_deref().unwrap_or("_")
                ));
            }
        }
        Ok(())
    }

    /// Names of captures, from left to right.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Capture(name) => name.as_deref(),
            Piece::Literal(_) => None,
        })
    }

    /// Calls `found` with each named capture of a line, as far as the literals are found in it.
    /// A capture whose literal is missing takes the rest of the line and is the last.
    pub(crate) fn captures<'l>(&self, line: &'l [u8], mut found: impl FnMut(&str, &'l [u8])) {
        if line.is_empty() {
            return;
        }
        let mut rest = line;
        let mut pieces = self.pieces.as_slice();
        if let [Piece::Literal(literal), behind @ ..] = pieces {
            let Some(stripped) = rest.strip_prefix(literal.as_slice()) else { return };
            rest = stripped;
            pieces = behind;
        }
        while let [Piece::Capture(name), behind @ ..] = pieces {
            let end = match behind {
                [Piece::Literal(literal), ..] => memmem::find(rest, literal).map(|at| (at, literal.len())),
                _ => None,
            };
            if let Some(name) = name {
                found(name, end.map_or(rest, |(at, _)| &rest[..at]));
            }
            let Some((at, len)) = end else { return };
            rest = &rest[at + len..];
            pieces = &behind[1..];
        }
    }

    /// Whether the whole line has this form. Captures stand for at least one byte.
    pub(crate) fn accepts(&self, line: &[u8]) -> bool {
        let Some(last) = self.pieces.last() else { return line.is_empty() };
        if line.is_empty() {
            return false;
        }
        let mut at = 0;
        for (index, piece) in self.pieces.iter().enumerate() {
            let Piece::Literal(literal) = piece else { continue };
            let Some(found) = memmem::find(&line[at..], literal) else { return false };
            if index != 0 && found == 0 {
                return false;
            }
            at += found + literal.len();
        }
        matches!(last, Piece::Capture(_)) == (at != line.len())
    }
}

/// The name in `<name>` if the text begins with a capture.
fn capture_name(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('<')?;
    let (name, _) = inner.split_once('>')?;
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    (starts_well && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(expression: &str, line: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        PatternExpression::for_parser(expression).expect("valid").captures(line.as_bytes(), |name, value| {
            all.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        });
        all
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn captures_end_at_the_next_literal() {
        assert_eq!(
            captures("<ip> - <_> \"<method> <path>\"", "1.2.3.4 - bob \"GET /x y\" rest"),
            pairs(&[("ip", "1.2.3.4"), ("method", "GET"), ("path", "/x y")])
        );
        assert_eq!(captures("a <b> c <d>", "a b"), pairs(&[("b", "b")]));
        assert_eq!(captures("a <b>", "b"), pairs(&[]));
        assert_eq!(captures("<1x> <a>", "<1x> y"), pairs(&[("a", "y")]));
    }

    #[test]
    fn bad_expressions_are_refused_with_their_fault() {
        for (text, fault) in [
            ("plain", "at least one capture is required"),
            ("<_>", "at least one capture is required"),
            ("<a><b>", "found consecutive capture '<a><b>': invalid expression"),
            ("<a> <a>", "duplicate capture name (a): invalid expression"),
        ] {
            assert_eq!(PatternExpression::for_parser(text).expect_err("bad"), fault);
        }
        assert_eq!(
            PatternExpression::for_line_filter("x <a>").expect_err("named"),
            "named captures are not allowed: found '<a>'"
        );
    }

    #[test]
    fn a_line_filter_pattern_describes_the_whole_line_after_its_first_literal() {
        for (pattern, line, accepted) in [
            ("<_> bar", "foo bar", true),
            ("<_> bar", "foo bar baz", false),
            ("foo <_>", "foo bar", true),
            ("<_> bar <_>", " bar ", false),
            ("<_>bar<_>", " bar ", true),
            ("bar", "foo bar", true),
            ("", "", true),
            ("", "x", false),
            ("<_>", "", false),
            ("<_>", "x", true),
        ] {
            let expression = PatternExpression::for_line_filter(pattern).expect("valid");
            assert_eq!(expression.accepts(line.as_bytes()), accepted, "{pattern} {line}");
        }
    }
}
