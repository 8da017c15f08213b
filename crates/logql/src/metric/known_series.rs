//! What is known in a block about the series of its streams, so that most rows need no look-up.

use timberyard_model::RowRef;

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
