//! One page of events in any order, with the number of all.
//!
//! The scan is walked to its end, since all events are counted. Of each event only its place in the order is
//! kept, and only of those up to the end of the page; a second scan over the times of the page fetches its
//! rows.

use std::collections::HashMap;

use timberyard_model::scan::{BlockStream, LogSource, ScanError, ScanRequest};
use timberyard_model::{Cancellation, RowRef, Rows, TimeRange, Timestamp};
use timberyard_wire::change66_event::Event;
use xxhash_rust::xxh3::xxh3_64;

use super::ordered_rows::{ReadError, RowsCopy};

/// How far into the order a page may end.
pub(super) const PLACES_MAX: usize = 100_000;

/// Bytes of a text that count for its place: longer ones that begin alike come in the order of arrival.
const TEXT_BYTES_MAX: usize = 256;

/// What events are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SortBy {
    Id,
    EventId,
    Timestamp,
    EventType,
    EventName,
    UserId,
    SessionId,
    AppVersion,
    Priority,
    CreatedAt,
}

impl SortBy {
    /// The names that a request can give.
    pub(super) const NAMES: [(&'static str, Self); 10] = [
        ("id", Self::Id),
        ("event_id", Self::EventId),
        ("timestamp", Self::Timestamp),
        ("event_type", Self::EventType),
        ("event_name", Self::EventName),
        ("user_id", Self::UserId),
        ("session_id", Self::SessionId),
        ("app_version", Self::AppVersion),
        ("priority", Self::Priority),
        ("created_at", Self::CreatedAt),
    ];

    fn key(self, event: &Event<'_>) -> Key {
        let text = |text: &str| {
            let bytes = text.as_bytes();
            Key::Text(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes).into())
        };
        let field = |name: &str| event.field(name).map_or(Key::Absent, |value| text(&value));
        match self {
            Self::Id => Key::Number(event.id()),
            Self::EventId => text(&event.event_id()),
            Self::Timestamp => Key::Number(event.timestamp().as_nanos()),
            Self::EventType => text(event.event_type()),
            Self::EventName => text(&event.event_name()),
            Self::UserId => field("user_id"),
            Self::SessionId => field("session_id"),
            Self::AppVersion => field("app_version"),
            Self::Priority => text(event.priority()),
            Self::CreatedAt => Key::Number(event.created_at().as_nanos()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Absent,
    Number(i64),
    Text(Box<[u8]>),
}

/// Where an event stands. Events with the same place are alike in all that is stored of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    key: Key,
    id: i64,
    timestamp: Timestamp,
    stream: u64,
    contents: u64,
}

impl Place {
    fn of(row: RowRef<'_>, sort_by: SortBy) -> Self {
        let event = Event::new(row);
        let metadata = row.metadata().fold(xxh3_64(row.line()), |hash, (name, value)| {
            hash.rotate_left(5) ^ xxh3_64(name.as_bytes()).wrapping_add(xxh3_64(value))
        });
        Self {
            key: sort_by.key(&event),
            id: event.id(),
            timestamp: row.timestamp(),
            stream: row.labels().stable_hash(),
            contents: metadata,
        }
    }
}

/// Which part of which order.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageRequest {
    pub(super) sort_by: SortBy,
    pub(super) descending: bool,
    /// Events before the page. With `rows_max`, at most [`PLACES_MAX`].
    pub(super) offset: usize,
    /// Events of the page.
    pub(super) rows_max: usize,
    /// Bytes that the rows of the page may hold.
    pub(super) bytes_max: usize,
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    /// Its rows, in order.
    pub(super) rows: Rows,
    /// All rows that were accepted.
    pub(super) total: u64,
}

/// Reads a page of the rows that `accepts` takes.
pub(super) fn read_page(
    source: &dyn LogSource,
    request: &ScanRequest,
    page: PageRequest,
    accepts: impl Fn(RowRef<'_>) -> bool,
) -> Result<Page, ReadError> {
    let mut first = FirstPlaces::new(page.offset.saturating_add(page.rows_max), page.descending);
    let mut total = 0;
    for_each_row(source, request, |row| {
        if accepts(row) {
            total += 1;
            first.add(Place::of(row, page.sort_by));
        }
        Ok(())
    })?;
    let places: Vec<Place> = first.finish().into_iter().skip(page.offset).collect();
    let times = places.iter().map(|place| place.timestamp);
    let (Some(earliest), Some(latest)) = (times.clone().min(), times.max()) else {
        return Ok(Page { rows: Rows::default(), total });
    };

    let mut wanted: HashMap<&Place, usize> = HashMap::new();
    for place in &places {
        *wanted.entry(place).or_default() += 1;
    }
    let range = TimeRange::new(earliest, latest.saturating_add_nanos(1));
    let mut found = RowsCopy::new(page.bytes_max);
    for_each_row(source, &ScanRequest { range, ..request.clone() }, |row| {
        if !accepts(row) {
            return Ok(());
        }
        match wanted.get_mut(&Place::of(row, page.sort_by)) {
            Some(due) if *due > 0 => {
                *due -= 1;
                found.push(row)
            }
            _ => Ok(()),
        }
    })?;
    let found = found.finish();
    let mut order: Vec<(Place, RowRef<'_>)> =
        found.iter().map(|row| (Place::of(row, page.sort_by), row)).collect();
    order.sort_by(|(a, _), (b, _)| if page.descending { b.cmp(a) } else { a.cmp(b) });
    let mut rows = RowsCopy::new(page.bytes_max);
    rows.extend(order.into_iter().map(|(_, row)| row))?;
    Ok(Page { rows: rows.finish(), total })
}

/// Walks a scan to its end.
pub(super) fn for_each_row(
    source: &dyn LogSource,
    request: &ScanRequest,
    mut visit: impl FnMut(RowRef<'_>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if request.range.is_empty() {
        return Ok(());
    }
    let mut blocks: Box<dyn BlockStream + '_> = source.scan(request)?;
    while let Some(block) = blocks.next_block()? {
        check(&request.cancellation)?;
        for row in block.rows.iter() {
            visit(row)?;
        }
    }
    Ok(())
}

fn check(cancellation: &Cancellation) -> Result<(), ReadError> {
    match cancellation.reason() {
        Some(reason) => Err(ScanError::Cancelled(reason).into()),
        None => Ok(()),
    }
}

/// The first places of an order, in memory for twice as many.
struct FirstPlaces {
    places: Vec<Place>,
    places_max: usize,
    descending: bool,
}

impl FirstPlaces {
    fn new(places_max: usize, descending: bool) -> Self {
        Self { places: Vec::new(), places_max, descending }
    }

    fn add(&mut self, place: Place) {
        self.places.push(place);
        if self.places.len() >= self.places_max.saturating_mul(2).max(1024) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.places.len() > self.places_max && self.places_max > 0 {
            let descending = self.descending;
            self.places.select_nth_unstable_by(self.places_max - 1, |a, b| {
                if descending { b.cmp(a) } else { a.cmp(b) }
            });
        }
        self.places.truncate(self.places_max);
    }

    fn finish(mut self) -> Vec<Place> {
        self.cut();
        self.places.sort_unstable();
        if self.descending {
            self.places.reverse();
        }
        self.places
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::{Labels, TenantId};
    use timberyard_testkit::memory_source::MemorySource;

    use super::*;

    /// 3000 rows of a few services and times, some of them alike.
    fn source() -> MemorySource {
        let source = MemorySource::default().with_block_rows(97);
        for number in 0..3000_i64 {
            let service = format!("s{}", number * 7 % 5);
            let labels = Labels::from_pairs([("service_name", service.as_str())]);
            let time = Timestamp::from_nanos(number * 31 % 1009 * 1_000_000);
            source.push(&labels, time, format!("{}", number % 3).as_bytes(), &[]);
        }
        source
    }

    fn page(offset: usize, rows_max: usize, sort_by: SortBy, descending: bool) -> Page {
        let request = ScanRequest::all(TenantId::default(), TimeRange::ALL);
        let page = PageRequest { sort_by, descending, offset, rows_max, bytes_max: 1 << 20 };
        read_page(&source(), &request, page, |row| row.line() != b"1").expect("readable")
    }

    #[test]
    fn pages_joined_are_the_whole_in_order() {
        for (sort_by, descending) in [
            (SortBy::CreatedAt, true),
            (SortBy::EventName, false),
            (SortBy::UserId, true),
            (SortBy::EventId, false),
        ] {
            let whole = page(0, 3000, sort_by, descending);
            assert_eq!((whole.total, whole.rows.len()), (2000, 2000));
            let shown = |rows: &Rows| rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>();
            let mut joined = Vec::new();
            for offset in (0..2000).step_by(333) {
                let part = page(offset, 333, sort_by, descending);
                assert_eq!(part.total, 2000);
                joined.extend(shown(&part.rows));
            }
            assert_eq!(joined, shown(&whole.rows), "{sort_by:?}");
            let keys: Vec<Key> = whole.rows.iter().map(|row| sort_by.key(&Event::new(row))).collect();
            assert!(if descending { keys.is_sorted_by(|a, b| a >= b) } else { keys.is_sorted() });
        }
        assert!(page(5000, 10, SortBy::Id, true).rows.is_empty());
    }
}
