//! The rows of one batch that belong to one family and day.
//!
//! Rows of a batch with several families are copied apart, so that a family that becomes a segment gives back all the
//! memory its rows held, and families may wait for as long as it takes them to become large.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::{LogBatch, RowRef, Rows, Timestamp};

use crate::equality::{Repetitions, RowIdentity};
use crate::segment::ROW_OVERHEAD_BYTES;

/// What an entry takes in memory beside its rows, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 256;
/// What a stream of an entry takes, in bytes; its labels are mostly shared.
const STREAM_OVERHEAD_BYTES: usize = 64;

/// Rows of one batch, family and day.
pub(crate) struct HeadEntry {
    rows: EntryRows,
    /// That of the batch in the log.
    pub(crate) sequence: u64,
    pub(super) received_at: Timestamp,
    /// Memory it holds.
    pub(crate) bytes: usize,
    /// What its rows add to groups, roughly.
    pub(crate) group_bytes: usize,
    pub(super) line_bytes: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// For a batch whose rows merge: the streams with rows here.
    pub(crate) merging: Option<Box<[StreamSpan]>>,
}

/// The time between the first and the last row of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamSpan {
    pub(crate) stream: u32,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

enum EntryRows {
    /// All rows of the batch.
    Shared(Arc<LogBatch>),
    Own(Rows),
}

impl EntryRows {
    fn rows(&self) -> &Rows {
        match self {
            Self::Shared(batch) => &batch.rows,
            Self::Own(rows) => rows,
        }
    }
}

impl HeadEntry {
    fn new(rows: EntryRows, batch: &LogBatch, sequence: u64) -> Self {
        let stored = rows.rows();
        let bytes = stored.bytes() + ENTRY_OVERHEAD_BYTES + stored.streams().len() * STREAM_OVERHEAD_BYTES;
        let group_bytes = stored.arena().len() + stored.len() * ROW_OVERHEAD_BYTES as usize;
        let line_bytes = stored.line_bytes();
        let mut entry = Self {
            rows,
            sequence,
            received_at: batch.received_at,
            bytes,
            group_bytes,
            line_bytes,
            first: Timestamp::MAX,
            last: Timestamp::MIN,
            merging: None,
        };
        entry.measure(batch.equal_entries);
        entry
    }

    pub(crate) fn rows(&self) -> &Rows {
        self.rows.rows()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows().len()
    }

    /// The row at a place below [`HeadEntry::len`].
    pub(crate) fn row(&self, place: usize) -> RowRef<'_> {
        self.rows().get(place)
    }

    pub(crate) fn merges(&self) -> bool {
        self.merging.is_some()
    }
}

/// Rows of one family and day, on their way into the head.
pub(crate) struct Part {
    pub(super) family: Box<str>,
    pub(super) day: i32,
    pub(super) entry: HeadEntry,
}

/// Splits a batch by family and day, without rows that repeat another row of the batch and merge. Only families are
/// taken that are `wanted`.
pub(crate) fn split(batch: &Arc<LogBatch>, sequence: u64, wanted: &dyn Fn(&str) -> bool) -> Vec<Part> {
    let rows = &batch.rows;
    let Some((first, last)) = rows.time_bounds() else { return Vec::new() };
    let families: Vec<&str> =
        rows.streams().iter().map(|labels| labels.get("service_name").unwrap_or("")).collect();
    let repeated = match batch.equal_entries {
        EqualEntries::Merge => repetitions(batch),
        EqualEntries::Keep => Vec::new(),
    };
    let one_family = families.iter().all(|family| Some(family) == families.first());
    if let (Some(family), true) =
        (families.first(), one_family && first.day() == last.day() && repeated.is_empty())
    {
        if !wanted(family) {
            return Vec::new();
        }
        let entry = HeadEntry::new(EntryRows::Shared(Arc::clone(batch)), batch, sequence);
        return vec![Part { family: (*family).into(), day: first.day(), entry }];
    }
    let mut places: BTreeMap<(&str, i32), usize> = BTreeMap::new();
    let mut chosen: Vec<Vec<u32>> = Vec::new();
    // Where the last row of each stream went: mostly the next goes there, too.
    let mut last_of_stream: Vec<Option<(i32, usize)>> = vec![None; families.len()];
    for (number, row) in rows.iter().enumerate() {
        if repeated.get(number) == Some(&true) {
            continue;
        }
        let (stream, day) = (row.stream_index(), row.timestamp().day());
        let (Some(family), Some(last)) = (families.get(stream), last_of_stream.get_mut(stream)) else {
            continue;
        };
        let place = match *last {
            Some((last_day, place)) if last_day == day => place,
            _ => *places.entry((family, day)).or_insert_with(|| {
                chosen.push(Vec::new());
                chosen.len() - 1
            }),
        };
        *last = Some((day, place));
        if let Some(chosen) = chosen.get_mut(place) {
            chosen.push(number as u32);
        }
    }
    let part = |((family, day), place): ((&str, i32), usize)| {
        let numbers = chosen.get(place).map_or(&[][..], Vec::as_slice);
        let entry = HeadEntry::new(EntryRows::Own(rows.selected(numbers)), batch, sequence);
        Part { family: family.into(), day, entry }
    };
    places.into_iter().filter(|((family, _), _)| wanted(family)).map(part).collect()
}

impl HeadEntry {
    fn measure(&mut self, equal_entries: EqualEntries) {
        let (mut first, mut last) = (Timestamp::MAX, Timestamp::MIN);
        let mut spans: Vec<Option<StreamSpan>> = vec![None; self.rows().streams().len()];
        for place in 0..self.len() {
            let row = self.row(place);
            let time = row.timestamp();
            first = first.min(time);
            last = last.max(time);
            if equal_entries == EqualEntries::Merge
                && let Some(slot) = spans.get_mut(row.stream_index())
            {
                let stream = row.stream_index() as u32;
                let span = slot.get_or_insert(StreamSpan { stream, first: time, last: time });
                span.first = span.first.min(time);
                span.last = span.last.max(time);
            }
        }
        (self.first, self.last) = (first, last);
        if equal_entries == EqualEntries::Merge {
            self.merging = Some(spans.into_iter().flatten().collect());
        }
    }
}

/// For each row of a batch whether it repeats an earlier one; empty when none does.
fn repetitions(batch: &LogBatch) -> Vec<bool> {
    let rows = &batch.rows;
    let mut latest: Vec<Option<Timestamp>> = vec![None; rows.streams().len()];
    let mut suspicious = false;
    for row in rows.iter() {
        if let Some(latest) = latest.get_mut(row.stream_index()) {
            suspicious |= latest.is_some_and(|latest| row.timestamp() <= latest);
            *latest = (*latest).max(Some(row.timestamp()));
        }
    }
    // The usual case: every stream goes forward, so no two of its rows have the same time.
    if !suspicious {
        return Vec::new();
    }
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_by_key(|number| {
        let row = rows.get(*number as usize);
        (row.stream_index(), row.timestamp())
    });
    let mut repeated = vec![true; rows.len()];
    let mut finder = Repetitions::default();
    let key = |number: u32| {
        let row = rows.get(number as usize);
        (row.stream_index(), row.timestamp())
    };
    for run in order.chunk_by(|a, b| key(*a) == key(*b)) {
        let identity = |place: usize| {
            let row = rows.get(run[place] as usize);
            Some(RowIdentity::of(row.labels(), row.timestamp(), row.line(), row.metadata()))
        };
        finder.without(0..run.len(), identity, |place| repeated[run[place] as usize] = false);
    }
    if repeated.contains(&true) { repeated } else { Vec::new() }
}
