//! Rows of one tenant and hour as a Parquet file in memory.
//!
//! Text that is no UTF-8 shows U+FFFD where readers expect text, and lies byte for byte in a column beside it. The same rows are always
//! the same bytes.

use std::borrow::Cow;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use timberyard_model::LogBatch;
use timberyard_model::level::DETECTED_LEVEL;
use timberyard_model::rows::RowRef;

use super::schema;
use super::settings::ParquetCompression;

/// So many rows are one row group at most: what a reader can pass over.
const GROUP_ROWS_MAX: usize = 100_000;

/// A row of a batch.
#[derive(Clone, Debug)]
pub(super) struct StagedRow {
    pub(super) batch: Arc<LogBatch>,
    /// Its number in the batch.
    pub(super) number: u32,
}

impl StagedRow {
    fn row(&self) -> RowRef<'_> {
        self.batch.rows.get(self.number as usize)
    }

    fn service(&self) -> &str {
        self.row().labels().get("service_name").unwrap_or_default()
    }

    /// The label, else the level that was detected.
    fn level(&self) -> Cow<'_, str> {
        let row = self.row();
        match row.labels().get("level") {
            Some(level) => level.into(),
            None => String::from_utf8_lossy(row.metadata_value(DETECTED_LEVEL).unwrap_or_default()),
        }
    }
}

/// A file with these rows, by service and time.
///
/// # Errors
/// The writer refuses them: more than a column can hold.
pub(super) fn file(
    mut rows: Vec<StagedRow>,
    compression: ParquetCompression,
) -> Result<Vec<u8>, ParquetError> {
    rows.sort_by(|a, b| {
        a.service().cmp(b.service()).then_with(|| a.row().timestamp().cmp(&b.row().timestamp()))
    });
    let properties = Arc::new(schema::properties(compression)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema::columns()?, properties)?;
    for group in rows.chunks(GROUP_ROWS_MAX) {
        let mut columns = Columns { group: writer.next_row_group()? };
        columns.write(group)?;
        columns.group.close()?;
    }
    writer.into_inner()
}

/// The columns of a row group that are still to be written.
struct Columns<'w> {
    group: SerializedRowGroupWriter<'w, Vec<u8>>,
}

impl Columns<'_> {
    fn write(&mut self, rows: &[StagedRow]) -> Result<(), ParquetError> {
        let times: Vec<i64> = rows.iter().map(|row| row.row().timestamp().as_nanos()).collect();
        self.next::<Int64Type>(&times, None, None)?;
        self.texts(rows.iter().map(|row| row.batch.tenant.as_str().into()))?;
        self.texts(rows.iter().map(|row| row.service().into()))?;
        self.texts(rows.iter().map(StagedRow::level))?;
        self.texts(rows.iter().map(|row| String::from_utf8_lossy(row.row().line())))?;
        let lines = rows.iter().map(|row| row.row().line());
        let (values, levels): (Vec<Option<ByteArray>>, Vec<i16>) = lines
            .map(|line| match is_text(line) {
                true => (None, 0),
                false => (Some(ByteArray::from(line)), 1),
            })
            .unzip();
        let values: Vec<ByteArray> = values.into_iter().flatten().collect();
        self.next::<ByteArrayType>(&values, Some(&levels), None)?;
        self.maps(
            rows.iter()
                .map(|row| row.row().labels().iter().map(|(name, value)| (name, ByteArray::from(value)))),
        )?;
        self.maps(rows.iter().map(|row| {
            row.row()
                .metadata()
                .map(|(name, value)| (name, ByteArray::from(&*String::from_utf8_lossy(value))))
        }))?;
        self.maps(rows.iter().map(|row| {
            let no_text = row.row().metadata().filter(|(_, value)| !is_text(value));
            no_text.map(|(name, value)| (name, ByteArray::from(value)))
        }))
    }

    fn texts<'t>(&mut self, texts: impl Iterator<Item = Cow<'t, str>>) -> Result<(), ParquetError> {
        let values: Vec<ByteArray> = texts.map(|text| ByteArray::from(&*text)).collect();
        self.next::<ByteArrayType>(&values, None, None)
    }

    /// Names and values of maps: two columns.
    fn maps<'t, P>(&mut self, rows: impl Iterator<Item = P>) -> Result<(), ParquetError>
    where
        P: Iterator<Item = (&'t str, ByteArray)>,
    {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        // Whether there is a pair, and whether it is of the same row as the one before.
        let (mut defined, mut repeated) = (Vec::new(), Vec::new());
        for pairs in rows {
            let before = defined.len();
            for (number, (key, value)) in pairs.enumerate() {
                keys.push(ByteArray::from(key));
                values.push(value);
                defined.push(1);
                repeated.push(i16::from(number > 0));
            }
            if defined.len() == before {
                defined.push(0);
                repeated.push(0);
            }
        }
        for column in [&keys, &values] {
            self.next::<ByteArrayType>(column, Some(&defined), Some(&repeated))?;
        }
        Ok(())
    }

    fn next<T: DataType>(
        &mut self,
        values: &[T::T],
        defined: Option<&[i16]>,
        repeated: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let column = self.group.next_column()?;
        let mut column =
            column.ok_or_else(|| ParquetError::General("there are more values than columns".to_owned()))?;
        column.typed::<T>().write_batch(values, defined, repeated)?;
        column.close()
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}
