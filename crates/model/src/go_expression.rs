//! Regular expressions of Go (RE2 syntax), rewritten as those of the `regex` crate.
//!
//! Both have the same operators, but `\d`, `\w`, `\s` and `\b` know only ASCII in Go, a bracket within
//! a class stands for itself, `{` that counts nothing is a character, `\Q…\E` quotes, and some of what
//! one accepts the other refuses. Errors have Go's words.

/// An expression in the other syntax.
pub(crate) struct Rewritten {
    /// The expression.
    pub(crate) text: String,
    /// Whether any part accepts characters that it does not name, so that bytes which are no
    /// UTF-8 can take part in a match.
    pub(crate) accepts_any_character: bool,
}

/// The most that a repetition may count, as in Go.
const REPEAT_MAX: u32 = 1000;

/// Rewrites an expression.
pub(crate) fn rewrite(source: &str) -> Result<Rewritten, String> {
    let mut rewriter = Rewriter {
        source,
        rest: source,
        text: String::with_capacity(source.len() + 16),
        groups: 0,
        before: Before::Nothing,
        accepts_any_character: false,
    };
    match rewriter.run() {
        Ok(()) => {
            Ok(Rewritten { text: rewriter.text, accepts_any_character: rewriter.accepts_any_character })
        }
        Err((fault, part)) => Err(format!("error parsing regexp: {fault}: `{part}`")),
    }
}

/// What a repetition would repeat.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Operand,
    /// A repetition; the bytes from its operator to the end of the expression.
    Repetition(usize),
}

type Step<'s> = Result<(), (&'static str, &'s str)>;

struct Rewriter<'s> {
    source: &'s str,
    rest: &'s str,
    text: String,
    groups: usize,
    before: Before,
    accepts_any_character: bool,
}

/// An ASCII class behind a backslash, as the inside of a class.
fn perl_class(letter: char) -> Option<&'static str> {
    Some(match letter.to_ascii_lowercase() {
        'd' => "0-9",
        's' => r"\t\n\x0C\r ",
        'w' => "0-9A-Za-z_",
        _ => return None,
    })
}

impl<'s> Rewriter<'s> {
    fn run(&mut self) -> Step<'s> {
        while let Some(c) = self.rest.chars().next() {
            let start = self.rest;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '\\' => self.escape(start)?,
                '[' => self.class(start)?,
                '(' => self.group(start)?,
                ')' => {
                    if self.groups == 0 {
                        return Err(("unexpected )", self.source));
                    }
                    self.groups -= 1;
                    self.operand(")");
                }
                '|' => {
                    self.text.push('|');
                    self.before = Before::Nothing;
                }
                '*' | '+' | '?' => self.repetition(start, 1)?,
                '{' => match counted(start) {
                    Some((len, least, most)) => {
                        let is_too_much =
                            least > REPEAT_MAX || most.is_some_and(|most| most > REPEAT_MAX || most < least);
                        if is_too_much {
                            return Err(("invalid repeat count", &start[..len]));
                        }
                        self.rest = &start[len..];
                        self.repetition(start, len)?;
                    }
                    None => self.operand(r"\{"),
                },
                '.' => {
                    self.accepts_any_character = true;
                    self.operand(".");
                }
                '^' | '$' => self.operand(c.encode_utf8(&mut [0; 4])),
                c => self.literal(c),
            }
        }
        if self.groups > 0 {
            return Err(("missing closing )", self.source));
        }
        Ok(())
    }

    fn operand(&mut self, text: &str) {
        self.text.push_str(text);
        self.before = Before::Operand;
    }

    fn literal(&mut self, c: char) {
        push_literal(&mut self.text, c);
        self.before = Before::Operand;
    }

    /// An operator of `len` bytes that has been read, and `?` behind it.
    fn repetition(&mut self, start: &'s str, len: usize) -> Step<'s> {
        if self.rest.starts_with('?') {
            self.rest = &self.rest[1..];
        }
        let operator = &start[..start.len() - self.rest.len()];
        match self.before {
            Before::Nothing => return Err(("missing argument to repetition operator", &start[..len])),
            Before::Repetition(from) => {
                let from = self.source.len() - from;
                let to = self.source.len() - self.rest.len();
                return Err(("invalid nested repetition operator", &self.source[from..to]));
            }
            Before::Operand => {}
        }
        self.text.push_str(operator);
        self.before = Before::Repetition(start.len());
        Ok(())
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self, start: &'s str) -> Step<'s> {
        let Some(c) = self.rest.chars().next() else {
            return Err(("trailing backslash at end of expression", ""));
        };
        match c {
            'Q' => {
                let quoted = &self.rest[1..];
                let (literal, behind) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                self.rest = behind;
                literal.chars().for_each(|c| self.literal(c));
                return Ok(());
            }
            'A' | 'z' => {
                self.text.push('\\');
                self.text.push(c);
                self.before = Before::Operand;
            }
            'b' | 'B' => {
                self.text.push_str(if c == 'b' { r"(?-u:\b)" } else { r"(?-u:\B)" });
                self.before = Before::Operand;
            }
            _ => {
                if let Some(class) = perl_class(c) {
                    self.accepts_any_character |= c.is_ascii_uppercase();
                    let not = if c.is_ascii_uppercase() { "^" } else { "" };
                    self.operand(&format!("[{not}{class}]"));
                } else if matches!(c, 'p' | 'P') {
                    let property = self.property(start)?;
                    self.operand(&property);
                    return Ok(());
                } else {
                    let c = self.escaped_character(start)?;
                    self.literal(c);
                    return Ok(());
                }
            }
        }
        self.rest = &self.rest[c.len_utf8()..];
        Ok(())
    }

    /// `\pL`, `\p{Greek}` or `\p{^Greek}`; the backslash has been read.
    fn property(&mut self, start: &'s str) -> Result<String, (&'static str, &'s str)> {
        self.accepts_any_character = true;
        let mut negated = self.rest.starts_with('P');
        let behind = &self.rest[1..];
        let (name, len) = match behind.strip_prefix('{') {
            Some(inner) => {
                let end = inner.find('}').ok_or(("invalid character class range", start))?;
                (&inner[..end], end + 2)
            }
            None => {
                let len = behind.chars().next().map_or(0, char::len_utf8);
                (&behind[..len], len)
            }
        };
        let name = match name.strip_prefix('^') {
            Some(name) => {
                negated = !negated;
                name
            }
            None => name,
        };
        let whole = &start[..2 + len];
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(("invalid character class range", whole));
        }
        self.rest = &behind[len..];
        Ok(format!(r"\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }

    /// A single character behind a backslash, which has been read.
    fn escaped_character(&mut self, start: &'s str) -> Result<char, (&'static str, &'s str)> {
        let mut chars = self.rest.chars();
        let c = chars.next().unwrap_or('\\');
        let mut behind = chars.as_str();
        let invalid = |len: usize| ("invalid escape sequence", start.get(..len).unwrap_or(start));
        let character = match c {
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => {
                let (digits, len) = match behind.strip_prefix('{') {
                    Some(inner) => {
                        let end = inner.find('}').ok_or_else(|| invalid(start.len()))?;
                        (&inner[..end], end + 2)
                    }
                    None => (behind.get(..2).ok_or_else(|| invalid(start.len()))?, 2),
                };
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let value = u32::from_str_radix(digits, 16).ok().filter(|_| is_number);
                behind = &behind[len..];
                value.and_then(char::from_u32).ok_or_else(|| invalid(2 + len))?
            }
            '0'..='7' => {
                let digits =
                    self.rest.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                // One digit alone would refer back to a group.
                if c != '0' && digits < 2 {
                    return Err(invalid(2));
                }
                let value = u32::from_str_radix(&self.rest[..digits], 8).ok();
                behind = &self.rest[digits..];
                value.and_then(char::from_u32).ok_or_else(|| invalid(1 + digits))?
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            c => return Err(invalid(1 + c.len_utf8())),
        };
        self.rest = behind;
        Ok(character)
    }

    /// What follows an opening parenthesis.
    fn group(&mut self, start: &'s str) -> Step<'s> {
        let Some(special) = self.rest.strip_prefix('?') else {
            self.groups += 1;
            self.text.push('(');
            self.before = Before::Nothing;
            return Ok(());
        };
        if let Some(named) = special.strip_prefix("P<").or_else(|| special.strip_prefix('<')) {
            let (name, behind) = named.split_once('>').ok_or(("invalid named capture", start))?;
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(("invalid named capture", &start[..start.len() - behind.len()]));
            }
            self.rest = behind;
            self.groups += 1;
            self.text.push_str(&format!("(?P<{name}>"));
            self.before = Before::Nothing;
            return Ok(());
        }
        let flags =
            special.bytes().take_while(|byte| matches!(byte, b'i' | b'm' | b's' | b'U' | b'-')).count();
        let (flags, behind) = special.split_at(flags);
        let is_proper = flags.matches('-').count() <= 1 && !flags.ends_with('-');
        match behind.chars().next() {
            Some(end @ (':' | ')')) if is_proper && !(flags.is_empty() && end == ')') => {
                self.rest = &behind[1..];
                self.groups += usize::from(end == ':');
                self.text.push_str(&format!("(?{flags}{end}"));
                self.before = Before::Nothing;
                Ok(())
            }
            next => {
                let len = 2 + flags.len() + next.map_or(0, char::len_utf8);
                Err(("invalid or unsupported Perl syntax", &start[..len]))
            }
        }
    }

    /// What follows an opening bracket.
    fn class(&mut self, start: &'s str) -> Step<'s> {
        const MISSING: &str = "missing closing ]";
        self.text.push('[');
        if let Some(behind) = self.rest.strip_prefix('^') {
            self.rest = behind;
            self.text.push('^');
            self.accepts_any_character = true;
        }
        let mut is_first = true;
        loop {
            if self.rest.is_empty() {
                return Err((MISSING, start));
            }
            if self.rest.starts_with(']') && !is_first {
                self.rest = &self.rest[1..];
                self.operand("]");
                return Ok(());
            }
            is_first = false;
            if self.class_of_classes()? {
                continue;
            }
            let from = self.rest;
            let low = self.class_character(start)?;
            // A hyphen before the closing bracket stands for itself.
            let range = self.rest.strip_prefix('-').filter(|behind| !behind.starts_with(']'));
            let Some(behind) = range else {
                push_literal(&mut self.text, low);
                continue;
            };
            if behind.is_empty() {
                return Err((MISSING, start));
            }
            self.rest = behind;
            let high = self.class_character(start)?;
            if high < low {
                let len = from.len() - self.rest.len();
                return Err(("invalid character class range", &from[..len]));
            }
            push_literal(&mut self.text, low);
            self.text.push('-');
            push_literal(&mut self.text, high);
        }
    }

    /// `[:alpha:]`, `\d` or `\pL` within a class.
    fn class_of_classes(&mut self) -> Result<bool, (&'static str, &'s str)> {
        let here = self.rest;
        if here.starts_with("[:") {
            let Some(end) = here.find(":]") else { return Ok(false) };
            let whole = &here[..end + 2];
            let name = here[2..end].strip_prefix('^').unwrap_or(&here[2..end]);
            const NAMES: [&str; 14] = [
                "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
                "space", "upper", "word", "xdigit",
            ];
            if !NAMES.contains(&name) {
                return Err(("invalid character class range", whole));
            }
            self.text.push_str(whole);
            self.rest = &here[end + 2..];
            return Ok(true);
        }
        let Some(behind) = here.strip_prefix('\\') else { return Ok(false) };
        match behind.chars().next() {
            Some('p' | 'P') => {
                self.rest = behind;
                let property = self.property(here)?;
                self.text.push_str(&property);
                Ok(true)
            }
            Some(c) => match perl_class(c) {
                Some(class) => {
                    self.accepts_any_character |= c.is_ascii_uppercase();
                    let not = if c.is_ascii_uppercase() { "^" } else { "" };
                    self.text.push_str(&format!("[{not}{class}]"));
                    self.rest = &behind[1..];
                    Ok(true)
                }
                None => Ok(false),
            },
            None => Ok(false),
        }
    }

    fn class_character(&mut self, class: &'s str) -> Result<char, (&'static str, &'s str)> {
        let here = self.rest;
        let Some(c) = here.chars().next() else { return Err(("missing closing ]", class)) };
        self.rest = &here[c.len_utf8()..];
        if c != '\\' {
            return Ok(c);
        }
        if self.rest.is_empty() {
            return Err(("trailing backslash at end of expression", ""));
        }
        self.escaped_character(here)
    }
}

/// A character that stands for itself, inside of a class or outside.
fn push_literal(text: &mut String, c: char) {
    if c.is_ascii_alphanumeric()
        || !c.is_ascii()
        || matches!(c, ' ' | '_' | '"' | '/' | ',' | ':' | ';' | '=')
    {
        text.push(c);
    } else {
        text.push_str(&format!(r"\x{:02x}", u32::from(c)));
    }
}

/// `{2}`, `{2,}` or `{2,3}`: its length and its bounds.
fn counted(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let inner = &text[1..text.find('}')?];
    let (least, most) = match inner.split_once(',') {
        None => (inner, Some(inner)),
        Some((least, "")) => (least, None),
        Some((least, most)) => (least, Some(most)),
    };
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let least = number(least)?;
    let most = match most {
        None => None,
        Some(most) => Some(number(most)?),
    };
    Some((inner.len() + 2, least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(source: &str) -> String {
        match rewrite(source) {
            Ok(rewritten) => rewritten.text,
            Err(error) => error,
        }
    }

    #[test]
    fn what_means_the_same_stays() {
        for source in [
            "a|b.*c+?",
            "^(?:x)(?P<n>y)$",
            "(?i)err(?s:.)",
            "a{2,3}b{4}c{5,}?",
            "[a-z0-9_]",
            "[^ab]",
            r"\A\z",
        ] {
            assert_eq!(rewritten(source), source);
        }
    }

    #[test]
    fn what_means_something_else_is_rewritten() {
        for (source, text) in [
            (r"\d\W\s", r"[0-9][^0-9A-Za-z_][\t\n\x0C\r ]"),
            (r"\bx\B", r"(?-u:\b)x(?-u:\B)"),
            (r"[\d\-[&&~]", r"[[0-9]\x2d\x5b\x26\x26\x7e]"),
            ("[]a]", r"[\x5da]"),
            ("[^]-]", r"[^\x5d\x2d]"),
            ("[a-]", r"[a\x2d]"),
            (r"{a}{,3}x{", r"\{a\x7d\{,3\x7dx\{"),
            (r"\Qa.b\E+\Q*", r"a\x2eb+\x2a"),
            (r"\<a\>\_", r"\x3ca\x3e_"),
            (r"\x41\x{1F600}\101\n", "A\u{1f600}A\\x0a"),
            (r"\pL\PN\p{^Greek}", r"\p{L}\P{N}\P{Greek}"),
            ("(?<n>x)", "(?P<n>x)"),
            ("[[:alpha:]x]", "[[:alpha:]x]"),
        ] {
            assert_eq!(rewritten(source), text, "{source}");
        }
    }

    #[test]
    fn errors_have_the_words_of_go() {
        for (source, error) in [
            ("(", "missing closing ): `(`"),
            ("a)", "unexpected ): `a)`"),
            ("[", "missing closing ]: `[`"),
            ("x[a-", "missing closing ]: `[a-`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("(+)", "missing argument to repetition operator: `+`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("a{3,2}", "invalid repeat count: `{3,2}`"),
            (r"\", "trailing backslash at end of expression: ``"),
            (r"\y", r"invalid escape sequence: `\y`"),
            (r"\1", r"invalid escape sequence: `\1`"),
            ("(?=look)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"),
        ] {
            assert_eq!(rewritten(source), format!("error parsing regexp: {error}"), "{source}");
        }
    }

    #[test]
    fn what_is_rewritten_compiles_or_is_refused_without_a_panic() {
        let pieces = [
            "a",
            "é",
            ".",
            "*",
            "+",
            "?",
            "{",
            "2",
            ",",
            "}",
            "[",
            "^",
            "]",
            "-",
            "z",
            "(",
            "?:",
            "?P<n>",
            "?i",
            ")",
            "|",
            "$",
            "\\",
            "d",
            "W",
            "b",
            "Q",
            "E",
            "p",
            "{L}",
            "x",
            "41",
            "[:alpha:]",
            "&&",
            "~",
            "0",
        ];
        // A linear congruential generator: the same expressions every time.
        let mut state = 1u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..5000 {
            let source: String = (0..next(12)).map(|_| pieces[next(pieces.len())]).collect();
            if let Ok(rewritten) = rewrite(&source) {
                let parsed = regex_syntax::ParserBuilder::new().utf8(false).build().parse(&rewritten.text);
                // Names, of groups and of properties, are left to the compiler.
                let is_name = |error: &regex_syntax::Error| {
                    ["duplicate", "property not found"].iter().any(|words| error.to_string().contains(words))
                };
                assert!(
                    parsed.as_ref().err().is_none_or(is_name),
                    "{source} became {}: {parsed:?}",
                    rewritten.text
                );
            }
        }
    }
}
