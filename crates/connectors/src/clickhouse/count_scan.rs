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
    /// Whether all streams of a service are one.
    by_service: bool,
    metadata: CountedMetadata<'n>,
    /// Else they are 0: ClickHouse has to read lines to know.
    line_bytes: bool,
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
        Self { cuts, by_service: false, metadata: CountedMetadata::Bytes, line_bytes: true }
    }

    /// What a scan looks at.
    pub(super) fn of_scan(request: &'n ScanRequest, cuts: Cuts) -> Self {
        let labels = request.label_names.as_deref();
        Self {
            cuts,
            by_service: labels.is_some_and(|names| names.iter().all(|name| **name == *SERVICE_NAME)),
            metadata: match (request.columns.metadata, request.metadata_names.as_deref()) {
                (false, _) | (true, Some([])) => CountedMetadata::Nothing,
                (true, Some(names)) => CountedMetadata::Names(names),
                (true, None) => CountedMetadata::All,
            },
            line_bytes: request.columns.line,
        }
    }

    /// `SELECT` of numbers; `FROM`, `WHERE` and [`Counting::group_by`] are to follow.
    pub(super) fn select(&self, range: TimeRange) -> Statement {
        let mut statement = Statement::new(match self.by_service {
            true => "SELECT toUInt64(0), service AS counted_service, ",
            false => "SELECT stream AS counted_stream, '', ",
        });
        match self.metadata {
            CountedMetadata::Nothing => {
                statement.push("CAST(map(), 'Map(String, String)'), toUInt64(0)");
            }
            // Each pair takes eight bytes, each name and value is there once.
            CountedMetadata::Bytes => {
                statement.push(
                    "CAST(map(), 'Map(String, String)'), toUInt64(sum(8 * length(metadata)) + arraySum(text -> \
                     length(text), groupUniqArrayArray(arrayConcat(mapKeys(metadata)::Array(String), \
                     mapValues(metadata)))))",
                );
            }
            CountedMetadata::Names(names) => {
                statement.push("mapFilter((name, value) -> has(");
                statement.texts(names.iter().map(|name| &**name));
                statement.push(", name), metadata) AS counted_metadata, toUInt64(0)");
            }
            CountedMetadata::All => {
                statement.push("metadata AS counted_metadata, toUInt64(0)");
            }
        }
        statement.push(", toUnixTimestamp64Nano(max(time)), count(), ");
        statement.push(if self.line_bytes { "sum(length(line))" } else { "toUInt64(0)" });
        for number in 0..self.cells() {
            let Some((period, kinds)) = self.cuts.periodic() else { continue };
            // Unsigned from the last cut before the range on, so that division rounds down. It may wrap and wrap back.
            let before = i128::from(range.start.as_nanos()) - 1;
            let back = (before - i128::from(kinds[number])).rem_euclid(i128::from(period));
            let cut = (before - back) as i64;
            statement.push(", intDiv(toUInt64(toUnixTimestamp64Nano(time) - ").int(cut);
            statement.push(" - 1), ").uint(period as u64).push(&format!(") AS cell_{number}"));
        }
        statement
    }

    /// What the numbers are of.
    pub(super) fn group_by(&self) -> String {
        let mut text = match self.by_service {
            true => " GROUP BY counted_service".to_owned(),
            false => " GROUP BY counted_stream".to_owned(),
        };
        if matches!(self.metadata, CountedMetadata::Names(_) | CountedMetadata::All) {
            text.push_str(", counted_metadata");
        }
        for number in 0..self.cells() {
            text.push_str(&format!(", cell_{number}"));
        }
        text
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
        let (stream, service) = (reader.u64()?, reader.name()?);
        let streams = match self.by_service {
            true => CountedStreams::Service(service.into()),
            false => CountedStreams::One(stream),
        };
        let mut metadata = Vec::new();
        reader.map_into(&mut metadata)?;
        let metadata = metadata.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let metadata_bytes = reader.u64()?;
        let time = Timestamp::from_nanos(reader.i64()?);
        let (rows, line_bytes) = (reader.u64()?, reader.u64()?);
        for _ in 0..self.cells() {
            reader.u64()?;
        }
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
}

impl CountedStreams {
    /// The hash of the stream, where it is one.
    pub(super) fn hash(&self) -> Option<u64> {
        match self {
            Self::One(hash) => Some(*hash),
            Self::Service(_) => None,
        }
    }
}

/// What streams of a service have in common.
pub(super) fn labels_of_service(service: &str) -> Labels {
    // An empty label is an absent one.
    Labels::from_pairs(Some((SERVICE_NAME, service)).filter(|(_, value)| !value.is_empty()))
}
