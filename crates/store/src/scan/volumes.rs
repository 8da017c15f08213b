//! How many rows and bytes each stream has.
//!
//! Rows and bytes of lines are exact: counts come from footers and the counts of minutes where none of the rows can be
//! elsewhere too or is hidden; the rest is counted row by row.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};

use timberyard_model::Labels;
use timberyard_model::counting::{CountedCell, Cuts};
use timberyard_model::prehashed::Prehashed;
use timberyard_model::scan::{ScanError, ScanStatistics, SeriesRequest, StreamVolume};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::check;
use super::counted::{Counter, leave_out_counted};
use super::day_plan::DayPlan;
use super::query::Query;
use super::series::STREAM_OVERHEAD_BYTES;
use super::snapshot::Snapshot;
use super::unit::{PassedRow, Seen, UnitReader};
use crate::core::Core;
use crate::segment::PAIR_BYTES;

/// Distinct texts of metadata that are remembered; further ones all count as new.
const TEXTS_MAX: usize = 1 << 20;

/// The counts of all streams so far, within a limit.
struct Volumes {
    streams: BTreeMap<Labels, Volume>,
    bytes: usize,
    bytes_max: usize,
    /// Of the metadata of rows that were looked at, hashed with their stream.
    texts: HashSet<u64, Prehashed>,
}

#[derive(Default)]
struct Volume {
    rows: u64,
    line_bytes: u64,
    metadata_bytes: u64,
}

pub(crate) fn volumes(core: &Core, request: &SeriesRequest) -> Result<Vec<StreamVolume>, ScanError> {
    let query = Query::count(request, core.visible(&request.tenant, request.range));
    let snapshot = Snapshot::take(core, &request.tenant, &query);
    let mut volumes = Volumes {
        streams: BTreeMap::new(),
        bytes: 0,
        bytes_max: request.memory_bytes_max,
        texts: HashSet::default(),
    };
    let mut statistics = ScanStatistics::default();
    let counter = Counter { core, query: &query, cuts: Cuts::NONE, by_metadata: false };
    for (_, day) in snapshot.days {
        let mut plan = DayPlan::new(core, day, &query, &snapshot.hiding, &mut statistics)?;
        for group in 0..plan.groups.len() {
            check(&request.cancellation)?;
            let mut counted = Vec::new();
            counter.count_group(&mut plan, group, &mut counted, &mut statistics)?;
            for rows in &counted {
                rows.cells.iter().try_for_each(|cell| volumes.add_cell(&rows.labels, cell))?;
            }
        }
        leave_out_counted(&mut plan, &mut statistics);
        let (mut open, mut seen) = (None, Seen::default());
        while let Some(unit) = plan.units.pop() {
            check(&request.cancellation)?;
            let mut reader = UnitReader {
                core,
                query: &query,
                plan: &plan,
                open: &mut open,
                seen: &mut seen,
                statistics: &mut statistics,
            };
            reader.read(&unit, &mut |row| volumes.add_row(row))?;
            if let Some(next) = plan.units.last() {
                seen.forget_beyond(next.first, query.direction);
            }
        }
    }
    let volume = |(labels, volume): (Labels, Volume)| {
        let Volume { rows, line_bytes, metadata_bytes } = volume;
        StreamVolume { labels, rows, bytes: line_bytes, metadata_bytes }
    };
    Ok(volumes.streams.into_iter().map(volume).collect())
}

impl Volumes {
    fn of(&mut self, labels: &Labels) -> Result<&mut Volume, ScanError> {
        match self.streams.entry(labels.clone()) {
            Entry::Occupied(volume) => Ok(volume.into_mut()),
            Entry::Vacant(place) => {
                self.bytes += labels.bytes() + STREAM_OVERHEAD_BYTES + size_of::<Volume>();
                if self.bytes > self.bytes_max {
                    return Err(ScanError::Memory { limit: self.bytes_max });
                }
                Ok(place.insert(Volume::default()))
            }
        }
    }

    fn add_cell(&mut self, labels: &Labels, cell: &CountedCell) -> Result<(), ScanError> {
        let volume = self.of(labels)?;
        volume.rows += cell.rows;
        volume.line_bytes += cell.line_bytes;
        volume.metadata_bytes += cell.metadata_bytes;
        Ok(())
    }

    fn add_row(&mut self, row: &PassedRow<'_>) -> Result<(), ScanError> {
        let stream = row.labels.stable_hash();
        let texts = &mut self.texts;
        let mut metadata_bytes = 0;
        row.for_each_metadata_text(|text| {
            let hash = xxh3_64_with_seed(text, stream);
            let is_new = if texts.len() < TEXTS_MAX { texts.insert(hash) } else { !texts.contains(&hash) };
            metadata_bytes += PAIR_BYTES / 2 + if is_new { text.len() as u64 } else { 0 };
        });
        let volume = self.of(row.labels)?;
        volume.rows += 1;
        volume.line_bytes += row.line_bytes as u64;
        volume.metadata_bytes += metadata_bytes;
        Ok(())
    }
}
