//! Bytes that every match of a regular expression contains, found from its syntax.
//!
//! A store searches these in its own way, and asks the expression itself only of the lines that are left.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// More alternatives than this say too little to be worth searching.
const ALTERNATIVES_MAX: usize = 16;

/// Byte strings of which every match contains at least one; `None` when nothing is known.
///
/// The expression is in the syntax of the `regex` crate. Takes time linear in its size.
pub fn required_literals(expression: &str) -> Option<Vec<Box<[u8]>>> {
    let hir = ParserBuilder::new().utf8(false).build().parse(expression).ok()?;
    of(&hir).filter(|literals| literals.iter().all(|literal| literal.len() > 1))
}

/// Any one of these is in every match. Never holds an empty literal.
type AnyOf = Vec<Box<[u8]>>;

fn of(hir: &Hir) -> Option<AnyOf> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.clone()]),
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => of(&repetition.sub),
        HirKind::Class(class) => of_class(class),
        HirKind::Concat(parts) => of_concat(parts),
        HirKind::Alternation(branches) => {
            let mut any = AnyOf::new();
            for branch in branches {
                any.extend(of(branch)?);
                if any.len() > ALTERNATIVES_MAX {
                    return None;
                }
            }
            Some(any)
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The single byte of a class that has only one.
fn of_class(class: &Class) -> Option<AnyOf> {
    class.literal().map(|literal| vec![literal.into_boxed_slice()])
}

/// The part that says most; neighbouring literals count as one.
fn of_concat(parts: &[Hir]) -> Option<AnyOf> {
    let mut best: Option<AnyOf> = None;
    let mut run: Vec<u8> = Vec::new();
    for part in parts {
        if let HirKind::Literal(literal) = part.kind() {
            run.extend_from_slice(&literal.0);
            best = better(best, vec![run.clone().into_boxed_slice()]);
            continue;
        }
        if !matches!(part.kind(), HirKind::Look(_)) {
            run.clear();
        }
        if let Some(any) = of(part) {
            best = better(best, any);
        }
    }
    best
}

/// Prefers the one whose shortest literal is longer, since that is found in fewer lines.
fn better(known: Option<AnyOf>, new: AnyOf) -> Option<AnyOf> {
    let shortest = |any: &AnyOf| any.iter().map(|literal| literal.len()).min().unwrap_or(0);
    match known {
        Some(known) if shortest(&known) >= shortest(&new) => Some(known),
        _ => Some(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(expression: &str) -> Option<Vec<String>> {
        let found = required_literals(expression)?;
        Some(found.iter().map(|literal| String::from_utf8_lossy(literal).into_owned()).collect())
    }

    #[test]
    fn what_every_match_contains_is_found() {
        for (expression, expected) in [
            (r"status=5\d\d", Some(vec!["status=5"])),
            (r"(timeout|refused) after all", Some(vec![" after all"])),
            (r"timeout|refused", Some(vec!["timeout", "refused"])),
            (r"user(name)?:", Some(vec!["user"])),
            (r"\berror\b.*disk", Some(vec!["error"])),
            (r"(?i)error", None),
            (r"a.b", None),
            (r".*", None),
            (r"x*yy", Some(vec!["yy"])),
            (r"foo|", None),
        ] {
            let expected = expected.map(|e| e.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(literals(expression), expected, "{expression}");
        }
    }
}
