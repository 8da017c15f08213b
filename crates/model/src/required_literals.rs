//! What every match of a regular expression contains, found from its syntax.
//!
//! A store searches these literals in its own way, and asks the expression itself only of the lines that are left, or of
//! none when the literals say all that the expression says.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// More alternatives than this say too little to be worth searching.
const ALTERNATIVES_MAX: usize = 16;
/// Alternatives that single places with a choice may multiply to.
const CHOICES_MAX: usize = 8;
/// Sets of alternatives that are worth searching, each beside the others.
const SETS_MAX: usize = 3;

/// Bytes to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The bytes; ASCII in small letters when case does not matter.
    pub bytes: Box<[u8]>,
    /// Whether ASCII letters count in either case.
    pub ignores_case: bool,
}

/// What is known of everything that matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredLiterals {
    /// Every match contains at least one literal of each set; no literal is shorter than two bytes.
    pub all_of: Vec<Vec<Literal>>,
    /// Whether everything that contains one literal of each set matches, too.
    pub suffice: bool,
}

/// What everything that matches the expression contains.
///
/// The expression is in the syntax of the `regex` crate. Takes time linear in its size.
pub fn required_literals(expression: &str) -> RequiredLiterals {
    let Ok(hir) = ParserBuilder::new().utf8(false).build().parse(expression) else {
        return RequiredLiterals::default();
    };
    let mut walk = Walk::default();
    walk.visit(&hir);
    walk.finish()
}

impl From<&[u8]> for Literal {
    fn from(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), ignores_case: false }
    }
}

/// One place of a run of text.
#[derive(Clone, Debug)]
enum Place {
    Byte(u8),
    /// A letter, here small, in either case.
    Letter(u8),
    /// One of a few bytes.
    Choice(Vec<u8>),
}

/// Walks through an expression from left to right.
#[derive(Default)]
struct Walk {
    /// The text that every match has here, as far as it is known without a gap.
    run: Vec<Place>,
    sets: Vec<Vec<Literal>>,
    /// Whether something was seen that the sets do not say.
    loses: bool,
}

impl Walk {
    fn finish(mut self) -> RequiredLiterals {
        self.end_run();
        let suffice = !self.loses && self.sets.len() == 1;
        // The longer the shortest literal, the fewer lines have it.
        self.sets.sort_by_key(|set| std::cmp::Reverse(shortest(set)));
        self.sets.truncate(SETS_MAX);
        RequiredLiterals { all_of: self.sets, suffice }
    }

    fn visit(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Empty => {}
            HirKind::Look(_) => self.loses = true,
            HirKind::Literal(literal) => self.run.extend(literal.0.iter().map(|byte| Place::Byte(*byte))),
            HirKind::Class(class) => match places_of(class) {
                Some(places) => self.run.extend(places),
                None => self.gap(),
            },
            HirKind::Capture(capture) => self.visit(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.visit(part)),
            HirKind::Repetition(repetition) => self.repetition(repetition),
            HirKind::Alternation(branches) => self.alternation(branches),
        }
    }

    fn repetition(&mut self, repetition: &Repetition) {
        if repetition.min > 0 {
            self.visit(&repetition.sub);
        }
        if (repetition.min, repetition.max) != (1, Some(1)) {
            self.gap();
            if repetition.min > 0 && matches!(repetition.sub.kind(), HirKind::Literal(_) | HirKind::Class(_))
            {
                // What was repeated comes right before what follows.
                self.visit(&repetition.sub);
            }
        }
    }

    fn alternation(&mut self, branches: &[Hir]) {
        self.loses |= !self.run.is_empty();
        self.end_run();
        let mut any = Vec::new();
        for branch in branches {
            let mut walk = Walk::default();
            walk.visit(branch);
            let found = walk.finish();
            self.loses |= !found.suffice;
            match found.all_of.into_iter().next() {
                Some(set) if any.len() + set.len() <= ALTERNATIVES_MAX => any.extend(set),
                _ => {
                    self.loses = true;
                    return;
                }
            }
        }
        self.add(any);
    }

    fn gap(&mut self) {
        self.loses = true;
        self.end_run();
    }

    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        if run.is_empty() {
            return;
        }
        match expand(&run) {
            Some(set) => self.add(set),
            None => {
                // Too many choices, or letters with and without case: what lies between them is still there.
                self.loses = true;
                let separators: [fn(&Place) -> bool; 3] = [
                    |place| matches!(place, Place::Choice(_)),
                    |place| matches!(place, Place::Letter(_)),
                    |place| !matches!(place, Place::Letter(_)),
                ];
                let parts = separators.iter().flat_map(|separates| run.split(separates));
                let but_one = [&run[..run.len() - 1], &run[1..]];
                if let Some(set) = parts.chain(but_one).filter_map(expand).max_by_key(|set| shortest(set)) {
                    self.add(set);
                }
            }
        }
    }

    fn add(&mut self, set: Vec<Literal>) {
        // Another set beside this one loses their order.
        self.loses |= !self.sets.is_empty();
        if shortest(&set) > 1 {
            self.sets.push(set);
        } else {
            self.loses = true;
        }
    }
}

fn shortest(set: &[Literal]) -> usize {
    set.iter().map(|literal| literal.bytes.len()).min().unwrap_or(0)
}

/// The places of a class of one character, or of a few of one byte each.
fn places_of(class: &Class) -> Option<Vec<Place>> {
    if let Some(literal) = class.literal() {
        return Some(literal.into_iter().map(Place::Byte).collect());
    }
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => {
            class.ranges().iter().map(|range| (u32::from(range.start()), u32::from(range.end()))).collect()
        }
        Class::Bytes(class) => {
            class.ranges().iter().map(|range| (u32::from(range.start()), u32::from(range.end()))).collect()
        }
    };
    let mut bytes: Vec<u8> = Vec::new();
    for character in ranges.into_iter().flat_map(|(start, end)| start..=end).take(CHOICES_MAX + 1) {
        bytes.push(u8::try_from(character).ok().filter(u8::is_ascii)?);
    }
    match bytes.as_slice() {
        [capital, small] if capital.is_ascii_uppercase() && capital.to_ascii_lowercase() == *small => {
            Some(vec![Place::Letter(*small)])
        }
        choice if !choice.is_empty() && choice.len() <= CHOICES_MAX => Some(vec![Place::Choice(bytes)]),
        _ => None,
    }
}

/// All texts of a run; `None` when there are too many, or when they cannot be told exactly.
fn expand(run: &[Place]) -> Option<Vec<Literal>> {
    let ignores_case = run.iter().any(|place| matches!(place, Place::Letter(_)));
    let mut texts: Vec<Vec<u8>> = vec![Vec::new()];
    for place in run {
        match place {
            // Beside letters in either case, one in a single case would be taken for either, and so would
            // bytes that are not ASCII.
            Place::Byte(byte) if ignores_case && (byte.is_ascii_alphabetic() || !byte.is_ascii()) => {
                return None;
            }
            Place::Byte(byte) | Place::Letter(byte) => texts.iter_mut().for_each(|text| text.push(*byte)),
            Place::Choice(bytes) => {
                if texts.len() * bytes.len() > CHOICES_MAX
                    || ignores_case && bytes.iter().any(u8::is_ascii_alphabetic)
                {
                    return None;
                }
                let longer = |text: &Vec<u8>| {
                    let text = text.clone();
                    bytes.iter().map(move |byte| [text.as_slice(), &[*byte]].concat())
                };
                texts = texts.iter().flat_map(longer).collect();
            }
        }
    }
    Some(texts.into_iter().map(|text| Literal { bytes: text.into(), ignores_case }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets apart by `&`, literals of a set by `|`, `~` before one in either case, `=` first when they suffice.
    fn literals(expression: &str) -> String {
        let found = required_literals(expression);
        let literal = |literal: &Literal| {
            let case = if literal.ignores_case { "~" } else { "" };
            format!("{case}{}", String::from_utf8_lossy(&literal.bytes))
        };
        let set = |set: &Vec<Literal>| set.iter().map(literal).collect::<Vec<_>>().join("|");
        let sets = found.all_of.iter().map(set).collect::<Vec<_>>().join("&");
        format!("{}{sets}", if found.suffice { "=" } else { "" })
    }

    #[test]
    fn what_every_match_contains_is_found() {
        for (expression, expected) in [
            (r"status=5\d\d", "status=5"),
            (r#"status[=:"]+50[234]"#, r#"status"|status:|status=&502|503|504"#),
            (r"(timeout|refused) after all", " after all&timeout|refused"),
            (r"timeout|refused", "=timeout|refused"),
            (r#"level=error|"level":"error""#, r#"=level=error|"level":"error""#),
            (r"user(name)?:", "user"),
            (r"\berror\b.*disk", "error&disk"),
            (r"^error", "error"),
            (r"error", "=error"),
            (r"(?i)error", "=~error"),
            (r"(?i)outofmemory: 12", "=~outofmemory: 12"),
            (r"(?i)disk full", "~ full&~di"),
            (r"Error(?i)log", "Error"),
            (r"a.b", ""),
            (r".*", ""),
            (r"x*yy", "yy"),
            (r"foo|", ""),
            (r"[ab][cd]x", "=acx|adx|bcx|bdx"),
            (r"[abc][def]xy", "dxy|exy|fxy"),
            (r"é+a", "éa&é"),
        ] {
            assert_eq!(literals(expression), expected, "{expression}");
        }
    }

    #[test]
    fn what_matches_contains_a_literal_of_each_set_and_the_other_way_round_when_they_suffice() {
        let pieces = [
            "a", "B", "er", "[xy]", "(?i:k)", "(?i:er)", "é", ".", "\\d+", "(ab|cd)", "x?", "(b|)", "^", "|",
        ];
        let texts = [
            "", "a", "ab", "er", "aer", "ER7", "K", "\u{212a}", "éa", "cdx", "xER", "B1er", "abBcd", "yya.er",
        ];
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..5_000 {
            let expression: String =
                (0..rng.usize(1..6)).map(|_| pieces[rng.usize(..pieces.len())]).collect();
            let Ok(regex) = regex::bytes::Regex::new(&expression) else { continue };
            let found = required_literals(&expression);
            for _ in 0..8 {
                let text: String = (0..rng.usize(..5)).map(|_| texts[rng.usize(..texts.len())]).collect();
                let small = text.to_ascii_lowercase();
                let has = |literal: &Literal| {
                    let text = if literal.ignores_case { &small } else { &text };
                    memchr::memmem::find(text.as_bytes(), &literal.bytes).is_some()
                };
                let has_all = found.all_of.iter().all(|set| set.iter().any(has));
                let matches = regex.is_match(text.as_bytes());
                assert!(!matches || has_all, "{expression} matches {text}");
                assert!(!found.suffice || matches == has_all, "{expression} and {text}");
            }
        }
    }
}
