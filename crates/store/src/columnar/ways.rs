//! The ways in which a needle can lie along a template without lying inside one of its literals.
//!
//! Each way leaves a test for every slot that the needle touches. Takes time in the length of the needle for each slot.

use std::borrow::Cow;

use super::needle::{Needle, Piece, Test};

/// Ways before it is cheaper to spell rows out.
const WAYS_MAX: usize = 64;

/// One way to lay a needle along a template: every test must pass on its slot.
pub(super) type Way<'n> = Vec<(usize, Test<'n>)>;

/// Lays one needle along template after template; keeps its memory between them.
pub(super) struct Layer<'t, 'n> {
    needle: &'n Needle,
    literals: Vec<Cow<'t, [u8]>>,
    way: Way<'n>,
    ways: Vec<Way<'n>>,
}

impl<'t, 'n> Layer<'t, 'n> {
    pub(super) fn new(needle: &'n Needle) -> Self {
        Self { needle, literals: Vec::new(), way: Vec::new(), ways: Vec::new() }
    }

    pub(super) fn needle(&self) -> &'n Needle {
        self.needle
    }

    /// All ways to lay it along a template of these literals, or `None` when there are more than is worth testing. Ways in which a slot would have to hold a piece that, as
    /// `may_hold` says, it cannot are left out; what a slot cannot hold, it cannot hold as a part of more either.
    pub(super) fn ways(
        &mut self,
        literals: impl Iterator<Item = &'t [u8]>,
        may_hold: &dyn Fn(usize, Piece<'n>) -> bool,
    ) -> Option<&[Way<'n>]> {
        let needle = self.needle;
        let whole = needle.piece();
        self.literals.clear();
        self.literals.extend(literals.map(|literal| whole.folded(literal)));
        self.way.clear();
        self.ways.clear();
        let slots = self.literals.len().saturating_sub(1);
        for slot in 0..slots {
            // It begins in the literal before the slot, and goes on into it.
            if let Some(last) = self.literals[slot].last().copied().filter(|last| needle.has(*last)) {
                for len in 1..=self.literals[slot].len().min(whole.len().saturating_sub(1)) {
                    let (begun, rest) = (whole.up_to(len).bytes(), whole.from(len));
                    if begun.last() == Some(&last) && self.literals[slot].ends_with(begun) {
                        self.follow(slot, rest, may_hold)?;
                    }
                }
            }
            // It begins in the slot's value, and ends there or goes on into what comes after.
            if may_hold(slot, whole) {
                self.ways.push(vec![(slot, Test::Contains(needle))]);
            }
            let after = self.literals[slot + 1].first().copied();
            let is_last = slot + 1 == slots;
            // Most needles lack the byte behind most slots.
            let lens = if after.is_some_and(|byte| !needle.has(byte)) { 1..1 } else { 1..whole.len() };
            for len in lens {
                if after.map_or(is_last, |byte| byte != whole.bytes()[len]) {
                    continue;
                }
                if !may_hold(slot, whole.up_to(len)) {
                    break;
                }
                self.way.push((slot, Test::Suffix(whole.up_to(len))));
                self.after_slot(slot, whole.from(len), may_hold)?;
                self.way.pop();
            }
            self.worth_it()?;
        }
        Some(&self.ways)
    }

    fn worth_it(&self) -> Option<()> {
        (self.ways.len() <= WAYS_MAX + self.literals.len()).then_some(())
    }

    /// The rest of the needle begins with the value of the slot, which begins where the rest does.
    fn follow(
        &mut self,
        slot: usize,
        rest: Piece<'n>,
        may_hold: &dyn Fn(usize, Piece<'n>) -> bool,
    ) -> Option<()> {
        if slot + 1 >= self.literals.len() {
            return Some(());
        }
        if may_hold(slot, rest) {
            self.way.push((slot, Test::Prefix(rest)));
            self.ways.push(self.way.clone());
            self.way.pop();
        }
        for len in 0..rest.len() {
            if !may_hold(slot, rest.up_to(len)) {
                break;
            }
            self.way.push((slot, Test::Equals(rest.up_to(len))));
            self.after_slot(slot, rest.from(len), may_hold)?;
            self.way.pop();
        }
        Some(())
    }

    /// The rest of the needle, not empty, begins right after the slot.
    fn after_slot(
        &mut self,
        slot: usize,
        rest: Piece<'n>,
        may_hold: &dyn Fn(usize, Piece<'n>) -> bool,
    ) -> Option<()> {
        self.worth_it()?;
        let literal = &self.literals[slot + 1];
        if literal.starts_with(rest.bytes()) {
            self.ways.push(self.way.clone());
            Some(())
        } else if rest.bytes().starts_with(literal) {
            let len = literal.len();
            self.follow(slot + 1, rest.from(len), may_hold)
        } else {
            Some(())
        }
    }
}
