//! Which values of a column keep a rule about their bytes: told for all at once from the bytes that they have, where
//! that is enough.

use memchr::{memchr, memchr2};
use timberyard_model::fields::{ByteSet, SlotRule};

use super::column::{Column, Values};
use super::filled::Filled;
use super::matches::Matches;
use super::slot::Slot;
use super::strings::{Budget, StringsView};
use crate::codec::Malformed;

/// Bytes that values have at most.
#[derive(Clone, Copy)]
struct Alphabet {
    /// At their start.
    first: ByteSet,
    /// Anywhere.
    all: ByteSet,
    may_be_empty: bool,
}

impl Alphabet {
    /// Of nothing but the empty value.
    const EMPTY: Self = Self { first: ByteSet::NONE, all: ByteSet::NONE, may_be_empty: true };
    /// Of no value.
    const NOTHING: Self = Self { may_be_empty: false, ..Self::EMPTY };

    fn of(value: &[u8]) -> Self {
        let first = value.first().map_or(ByteSet::NONE, |first| ByteSet::NONE.with(&[*first]));
        Self { first, all: bytes_of(value), may_be_empty: value.is_empty() }
    }

    /// Of values of either.
    fn or(self, other: Self) -> Self {
        Self {
            first: self.first.or(other.first),
            all: self.all.or(other.all),
            may_be_empty: self.may_be_empty || other.may_be_empty,
        }
    }

    /// Of values of this with values of the other behind them.
    fn then(self, other: Self) -> Self {
        Self {
            first: if self.may_be_empty { self.first.or(other.first) } else { self.first },
            all: self.all.or(other.all),
            may_be_empty: self.may_be_empty && other.may_be_empty,
        }
    }

    fn keeps(&self, rule: &SlotRule) -> bool {
        self.first.is_within(&rule.first)
            && self.all.is_within(&rule.rest)
            && (rule.may_be_empty || !self.may_be_empty)
    }
}

fn bytes_of(text: &[u8]) -> ByteSet {
    const SHORT: usize = 256;
    if text.len() < SHORT {
        return text.iter().fold(ByteSet::NONE, |set, byte| set.with(&[*byte]));
    }
    let mut seen = [false; 256];
    text.iter().for_each(|byte| seen[*byte as usize] = true);
    (0..=255).filter(|byte| seen[*byte as usize]).fold(ByteSet::NONE, |set, byte| set.with(&[byte]))
}

/// The bytes of a text, or more than these as long as `allowed` has them.
fn bytes_within(text: &[u8], allowed: &ByteSet) -> ByteSet {
    let mut others = (0..=255).filter(|byte| !allowed.has(*byte));
    let is_within = match (others.next(), others.next(), others.next()) {
        (Some(one), None, _) => memchr(one, text).is_none(),
        (Some(one), Some(other), None) => memchr2(one, other, text).is_none(),
        _ => false,
    };
    if is_within { *allowed } else { bytes_of(text) }
}

impl Column {
    /// Whether it can be seen from a column that is not opened yet that all its values keep the rule.
    pub(super) fn are_digits_admitted(rule: &SlotRule) -> bool {
        ByteSet::DIGITS.is_within(&rule.first) && ByteSet::DIGITS.is_within(&rule.rest)
    }

    /// Whether it can be seen without spelling values out that all of them keep the rule.
    pub(super) fn surely_keeps(&self, rule: &SlotRule) -> bool {
        self.alphabet(rule).is_some_and(|alphabet| alphabet.keeps(rule))
    }

    /// Which values keep the rule, each looked at.
    pub(super) fn admitted(
        &self,
        rule: &SlotRule,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        Ok(match self.values() {
            Values::One(value) if rule.admits(value) => Matches::All,
            Values::One(_) => Matches::None,
            Values::Known(known, ids) => {
                let admitted: Vec<bool> = known.iter().map(|value| rule.admits(value)).collect();
                if admitted.iter().all(|admitted| *admitted) {
                    return Ok(Matches::All);
                }
                Matches::from_rows(ids.iter().map(|id| admitted[*id as usize]).collect())
            }
            Values::Each(column) => {
                let mut admitted = Vec::with_capacity(count);
                column.for_each(count, budget, &mut |value| admitted.push(rule.admits(value)))?;
                Matches::from_rows(admitted)
            }
        })
    }

    /// The bytes of the values, as far as the form tells them without spelling values out, or more that the rule does not
    /// mind; `None` when a column inside is not open.
    fn alphabet(&self, rule: &SlotRule) -> Option<Alphabet> {
        Some(match self {
            Self::Constant(value) => Alphabet::of(value),
            Self::Digits { .. } => {
                Alphabet { first: ByteSet::DIGITS, all: ByteSet::DIGITS, may_be_empty: false }
            }
            Self::Hex(hex) => {
                let digits = ByteSet::NONE.with(b"0123456789abcdef");
                let place = |byte: &u8| match *byte {
                    0 => Alphabet { first: digits, all: digits, may_be_empty: false },
                    byte => Alphabet::of(&[byte]),
                };
                hex.shape.iter().map(place).fold(Alphabet::EMPTY, Alphabet::then)
            }
            Self::Dictionary { known, .. } => alphabet_of(known.view(), rule),
            Self::Raw(values) => alphabet_of(values.view(), rule),
            Self::Nested(table) => {
                let mut all = Alphabet::NOTHING;
                for filled in table.templates().filter(|filled| filled.rows > 0) {
                    all = all.or(alphabet_of_rows(filled, rule)?);
                }
                all
            }
        })
    }
}

fn alphabet_of(values: StringsView<'_>, rule: &SlotRule) -> Alphabet {
    let all = bytes_within(values.bytes, &rule.rest);
    let first = if all.is_within(&rule.first) {
        all
    } else {
        bytes_of(&values.iter().filter_map(<[u8]>::first).copied().collect::<Vec<u8>>())
    };
    let mut lengths = values.ends.iter().zip(std::iter::once(&0).chain(values.ends));
    Alphabet { first, all, may_be_empty: rule.may_be_empty || lengths.any(|(end, start)| end == start) }
}

/// Of the rows of a template in a nested column.
fn alphabet_of_rows(filled: Filled<'_, '_>, rule: &SlotRule) -> Option<Alphabet> {
    let slot = |slot: usize| filled.slots.get(slot).and_then(Slot::opened)?.alphabet(rule);
    if rule.may_be_empty && rule.first == rule.rest {
        // What comes first does not matter then.
        let literals = bytes_within(filled.template.bytes(), &rule.rest);
        let literals = Alphabet { first: literals, all: literals, may_be_empty: true };
        return (0..filled.slots.len()).try_fold(literals, |row, place| Some(row.or(slot(place)?)));
    }
    let mut row = Alphabet::EMPTY;
    for (place, literal) in filled.template.literals().enumerate() {
        if let Some(place) = place.checked_sub(1) {
            row = row.then(slot(place)?);
        }
        row = row.then(Alphabet::of(literal));
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::super::column_encoder::ColumnEncoder;
    use super::super::strings::Span;
    use super::*;
    use crate::codec::Reader;

    static RULE: SlotRule = SlotRule {
        first: ByteSet::DIGITS.with(b"-a/"),
        rest: ByteSet::DIGITS.with(b".abcdef/-: ms"),
        may_be_empty: false,
        accepts: |value| value == b"true",
    };

    static SAME_EVERYWHERE: SlotRule = SlotRule {
        first: ByteSet::ALL.without(b"?x"),
        rest: ByteSet::ALL.without(b"?x"),
        may_be_empty: true,
        accepts: |_| false,
    };

    /// What columns say of all values is what the rule says of each.
    #[test]
    fn columns_in_every_form_keep_the_rule_that_their_values_keep() {
        let mix = |i: u64| (i + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        let makes: [&dyn Fn(u64) -> String; 10] = [
            &|_| "same".to_owned(),
            &|_| "12".to_owned(),
            &|i| mix(i).to_string()[..9].to_owned(),
            &|i| format!("{:016x}", mix(i)),
            &|i| ["1.5", "true", "a", "x"][(mix(i) % 4) as usize].to_owned(),
            &|i| ["1.5", "-3", "a b"][(mix(i) % 3) as usize].to_owned(),
            &|i| format!("10.{}.{}.{}:80", mix(i) as u8, (mix(i) >> 8) as u8, i),
            &|i| format!("/a/{}/b{}{}", mix(i) % 100_000, i % 3, if i == 77 { "?" } else { "" }),
            &|i| "a".repeat((mix(i) % 40) as usize),
            &|i| if i % 2 == 0 { format!("0{i}") } else { "true".to_owned() },
        ];
        for make in makes {
            let values: Vec<String> = (0..300).map(make).collect();
            let (mut text, mut spans, mut out) = (Vec::new(), Vec::new(), Vec::new());
            for value in &values {
                spans.push(Span { start: text.len() as u32, len: value.len() as u32 });
                text.extend_from_slice(value.as_bytes());
            }
            ColumnEncoder::default().encode(&text, &spans, &mut out);
            let mut budget = Budget(1 << 20);
            let column = Column::open(&mut Reader::new(&out), 300, 0, &mut budget).expect("valid");
            for rule in [&RULE, &SAME_EVERYWHERE] {
                let admitted = column.admitted(rule, 300, &mut budget).expect("valid");
                assert!(!column.surely_keeps(rule) || admitted == Matches::All);
                for (row, value) in values.iter().enumerate() {
                    assert_eq!(admitted.has(row), rule.admits(value.as_bytes()), "{value}");
                }
            }
        }
    }
}
