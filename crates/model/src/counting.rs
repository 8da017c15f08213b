//! Counting rows without looking at them: what a consumer says that needs only numbers of rows and bytes,
//! and how a source answers that knows them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::labels::Labels;
use crate::scan::{ScanError, StreamVolume};
use crate::time::Timestamp;

/// Times that rows are told apart by: those up to a cut from those after it. Cuts come again every period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cuts {
    /// Nanoseconds from a cut to the next of its kind; 0 when there are no cuts.
    period_ns: i64,
    /// One cut of each kind, in nanoseconds since 1970.
    kinds_ns: [i64; 2],
}

/// Numbers of the rows of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedRows {
    /// The stream.
    pub labels: Labels,
    /// What the rows have of the metadata asked for.
    pub metadata: Vec<(Box<str>, Box<[u8]>)>,
    /// Ascending by time.
    pub cells: Vec<CountedCell>,
}

/// Numbers of rows that no cut parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedCell {
    /// A time on the same side of every cut as all of the rows; inside the range asked for.
    pub time: Timestamp,
    /// How many rows, at least one.
    pub rows: u64,
    /// Bytes of their lines; 0 where the consumer does not look at lines.
    pub line_bytes: u64,
    /// About what their metadata takes, as [`StreamVolume`](crate::scan::StreamVolume) has it.
    pub metadata_bytes: u64,
}

impl Cuts {
    /// No row is told from another by its time.
    pub const NONE: Self = Self { period_ns: 0, kinds_ns: [0; 2] };

    /// Two kinds of cuts, of which one is given each, every `period_ns` nanoseconds (at least one).
    pub fn every(period_ns: i64, kinds_ns: [i64; 2]) -> Self {
        Self { period_ns: period_ns.max(1), kinds_ns }
    }

    /// Nanoseconds from a cut to the next of its kind, and one cut of each kind; `None` when there are none.
    pub fn periodic(&self) -> Option<(i64, [i64; 2])> {
        (self.period_ns > 0).then_some((self.period_ns, self.kinds_ns))
    }

    /// Whether both kinds of cuts lie at the same times.
    pub fn are_of_one_kind(&self) -> bool {
        let [one, other] = self.kinds_ns.map(i128::from);
        self.period_ns == 0 || (one - other) % i128::from(self.period_ns) == 0
    }

    /// A number that times between the same two cuts of the first kind share, and no others.
    pub fn stretch(&self, time: Timestamp) -> i64 {
        if self.period_ns == 0 {
            return 0;
        }
        let since = i128::from(time.as_nanos()) - i128::from(self.kinds_ns[0]) - 1;
        i64::try_from(since.div_euclid(i128::from(self.period_ns))).unwrap_or(i64::MAX)
    }

    /// Whether a cut parts rows of the first time from rows of the last.
    pub fn part(&self, first: Timestamp, last: Timestamp) -> bool {
        let (first, last) = (first.as_nanos(), last.as_nanos());
        // A row at the time of a cut is on the near side of it.
        let [one, other] = self.kinds_ns;
        let parts = |cut: i64| self.until(cut, first) < last.abs_diff(first);
        // Both are the same where windows follow each other without a gap.
        self.period_ns > 0 && (parts(one) || other != one && parts(other))
    }
}

impl Cuts {
    /// Nanoseconds from a time to the next cut of a kind.
    fn until(&self, cut: i64, time: i64) -> u64 {
        let nanos = match cut.checked_sub(time) {
            Some(difference) => difference.rem_euclid(self.period_ns),
            // Exact, but several times as slow.
            None => {
                let difference = i128::from(cut) - i128::from(time);
                i64::try_from(difference.rem_euclid(i128::from(self.period_ns))).unwrap_or_default()
            }
        };
        nanos as u64
    }
}

/// Adds numbers up by stream, within a limit of memory.
#[derive(Debug)]
pub struct VolumeSums {
    streams: BTreeMap<Labels, CountedCell>,
    bytes: usize,
    bytes_max: usize,
}

impl VolumeSums {
    /// What a stream takes besides its labels, roughly, in bytes.
    const STREAM_BYTES: usize = 64 + size_of::<CountedCell>();

    /// None yet. All of them may take about `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { streams: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// Adds numbers of one stream; fails when too many streams are there.
    pub fn add(&mut self, labels: &Labels, cell: &CountedCell) -> Result<(), ScanError> {
        match self.streams.entry(labels.clone()) {
            Entry::Occupied(sum) => {
                let sum = sum.into_mut();
                sum.rows += cell.rows;
                sum.line_bytes += cell.line_bytes;
                sum.metadata_bytes += cell.metadata_bytes;
            }
            Entry::Vacant(place) => {
                self.bytes += labels.bytes() + Self::STREAM_BYTES;
                if self.bytes > self.bytes_max {
                    return Err(ScanError::Memory { limit: self.bytes_max });
                }
                place.insert(*cell);
            }
        }
        Ok(())
    }

    /// The sums, sorted by labels.
    pub fn finish(self) -> Vec<StreamVolume> {
        let volume = |(labels, sum): (Labels, CountedCell)| StreamVolume {
            labels,
            rows: sum.rows,
            bytes: sum.line_bytes,
            metadata_bytes: sum.metadata_bytes,
        };
        self.streams.into_iter().map(volume).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_part_what_lies_on_both_sides() {
        let part =
            |cuts: Cuts, first, last| cuts.part(Timestamp::from_nanos(first), Timestamp::from_nanos(last));
        let minutes = Cuts::every(60, [0, 0]);
        for (first, last, parted) in
            [(1, 60, false), (0, 1, true), (60, 60, false), (59, 61, true), (-60, -59, true), (-59, 0, false)]
        {
            assert_eq!(part(minutes, first, last), parted, "{first} to {last}");
        }
        let two_kinds = Cuts::every(60, [120, -47]);
        for (first, last, parted) in [(1, 13, false), (1, 14, true), (14, 60, false), (14, 61, true)] {
            assert_eq!(part(two_kinds, first, last), parted, "{first} to {last}");
        }
        for (time, stretch) in [(-60, -2), (-59, -1), (0, -1), (1, 0), (60, 0), (61, 1)] {
            assert_eq!(minutes.stretch(Timestamp::from_nanos(time)), stretch, "{time}");
        }
        assert!(!part(Cuts::NONE, i64::MIN, i64::MAX));
        assert!(part(Cuts::every(i64::MAX, [0, 0]), i64::MIN, i64::MAX));
    }
}
