//! The rows of one batch that belong to one family and day.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use timberyard_model::batch::EqualEntries;
use timberyard_model::{LogBatch, RowRef, Timestamp};

use crate::equality::{Repetitions, RowIdentity};

/// What a batch takes in memory beside its rows, in bytes.
const BATCH_OVERHEAD_BYTES: usize = 256;
/// What a stream of a batch takes, in bytes; its labels are mostly shared.
const STREAM_OVERHEAD_BYTES: usize = 64;

/// A batch in the head, shared by the families that have rows in it.
pub(crate) struct HeadBatch {
    pub(crate) batch: Arc<LogBatch>,
    pub(crate) sequence: u64,
    /// Memory it holds.
    pub(crate) bytes: usize,
    entries: AtomicUsize,
}

impl HeadBatch {
    /// Notes that an entry of the head is gone; whether it was the last.
    pub(super) fn release(&self) -> bool {
        self.entries.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// Rows of one batch, family and day.
pub(crate) struct HeadEntry {
    pub(crate) batch: Arc<HeadBatch>,
    selection: Selection,
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

enum Selection {
    All,
    Some(Box<[u32]>),
}

impl HeadEntry {
    pub(crate) fn len(&self) -> usize {
        match &self.selection {
            Selection::All => self.batch.batch.rows.len(),
            Selection::Some(rows) => rows.len(),
        }
    }

    /// The row at a place below [`HeadEntry::len`].
    pub(crate) fn row(&self, place: usize) -> RowRef<'_> {
        let row = match &self.selection {
            Selection::All => place,
            Selection::Some(rows) => rows[place] as usize,
        };
        self.batch.batch.rows.get(row)
    }

    pub(crate) fn merges(&self) -> bool {
        self.merging.is_some()
    }
}

/// Rows of one family and day, on their way into the head.
pub(super) struct Part {
    pub(super) family: Box<str>,
    pub(super) day: i32,
    pub(super) entry: HeadEntry,
}

/// Splits a batch by family and day, without rows that repeat another row of the batch and merge.
pub(super) fn split(batch: &Arc<LogBatch>, sequence: u64, wanted: &dyn Fn(&str) -> bool) -> Vec<Part> {
    let rows = &batch.rows;
    let Some((first, last)) = rows.time_bounds() else { return Vec::new() };
    let bytes = rows.bytes() + BATCH_OVERHEAD_BYTES + rows.streams().len() * STREAM_OVERHEAD_BYTES;
    let families: Vec<&str> =
        rows.streams().iter().map(|labels| labels.get("service_name").unwrap_or("")).collect();
    let repeated = match batch.equal_entries {
        EqualEntries::Merge => repetitions(batch),
        EqualEntries::Keep => Vec::new(),
    };
    let one_family = families.iter().all(|family| Some(family) == families.first());
    let mut selections: BTreeMap<(&str, i32), Selection> = BTreeMap::new();
    if let (Some(family), true) =
        (families.first(), one_family && first.day() == last.day() && repeated.is_empty())
    {
        selections.insert((family, first.day()), Selection::All);
    } else {
        let mut chosen: BTreeMap<(&str, i32), Vec<u32>> = BTreeMap::new();
        for (number, row) in rows.iter().enumerate() {
            if repeated.get(number) != Some(&true) {
                let family = families.get(row.stream_index()).copied().unwrap_or_default();
                chosen.entry((family, row.timestamp().day())).or_default().push(number as u32);
            }
        }
        let chosen = chosen.into_iter().map(|(key, rows)| (key, Selection::Some(rows.into())));
        selections.extend(chosen);
    }
    selections.retain(|(family, _), _| wanted(family));
    let entries = AtomicUsize::new(selections.len());
    let head_batch = Arc::new(HeadBatch { batch: Arc::clone(batch), sequence, bytes, entries });
    let part = |((family, day), selection): ((&str, i32), Selection)| {
        let mut entry = HeadEntry { batch: Arc::clone(&head_batch), selection, first, last, merging: None };
        entry.measure(batch.equal_entries);
        Part { family: family.into(), day, entry }
    };
    selections.into_iter().map(part).collect()
}

impl HeadEntry {
    fn measure(&mut self, equal_entries: EqualEntries) {
        let (mut first, mut last) = (Timestamp::MAX, Timestamp::MIN);
        let mut spans: Vec<Option<StreamSpan>> = vec![None; self.batch.batch.rows.streams().len()];
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
