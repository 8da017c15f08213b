//! What is known in a block about the series of its streams, so that most rows need no look-up.

use timberyard_model::scan::ScanRequest;
use timberyard_model::{RowRef, Rows};

use crate::error::QueryError;

/// Remembers series by the number of the stream in the block.
pub(super) struct KnownSeries<'a> {
    /// Of each stream the last row that was looked up, with its series.
    last: Vec<Option<(RowRef<'a>, u32)>>,
    /// Of each stream the series of rows that have nothing but the labels of the stream.
    unchanged: Vec<Option<u32>>,
}

impl<'a> KnownSeries<'a> {
    /// Nothing is known yet about a block of so many streams.
    pub(super) fn new(streams: usize) -> Self {
        Self { last: vec![None; streams], unchanged: vec![None; streams] }
    }

    /// The series of a row that its stream and metadata determine: that of the row before it in the
    /// stream when their metadata is the same, else what `look_up` finds.
    pub(super) fn of_alike(
        &mut self,
        row: RowRef<'a>,
        look_up: impl FnOnce() -> Result<u32, QueryError>,
    ) -> Result<u32, QueryError> {
        let Some(last) = self.last.get_mut(row.stream_index()) else { return look_up() };
        if let Some((before, series)) = last
            && row.metadata().eq(before.metadata())
        {
            return Ok(*series);
        }
        let series = look_up()?;
        *last = Some((row, series));
        Ok(series)
    }

    /// The series of a row that has nothing but the labels of its stream.
    pub(super) fn of_unchanged(
        &mut self,
        row: RowRef<'a>,
        look_up: impl FnOnce() -> Result<u32, QueryError>,
    ) -> Result<u32, QueryError> {
        let Some(known) = self.unchanged.get_mut(row.stream_index()) else { return look_up() };
        match known {
            Some(series) => Ok(*series),
            None => Ok(*known.insert(look_up()?)),
        }
    }
}

/// Remembers the series of rows that come with fields: of such rows with no metadata, stream and fields decide.
pub(super) struct KnownFields {
    /// Fields that decide, each with the distance of its values in `series`.
    strides: Vec<(usize, usize)>,
    stream_stride: usize,
    /// Streams that have the label of the field that is the sample: it is not the field then.
    hides_sample: Vec<bool>,
    series: Vec<Outcome>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Unknown,
    /// The row is dropped.
    None,
    Series(u32),
}

impl KnownFields {
    /// More places than this are not remembered, however many rows there are.
    const PLACES_FREE: usize = 4096;

    /// Nothing is known yet about the rows of a block. `sample_field` decides about no series.
    pub(super) fn new(rows: &Rows, request: &ScanRequest, sample_field: Option<usize>) -> Self {
        let mut known =
            Self { strides: Vec::new(), stream_stride: 1, hides_sample: Vec::new(), series: Vec::new() };
        let Some(fields) = request.fields.as_ref().filter(|_| !rows.field_values().is_empty()) else {
            return known;
        };
        let mut places = 1_usize;
        for (field, values) in rows.field_values().iter().enumerate() {
            if sample_field != Some(field) {
                known.strides.push((field, places));
                places = places.saturating_mul(values.len() + 1);
            }
        }
        known.stream_stride = places;
        places = places.saturating_mul(rows.streams().len());
        // Where nearly every row is another, remembering does not pay.
        if places <= Self::PLACES_FREE.max(rows.len()) {
            known.series = vec![Outcome::Unknown; places];
        }
        if let Some(label) = sample_field.and_then(|field| fields.reader.labels().get(field)) {
            known.hides_sample = rows.streams().iter().map(|labels| labels.get(label).is_some()).collect();
        }
        known
    }

    /// Where the series of a row is remembered; `None` when it is not.
    #[inline]
    pub(super) fn place_of(&self, row: RowRef<'_>) -> Option<usize> {
        if self.series.is_empty() || row.metadata().len() > 0 {
            return None;
        }
        let numbers = row.fields()?.numbers();
        let stream = row.stream_index();
        if self.hides_sample.get(stream).is_some_and(|hides| *hides) {
            return None;
        }
        let mut place = stream * self.stream_stride;
        for (field, stride) in &self.strides {
            // An absent value counts as 0.
            place += numbers.get(*field)?.wrapping_add(1) as usize * stride;
        }
        Some(place)
    }

    /// The series that is remembered at a place, or what `look_up` finds; `None` for rows that are dropped.
    #[inline]
    pub(super) fn series_at(
        &mut self,
        place: usize,
        look_up: impl FnOnce() -> Result<Option<u32>, QueryError>,
    ) -> Result<Option<u32>, QueryError> {
        let Some(outcome) = self.series.get_mut(place) else { return look_up() };
        if *outcome == Outcome::Unknown {
            *outcome = look_up()?.map_or(Outcome::None, Outcome::Series);
        }
        Ok(match outcome {
            Outcome::Series(series) => Some(*series),
            Outcome::None | Outcome::Unknown => None,
        })
    }
}
