//! Where a group is to end so that it does not lie around other groups of its family.
//!
//! Rows that may be there twice have to be compared wherever two groups of a stream overlap in time. A group made of
//! rows from before and from after another would overlap all of it without a row in between.

use timberyard_model::Timestamp;

/// Other groups of a family, and how far the merged rows have come.
pub(crate) struct Gaps {
    /// First and last times of the other groups, ascending.
    others: Vec<(Timestamp, Timestamp)>,
    next: usize,
    before: Option<Timestamp>,
}

impl Gaps {
    pub(crate) fn new(mut others: Vec<(Timestamp, Timestamp)>) -> Self {
        others.sort_unstable();
        Self { others, next: 0, before: None }
    }

    /// Whether most of another group lies between the last row and the next, which is at `time` and not before it.
    pub(crate) fn parts(&mut self, time: Timestamp) -> bool {
        let Some(before) = self.before.replace(time).filter(|before| *before < time) else { return false };
        while self.others.get(self.next).is_some_and(|(_, last)| *last <= before) {
            self.next += 1;
        }
        let between = self.others.iter().skip(self.next).take_while(|(first, _)| *first < time);
        let length = |from: Timestamp, to: Timestamp| i128::from(to.as_nanos()) - i128::from(from.as_nanos());
        between
            .into_iter()
            .any(|(first, last)| length((*first).max(before), (*last).min(time)) * 2 >= length(*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_ends_before_another_that_lies_between_its_rows() {
        let time = Timestamp::from_nanos;
        let others = vec![(time(100), time(200)), (time(300), time(400)), (time(305), time(306))];
        let mut gaps = Gaps::new(others);
        let parted: Vec<i64> = [10, 50, 110, 195, 250, 251, 310, 390, 420, 420, 900]
            .into_iter()
            .filter(|nanos| gaps.parts(time(*nanos)))
            .collect();
        // From 110 to 195 most of the first lies, from 310 to 390 most of the second; the third lies before 310.
        assert_eq!(parted, [195, 310, 390]);
        assert!(!Gaps::new(Vec::new()).parts(time(5)));
    }
}
