//! The ways in which a needle can lie along a template without lying inside one of its literals.
//!
//! Each way leaves a test for every slot that the needle touches. Takes time in the length of the needle for each slot.

use std::borrow::Cow;

use super::needle::{Needle, Piece, Test};
use super::templates::Template;

/// Ways before it is cheaper to spell rows out.
const WAYS_MAX: usize = 64;

/// One way to lay a needle along a template: every test must pass on its slot.
pub(super) type Way<'n> = Vec<(usize, Test<'n>)>;

/// All ways, or `None` when there are more than is worth testing.
pub(super) fn ways<'n>(template: &Template, needle: &'n Needle) -> Option<Vec<Way<'n>>> {
    let whole = needle.piece();
    let mut laying = Laying {
        literals: template.literals().map(|literal| whole.folded(literal)).collect(),
        way: Vec::new(),
        ways: Vec::new(),
    };
    for slot in 0..template.slots() {
        // It begins in the literal before the slot, and goes on into it.
        let before = laying.literals[slot].clone();
        for len in 1..=before.len().min(whole.len().saturating_sub(1)) {
            if before.ends_with(&whole.bytes()[..len]) {
                laying.follow(slot, whole.from(len))?;
            }
        }
        // It begins in the slot's value, and ends there or goes on into what comes after.
        laying.ways.push(vec![(slot, Test::Contains(needle))]);
        let after = laying.literals[slot + 1].first().copied();
        for len in 1..whole.len() {
            if after.is_some_and(|byte| byte != whole.bytes()[len]) {
                continue;
            }
            laying.way.push((slot, Test::Suffix(whole.up_to(len))));
            laying.after_slot(slot, whole.from(len))?;
            laying.way.pop();
        }
        laying.worth_it()?;
    }
    Some(laying.ways)
}

struct Laying<'t, 'n> {
    literals: Vec<Cow<'t, [u8]>>,
    way: Way<'n>,
    ways: Vec<Way<'n>>,
}

impl<'n> Laying<'_, 'n> {
    fn worth_it(&self) -> Option<()> {
        (self.ways.len() <= WAYS_MAX + self.literals.len()).then_some(())
    }

    /// The rest of the needle begins with the value of the slot, which begins where the rest does.
    fn follow(&mut self, slot: usize, rest: Piece<'n>) -> Option<()> {
        if slot + 1 >= self.literals.len() {
            return Some(());
        }
        self.way.push((slot, Test::Prefix(rest)));
        self.ways.push(self.way.clone());
        self.way.pop();
        for len in 0..rest.len() {
            self.way.push((slot, Test::Equals(rest.up_to(len))));
            self.after_slot(slot, rest.from(len))?;
            self.way.pop();
        }
        Some(())
    }

    /// The rest of the needle, not empty, begins right after the slot.
    fn after_slot(&mut self, slot: usize, rest: Piece<'n>) -> Option<()> {
        self.worth_it()?;
        let literal = &self.literals[slot + 1];
        if literal.starts_with(rest.bytes()) {
            self.ways.push(self.way.clone());
            Some(())
        } else if rest.bytes().starts_with(literal) {
            let len = literal.len();
            self.follow(slot + 1, rest.from(len))
        } else {
            Some(())
        }
    }
}
