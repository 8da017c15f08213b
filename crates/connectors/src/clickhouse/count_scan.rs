//! Counting rows where they lie: numbers come back instead of rows.

use timberyard_model::counting::{CountedCell, CountedRows, Cuts};
use timberyard_model::scan::ScanError;
use timberyard_model::time::{TimeRange, Timestamp};

use super::row_binary::{RowReadError, RowReader};
use super::statement::Statement;

/// What rows are counted by.
pub(super) enum CountedBy<'n> {
    /// Their streams alone, with what their metadata takes.
    Streams,
    /// Their streams, and all of their metadata or what has these names.
    Metadata(Option<&'n [Box<str>]>),
}

/// `SELECT` of numbers; `FROM`, `WHERE` and [`GROUP_BY`] are to follow.
pub(super) fn select(counted_by: &CountedBy<'_>, cuts: Cuts, range: TimeRange) -> Statement {
    let mut statement = Statement::new("SELECT stream, ");
    match counted_by {
        // Each pair takes eight bytes, each name and value is there once.
        CountedBy::Streams => statement.push(
            "CAST(map(), 'Map(String, String)') AS counted_metadata, toUInt64(sum(8 * length(metadata)) + \
             arraySum(text -> length(text), groupUniqArrayArray(arrayConcat(mapKeys(metadata)::Array(String), \
             mapValues(metadata))))) AS metadata_bytes",
        ),
        CountedBy::Metadata(None) => {
            statement.push("metadata AS counted_metadata, toUInt64(0) AS metadata_bytes")
        }
        CountedBy::Metadata(Some([])) => statement
            .push("CAST(map(), 'Map(String, String)') AS counted_metadata, toUInt64(0) AS metadata_bytes"),
        CountedBy::Metadata(Some(names)) => {
            statement.push("mapFilter((name, value) -> has(");
            statement.texts(names.iter().map(|name| &**name));
            statement.push(", name), metadata) AS counted_metadata, toUInt64(0) AS metadata_bytes")
        }
    };
    statement.push(", toUnixTimestamp64Nano(max(time)), count(), sum(length(line))");
    for number in 0..2 {
        statement.push(", ");
        match cuts.periodic() {
            None => statement.push("toUInt64(0)"),
            Some((period, kinds)) => {
                // Unsigned from the last cut before the range on, so that division rounds down. It may wrap and wrap back.
                let before = i128::from(range.start.as_nanos()) - 1;
                let back = (before - i128::from(kinds[number])).rem_euclid(i128::from(period));
                let cut = (before - back) as i64;
                statement.push("intDiv(toUInt64(toUnixTimestamp64Nano(time) - ").int(cut);
                statement.push(" - 1), ").uint(period as u64).push(")")
            }
        };
        statement.push(&format!(" AS cell_{number}"));
    }
    statement
}

/// What the numbers of [`select`] are of.
pub(super) const GROUP_BY: &str = " GROUP BY stream, counted_metadata, cell_0, cell_1";

/// Rows of one stream that were counted.
pub(super) struct Counted {
    pub(super) stream: u64,
    metadata: Vec<(Box<str>, Box<[u8]>)>,
    pub(super) cell: CountedCell,
}

impl Counted {
    /// As a scan hands them over.
    pub(super) fn with_labels(self, labels: timberyard_model::Labels) -> CountedRows {
        CountedRows { labels, metadata: self.metadata, cells: vec![self.cell] }
    }
}

/// Takes whole numbers from the bytes that came, and leaves the rest.
pub(super) fn take_counted(bytes: &mut Vec<u8>, counted: &mut Vec<Counted>) -> Result<(), ScanError> {
    let mut reader = RowReader::new(bytes);
    let mut end = 0;
    while !reader.is_at_end() {
        match read_counted(&mut reader) {
            Ok(row) => counted.push(row),
            Err(RowReadError::Incomplete) => break,
            Err(error) => return Err(super::stream_labels::unreadable(error)),
        }
        end = reader.position();
    }
    bytes.drain(..end);
    Ok(())
}

fn read_counted(reader: &mut RowReader<'_>) -> Result<Counted, RowReadError> {
    let (stream, mut metadata) = (reader.u64()?, Vec::new());
    reader.map_into(&mut metadata)?;
    let metadata_bytes = reader.u64()?;
    let time = Timestamp::from_nanos(reader.i64()?);
    let (rows, line_bytes) = (reader.u64()?, reader.u64()?);
    let _cells = (reader.u64()?, reader.u64()?);
    let metadata = metadata.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    Ok(Counted { stream, metadata, cell: CountedCell { time, rows, line_bytes, metadata_bytes } })
}
