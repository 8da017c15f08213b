//! What may stand at a place of a line: the ends of what comes before it, and those of the values that come next.

use super::identifiers::{UUID_BYTES, UuidProgress, is_digit, is_uuid, uuid_step};
use super::trigrams::{KINDS, Kinds, OTHER, each, kind, only};

/// Two kinds of bytes, one behind the other.
#[derive(Clone, Copy)]
struct Twos {
    /// Kinds that stand first.
    firsts: Kinds,
    /// For each of them the kinds that may come behind it.
    seconds: [Kinds; KINDS],
}

impl Twos {
    const NONE: Self = Self { firsts: 0, seconds: [0; KINDS] };

    #[inline]
    fn add(&mut self, first: usize, seconds: Kinds) {
        self.firsts |= only(first);
        self.seconds[first % KINDS] |= seconds;
    }

    fn join(&mut self, other: &Self) {
        other.iter().for_each(|(first, seconds)| self.add(first, seconds));
    }

    fn iter(&self) -> impl Iterator<Item = (usize, Kinds)> {
        each(self.firsts).map(|first| (first, self.seconds[first % KINDS]))
    }
}

/// All that may stand before a place.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The last two kinds of bytes.
    twos: Twos,
    /// The longest run of hexadecimal digits that may end here.
    pub(super) run: usize,
    pub(super) uuid: UuidProgress,
}

impl Place {
    /// The beginning of a line, as if bytes of no kind of their own stood before it.
    pub(super) const START: Self = {
        let mut start = Self::NOWHERE;
        start.twos.firsts = 1 << OTHER;
        start.twos.seconds[OTHER as usize] = 1 << OTHER;
        start
    };
    /// A place that no line has.
    pub(super) const NOWHERE: Self = Self { twos: Twos::NONE, run: 0, uuid: 0 };

    /// The last two kinds of bytes.
    pub(super) fn twos(&self) -> impl Iterator<Item = (usize, Kinds)> {
        self.twos.iter()
    }

    /// The last kinds of bytes.
    pub(super) fn last(&self) -> Kinds {
        self.twos.iter().fold(0, |last, (_, seconds)| last | seconds)
    }

    /// Takes in what may stand at another place as well.
    pub(super) fn join(&mut self, other: &Self) {
        self.twos.join(&other.twos);
        self.run = self.run.max(other.run);
        self.uuid |= other.uuid;
    }

    /// The place behind values with these ends.
    pub(super) fn pass(&mut self, ends: &Ends) {
        let mut behind = Self { twos: ends.last_two, run: ends.trailing_run, uuid: ends.uuid };
        if ends.single != 0 {
            each(self.last()).for_each(|last| behind.twos.add(last, ends.single));
        }
        if ends.has_empty {
            behind.join(self);
        }
        if let Some(whole) = ends.whole_run {
            behind.run = behind.run.max(self.run + whole);
        }
        *self = behind;
    }
}

impl Default for Twos {
    fn default() -> Self {
        Self::NONE
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::START
    }
}

/// How the values begin and end that may stand at one place.
#[derive(Default)]
pub(super) struct Ends {
    has_empty: bool,
    /// Their first kinds of bytes.
    pub(super) first: Kinds,
    first_two: Twos,
    /// Values of one byte.
    single: Kinds,
    last_two: Twos,
    /// The longest runs of digits that they begin with, end with, and are.
    pub(super) leading_run: usize,
    trailing_run: usize,
    whole_run: Option<usize>,
    /// How far UUIDs have come behind them.
    uuid: UuidProgress,
}

impl Ends {
    /// Adds a value, before which UUIDs have come so far. Whether one of them is whole in it.
    pub(super) fn add(&mut self, value: &[u8], uuid: UuidProgress) -> bool {
        let [first, ..] = value else {
            self.has_empty = true;
            self.uuid |= uuid;
            return false;
        };
        let first = kind(*first);
        self.first |= only(first);
        match value {
            [_, second, ..] => self.first_two.add(first, only(kind(*second))),
            _ => self.single |= only(first),
        }
        if let [.., before, last] = value {
            self.last_two.add(kind(*before), only(kind(*last)));
        }
        let leading = value.iter().take_while(|byte| is_digit(**byte)).count();
        self.leading_run = self.leading_run.max(leading);
        if leading == value.len() {
            self.trailing_run = self.trailing_run.max(leading);
            self.whole_run = self.whole_run.max(Some(leading));
        } else {
            let trailing = value.iter().rev().take_while(|byte| is_digit(**byte)).count();
            self.trailing_run = self.trailing_run.max(trailing);
        }
        self.add_uuids(value, uuid)
    }

    fn add_uuids(&mut self, value: &[u8], before: UuidProgress) -> bool {
        let mut has_whole = false;
        let mut progress = before;
        for (behind, byte) in (1..UUID_BYTES).zip(value) {
            // Those that have come further than the value began before it.
            if progress >> behind == 0 {
                break;
            }
            progress = uuid_step(progress, *byte);
            has_whole |= is_uuid(progress);
        }
        let may_go_on = |byte: &&u8| **byte == b'-' || is_digit(**byte);
        let trailing = value.iter().rev().take(UUID_BYTES).take_while(may_go_on).count();
        let begun = if trailing == value.len() { before } else { 0 };
        self.uuid |= value[value.len() - trailing..].iter().fold(begun, |come, byte| uuid_step(come, *byte));
        has_whole
    }

    /// The first two kinds of bytes.
    pub(super) fn first_two(&self) -> impl Iterator<Item = (usize, Kinds)> {
        self.first_two.iter()
    }
}
