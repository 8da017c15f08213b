//! Rows from parts that are there already, such as those of a file.

use super::{NO_FIELDS, ROWS_BYTES_MAX, Row, Rows, RowsFull, Span};
use crate::labels::Labels;
use crate::time::Timestamp;

/// Parts that do not make up [`Rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsPartsError {
    /// A row names a stream that is not there.
    #[error("row belongs to stream {0}, which is not there")]
    NoSuchStream(u32),
    /// A metadata pair has a name that is not there.
    #[error("metadata has name {0}, which is not there")]
    NoSuchName(u32),
    /// Lines and values are longer than the arena.
    #[error("lines and metadata are longer than the bytes that are there")]
    ArenaTooShort,
    /// The arena is longer than lines and values.
    #[error("{0} bytes belong to no line and no metadata")]
    BytesLeft(usize),
    /// More bytes or rows than can be numbered.
    #[error(transparent)]
    Full(#[from] RowsFull),
}

/// Puts [`Rows`] together whose bytes lie in one arena already, without copying them.
///
/// The reverse of [`Rows::streams`], [`Rows::names`], [`Rows::arena`] and [`RowRef::metadata_spans`].
/// Everything is checked: parts may come from a damaged file. Streams must be distinct.
#[derive(Debug)]
pub struct RowsAssembler {
    rows: Rows,
    used: usize,
}

impl RowsAssembler {
    /// Starts with everything but the rows.
    pub fn new(streams: Vec<Labels>, names: Vec<Box<str>>, arena: Vec<u8>) -> Result<Self, RowsPartsError> {
        if arena.len() > ROWS_BYTES_MAX {
            return Err(RowsFull.into());
        }
        let rows = Rows { streams, names, arena, ..Rows::default() };
        Ok(Self { rows, used: 0 })
    }

    /// Adds a row whose line is the next `line_bytes` bytes of the arena.
    pub fn row(&mut self, timestamp: Timestamp, stream: u32, line_bytes: u32) -> Result<(), RowsPartsError> {
        if stream as usize >= self.rows.streams.len() {
            return Err(RowsPartsError::NoSuchStream(stream));
        }
        let line = self.take(line_bytes)?;
        let metadata_start = u32::try_from(self.rows.metadata.len()).map_err(|_| RowsFull)?;
        self.rows.rows.push(Row {
            timestamp,
            stream,
            line,
            metadata_start,
            metadata_len: 0,
            fields: NO_FIELDS,
        });
        Ok(())
    }

    /// Adds metadata to the row that was added last; its value is the next `value_bytes` bytes of the arena.
    pub fn metadata(&mut self, name: u32, value_bytes: u32) -> Result<(), RowsPartsError> {
        if name as usize >= self.rows.names.len() {
            return Err(RowsPartsError::NoSuchName(name));
        }
        let value = self.take(value_bytes)?;
        debug_assert!(!self.rows.rows.is_empty());
        if let Some(row) = self.rows.rows.last_mut() {
            row.metadata_len += 1;
            self.rows.metadata.push((name, value));
        }
        Ok(())
    }

    /// The rows; all of the arena must be used.
    pub fn finish(self) -> Result<Rows, RowsPartsError> {
        match self.rows.arena.len() - self.used {
            0 => Ok(self.rows),
            left => Err(RowsPartsError::BytesLeft(left)),
        }
    }

    fn take(&mut self, bytes: u32) -> Result<Span, RowsPartsError> {
        if bytes as usize > self.rows.arena.len() - self.used {
            return Err(RowsPartsError::ArenaTooShort);
        }
        let span = Span { start: self.used as u32, len: bytes };
        self.used += bytes as usize;
        Ok(span)
    }
}

#[cfg(test)]
mod tests {
    use super::super::RowsBuilder;
    use super::*;

    #[test]
    fn rows_are_put_together_from_their_parts() {
        let mut builder = RowsBuilder::default();
        let api = builder.stream(&Labels::from_pairs([("app", "api")]));
        builder.push(api, Timestamp::from_nanos(1), b"one", [("k", &b"v"[..]), ("k", b"")]).expect("fits");
        builder.push(api, Timestamp::from_nanos(2), b"", []).expect("fits");
        let rows = builder.finish();
        let parts =
            || RowsAssembler::new(rows.streams().to_vec(), rows.names().to_vec(), rows.arena().to_vec());
        let mut again = parts().expect("fits");
        for row in rows.iter() {
            again.row(row.timestamp(), row.stream_index() as u32, row.line().len() as u32).expect("there");
            for (name, value_bytes) in row.metadata_spans() {
                again.metadata(name, value_bytes).expect("there");
            }
        }
        assert!(again.finish().expect("whole").iter().eq(rows.iter()));
        let mut broken = parts().expect("fits");
        assert_eq!(broken.row(Timestamp::MIN, 1, 0), Err(RowsPartsError::NoSuchStream(1)));
        assert_eq!(broken.row(Timestamp::MIN, 0, 5), Err(RowsPartsError::ArenaTooShort));
        broken.row(Timestamp::MIN, 0, 3).expect("there");
        assert_eq!(broken.metadata(1, 0), Err(RowsPartsError::NoSuchName(1)));
        assert_eq!(broken.finish().err(), Some(RowsPartsError::BytesLeft(1)));
    }
}
