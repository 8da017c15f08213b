//! The templates of all lines of one shape: which parts of them every line has, and from which stretches the rest comes.
//!
//! Words are told apart by separators, wherever these stand. So what lies between two separators in the literals of a shape
//! becomes the same in every line, and what lies around a slot, up to the next separators, does not depend on the rest of the
//! line. Of a run of digits only matters that it is there.

use timberyard_model::fields::{
    ByteSet, FieldLayout, FieldPiece, FieldPlace, FieldReader, SlotRule, Stretch, ValueForm,
};

use super::template::{SEPARATORS, is_separator, write_words};

/// Bytes of a word.
const WORD: ByteSet = ByteSet::ALL.without(SEPARATORS).without(b":");

static ANY: SlotRule = SlotRule::ANY;
static ONLY_DIGITS: SlotRule = SlotRule::ONLY_DIGITS;
/// One word, or a part of one, that varies whatever stands around it.
static VARYING: SlotRule =
    SlotRule { first: ByteSet::DIGITS, rest: WORD, may_be_empty: false, accepts: is_varying };

fn is_varying(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit) && value.iter().all(|byte| WORD.has(*byte))
}

/// Gives the template of a line, not [cut](super::template::cut_template), as its only field.
#[derive(Debug, Default)]
pub(super) struct TemplateReader {
    /// A stream has no label without a name.
    labels: [Box<str>; 1],
}

impl FieldReader for TemplateReader {
    fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    fn lay_out(&self, literals: &[&[u8]]) -> Option<FieldLayout> {
        let slots = vec![&ANY; literals.len().checked_sub(1)?];
        let mut pieces = Pieces::default();
        for (slot, literal) in literals.iter().enumerate() {
            pieces.add(literal, slot);
        }
        Some(FieldLayout { slots, fields: vec![FieldPlace::Pieces(pieces.finish())] })
    }

    fn read(&self, _: ValueForm, raw: &[u8], text: &mut String) -> bool {
        write_words(raw, text);
        true
    }
}

/// The pieces of a shape, from left to right.
#[derive(Default)]
struct Pieces {
    done: Vec<FieldPiece>,
    /// The stretch that is not at its end: its literals so far.
    open: Vec<Box<[u8]>>,
    first_slot: usize,
}

impl Pieces {
    /// Adds the literal in front of the slot of that number.
    fn add(&mut self, literal: &[u8], slot: usize) {
        let first = literal.iter().position(|byte| is_separator(*byte));
        let last = literal.iter().rposition(|byte| is_separator(*byte));
        let Some((first, last)) = first.zip(last) else {
            self.open.push(literal.into());
            return;
        };
        let (before, rest) = literal.split_at(first);
        let (between, behind) = rest.split_at(last + 1 - first);
        self.open.push(before.into());
        self.end_stretch();
        let mut text = String::new();
        write_words(between, &mut text);
        self.done.push(FieldPiece::Text(text.into()));
        self.open.push(behind.into());
        self.first_slot = slot;
    }

    fn end_stretch(&mut self) {
        let literals = std::mem::take(&mut self.open);
        let outline = literals.join(&b"0"[..]);
        let mut usual = String::new();
        write_words(&outline, &mut usual);
        let usual: Box<str> = usual.into();
        self.done.push(match literals.len() {
            1 => FieldPiece::Text(usual),
            _ => {
                let rule = if may_change_colons(&literals) { &ONLY_DIGITS } else { &VARYING };
                FieldPiece::Stretch(Stretch { first_slot: self.first_slot, literals, rule, usual })
            }
        });
    }

    fn finish(mut self) -> Vec<FieldPiece> {
        self.end_stretch();
        self.done
    }
}

/// Whether a colon beside a slot separates words or not depending on the digits in the slot.
fn may_change_colons(literals: &[Box<[u8]>]) -> bool {
    let last = literals.len() - 1;
    literals.iter().enumerate().any(|(place, literal)| {
        let begins = place > 0 && literal.first() == Some(&b':');
        let ends = place < last && literal.last() == Some(&b':');
        // On the other side of the colon stands a digit, or another slot.
        let digit_behind = literal.get(1).map_or(place < last, u8::is_ascii_digit);
        let digit_before =
            literal.len().checked_sub(2).map_or(place > 0, |before| literal[before].is_ascii_digit());
        begins && digit_behind || ends && digit_before
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns::template::{cut_template, write_template};

    /// What the store would make of the pieces for a line with these values.
    fn of_pieces(literals: &[&[u8]], values: &[&[u8]]) -> String {
        let reader = TemplateReader::default();
        let layout = reader.lay_out(literals).expect("any shape");
        let Some(FieldPlace::Pieces(pieces)) = layout.fields.first() else { panic!("pieces") };
        let mut text = String::new();
        for piece in pieces {
            match piece {
                FieldPiece::Text(piece) => text.push_str(piece),
                FieldPiece::Stretch(stretch) => {
                    let values = &values[stretch.first_slot..][..stretch.literals.len() - 1];
                    let mut raw = stretch.literals[0].to_vec();
                    for (value, literal) in values.iter().zip(&stretch.literals[1..]) {
                        raw.extend_from_slice(value);
                        raw.extend_from_slice(literal);
                    }
                    let before = text.len();
                    reader.read(ValueForm::Bare, &raw, &mut text);
                    if values.iter().all(|value| stretch.rule.admits(value)) {
                        assert_eq!(text[before..], *stretch.usual, "{stretch:?} {values:?}");
                    }
                }
            }
        }
        cut_template(&mut text);
        text
    }

    #[test]
    fn a_template_put_together_is_that_of_the_line() {
        let pieces = ["a", "1", ":", " ", "=", "\"", "<", "é", "x:", "2:", ":3", "/", "", "{", "[", "\t"];
        let mut rng = fastrand::Rng::with_seed(11);
        for _ in 0..40_000 {
            let mut text = |most: usize| -> String {
                (0..rng.usize(..most)).map(|_| pieces[rng.usize(..pieces.len())]).collect()
            };
            let literals: Vec<String> = (0..4).map(|_| text(4)).collect();
            let values: Vec<String> = (0..3).map(|_| text(3)).collect();
            let literals: Vec<&[u8]> = literals.iter().map(String::as_bytes).collect();
            let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
            let mut line = literals[0].to_vec();
            for (value, literal) in values.iter().zip(&literals[1..]) {
                line.extend_from_slice(value);
                line.extend_from_slice(literal);
            }
            let mut expected = String::new();
            write_template(&line, &mut expected);
            assert_eq!(of_pieces(&literals, &values), expected, "{literals:?} {values:?}");
        }
    }

    #[test]
    fn one_run_of_digits_is_like_another() {
        let pieces = ["a", "$", ":", " ", "<", "é", "x:", "$:", ":$", "/"];
        let mut rng = fastrand::Rng::with_seed(12);
        for _ in 0..20_000 {
            let line: String = (0..rng.usize(..9)).map(|_| pieces[rng.usize(..pieces.len())]).collect();
            let template = |digits: &str| {
                let mut template = String::new();
                write_template(line.replace('$', digits).as_bytes(), &mut template);
                template
            };
            assert_eq!(template("0"), template("907"), "{line}");
        }
    }
}
