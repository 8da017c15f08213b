//! Counting rows where they lie: numbers come back instead of rows.

use timberyard_model::Labels;
use timberyard_model::counting::{CountedCell, Cuts};
use timberyard_model::scan::{ScanError, ScanRequest};
use timberyard_model::time::{TimeRange, Timestamp};

use super::row_binary::{RowReadError, RowReader};
use super::statement::Statement;
use super::stream_labels::unreadable;

/// The label whose value has a column of its own.
const SERVICE_NAME: &str = "service_name";

/// What rows are counted by, and what of them is added up.
pub(super) struct Counting<'n> {
    cuts: Cuts,
    streams: CountedBy,
    metadata: CountedMetadata<'n>,
    /// Else they are 0: ClickHouse has to read lines to know.
    line_bytes: bool,
}

/// Which streams are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CountedBy {
    /// All.
    Stream,
    /// Those of different services.
    Service,
    /// None: a key of two columns costs ClickHouse a quarter of the time of a short question.
    Nothing,
}

/// What of structured metadata matters.
enum CountedMetadata<'n> {
    Nothing,
    /// How much it takes; no row is told from another by it.
    Bytes,
    /// Rows are told apart by what has these names.
    Names(&'n [Box<str>]),
    /// Rows are told apart by all of it.
    All,
}

impl<'n> Counting<'n> {
    /// Rows and bytes of whole streams.
    pub(super) fn of_streams(cuts: Cuts) -> Self {
        Self { cuts, streams: CountedBy::Stream, metadata: CountedMetadata::Bytes, line_bytes: true }
    }

    /// What a scan looks at.
    pub(super) fn of_scan(request: &'n ScanRequest, cuts: Cuts) -> Self {
        Self {
            cuts,
            streams: match request.label_names.as_deref() {
                Some([]) => CountedBy::Nothing,
                Some(names) if names.iter().all(|name| **name == *SERVICE_NAME) => CountedBy::Service,
                _ => CountedBy::Stream,
            },
            metadata: match (request.columns.metadata, request.metadata_names.as_deref()) {
                (false, _) | (true, Some([])) => CountedMetadata::Nothing,
                (true, Some(names)) => CountedMetadata::Names(names),
                (true, None) => CountedMetadata::All,
            },
            line_bytes: request.columns.line,
        }
    }

    /// `SELECT` of numbers; `FROM`, `WHERE` and [`Counting::group_by`] are to follow. Nothing stands in it that nobody looks at:
    /// what it takes to plan a column, even a constant, shows in a short question.
    pub(super) fn select(&self) -> Statement {
        let mut statement = Statement::new("SELECT ");
        statement.push(match self.streams {
            CountedBy::Stream => "stream AS counted_stream, ",
            CountedBy::Service => "service AS counted_service, ",
            CountedBy::Nothing => "",
        });
        match self.metadata {
            CountedMetadata::Nothing => {}
            // Each pair takes eight bytes, each name and value is there once.
            CountedMetadata::Bytes => {
                statement.push(
                    "toUInt64(sum(8 * length(metadata)) + arraySum(text -> length(text), \
                     groupUniqArrayArray(arrayConcat(mapKeys(metadata)::Array(String), mapValues(metadata))))), ",
                );
            }
            CountedMetadata::Names(names) => {
                statement.push("mapFilter((name, value) -> has(");
                statement.texts(names.iter().map(|name| &**name));
                statement.push(", name), metadata) AS counted_metadata, ");
            }
            CountedMetadata::All => {
                statement.push("metadata AS counted_metadata, ");
            }
        }
        statement.push("toUnixTimestamp64Nano(max(time)), count()");
        statement.push(if self.line_bytes { ", sum(length(line))" } else { "" });
        statement
    }

    /// What the numbers of a range are of.
    pub(super) fn group_by(&self, range: TimeRange) -> Statement {
        let mut keys = Vec::new();
        match self.streams {
            CountedBy::Stream => keys.push(Statement::new("counted_stream")),
            CountedBy::Service => keys.push(Statement::new("counted_service")),
            CountedBy::Nothing => {}
        }
        if matches!(self.metadata, CountedMetadata::Names(_) | CountedMetadata::All) {
            keys.push(Statement::new("counted_metadata"));
        }
        for kind in self.cuts.periodic().into_iter().flat_map(|(_, kinds)| kinds).take(self.cells()) {
            let Some((period, _)) = self.cuts.periodic() else { continue };
            // Unsigned from behind the last cut before the range on, so that division rounds down. It may wrap and wrap back.
            let before = i128::from(range.start.as_nanos()) - 1;
            let back = (before - i128::from(kind)).rem_euclid(i128::from(period));
            let first = (before - back + 1) as i64;
            let mut cell = Statement::new("intDiv(toUInt64(toUnixTimestamp64Nano(time) - ");
            cell.int(first).push("), ").uint(period as u64).push(")");
            keys.push(cell);
        }
        let mut statement = Statement::default();
        if !keys.is_empty() {
            statement.push(" GROUP BY ").join(&keys, ", ");
        }
        statement
    }

    /// How many numbers of stretches of time each row has.
    fn cells(&self) -> usize {
        match self.cuts.periodic() {
            None => 0,
            Some(_) if self.cuts.are_of_one_kind() => 1,
            Some(_) => 2,
        }
    }

    /// Takes whole numbers from the bytes that came, and leaves the rest. Those that only differ in time follow each other, in
    /// the order of time.
    pub(super) fn take_counted(&self, bytes: &mut Vec<u8>) -> Result<Vec<Counted>, ScanError> {
        let mut reader = RowReader::new(bytes);
        let (mut counted, mut end) = (Vec::new(), 0);
        while !reader.is_at_end() {
            match self.read_counted(&mut reader) {
                // Without a key there is a number even of no rows.
                Ok(row) if row.cell.rows == 0 => {}
                Ok(row) => counted.push(row),
                Err(RowReadError::Incomplete) => break,
                Err(error) => return Err(unreadable(error)),
            }
            end = reader.position();
        }
        bytes.drain(..end);
        counted.sort_unstable_by(|a, b| a.rows.cmp(&b.rows).then_with(|| a.cell.time.cmp(&b.cell.time)));
        Ok(counted)
    }

    fn read_counted(&self, reader: &mut RowReader<'_>) -> Result<Counted, RowReadError> {
        let streams = match self.streams {
            CountedBy::Stream => CountedStreams::One(reader.u64()?),
            CountedBy::Service => CountedStreams::Service(reader.name()?.into()),
            CountedBy::Nothing => CountedStreams::All,
        };
        let (mut metadata, mut metadata_bytes) = (Vec::new(), 0);
        match self.metadata {
            CountedMetadata::Nothing => {}
            CountedMetadata::Bytes => metadata_bytes = reader.u64()?,
            CountedMetadata::Names(_) | CountedMetadata::All => reader.map_into(&mut metadata)?,
        }
        let metadata = metadata.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let time = Timestamp::from_nanos(reader.i64()?);
        let rows = reader.u64()?;
        let line_bytes = if self.line_bytes { reader.u64()? } else { 0 };
        let cell = CountedCell { time, rows, line_bytes, metadata_bytes };
        Ok(Counted { rows: CountedOf { streams, metadata }, cell })
    }
}

/// Rows that were counted.
pub(super) struct Counted {
    pub(super) rows: CountedOf,
    pub(super) cell: CountedCell,
}

/// What counted rows have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CountedOf {
    pub(super) streams: CountedStreams,
    pub(super) metadata: Vec<(Box<str>, Box<[u8]>)>,
}

/// The streams of counted rows.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CountedStreams {
    /// One, by its hash.
    One(u64),
    /// All of a service.
    Service(Box<str>),
    /// All.
    All,
}

impl CountedStreams {
    /// The hash of the stream, where it is one.
    pub(super) fn hash(&self) -> Option<u64> {
        match self {
            Self::One(hash) => Some(*hash),
            Self::Service(_) | Self::All => None,
        }
    }
}

/// What streams of a service have in common.
pub(super) fn labels_of_service(service: &str) -> Labels {
    // An empty label is an absent one.
    Labels::from_pairs(Some((SERVICE_NAME, service)).filter(|(_, value)| !value.is_empty()))
}
