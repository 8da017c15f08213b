//! Lines by the start of their step.

use std::collections::BTreeMap;

/// How many lines there are in each step, by the step's start in nanoseconds. Rows come mostly in the order of time, so that
/// the step of the last one is at hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    latest: (i64, u64),
    others: BTreeMap<i64, u64>,
}

impl Samples {
    /// Adds a line to a step.
    #[inline]
    pub(super) fn add(&mut self, step: i64) {
        if self.latest.0 != step {
            self.put_away();
            self.latest = (step, 0);
        }
        self.latest.1 += 1;
    }

    /// Adds the lines of others.
    pub(super) fn add_all(&mut self, other: Self) {
        for (step, lines) in other.into_steps() {
            *self.others.entry(step).or_default() += lines;
        }
    }

    /// How many steps have lines, about: one may count twice.
    pub(super) fn steps(&self) -> usize {
        self.others.len() + usize::from(self.latest.1 > 0)
    }

    /// All lines.
    pub(super) fn lines(&self) -> u64 {
        self.latest.1 + self.others.values().sum::<u64>()
    }

    /// The steps that have lines, in the order of time.
    pub(super) fn into_steps(mut self) -> impl Iterator<Item = (i64, u64)> {
        self.put_away();
        self.others.into_iter()
    }

    fn put_away(&mut self) {
        if self.latest.1 > 0 {
            *self.others.entry(self.latest.0).or_default() += self.latest.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_in_whatever_order_steps_come() {
        let mut samples = Samples::default();
        for step in [5, 5, 0, 5, 5, 9] {
            samples.add(step);
        }
        let mut more = Samples::default();
        (0..7).for_each(|_| more.add(0));
        samples.add_all(more);
        assert_eq!((samples.lines(), samples.steps()), (13, 3));
        assert_eq!(samples.into_steps().collect::<Vec<_>>(), [(0, 8), (5, 4), (9, 1)]);
    }
}
