//! One page of events in any order, with the number of all.
//!
//! The scan is walked to its end, since all events are counted. Of each event only its place in the order is
//! kept, and only of those up to the end of the page; a second scan over the times of the page fetches its
//! rows.

use std::collections::HashMap;

use timberyard_model::events::{EventOrder, EventPage, EventPageRequest};
use timberyard_model::scan::{BlockStream, LogSource, ScanError, ScanRequest};
use timberyard_model::{Cancellation, RowRef, Rows, TimeRange, Timestamp};
use timberyard_wire::change66_event::Event;
use xxhash_rust::xxh3::xxh3_64;

use super::ordered_rows::{ReadError, RowsCopy};

/// How far into the order a page may end.
pub(super) const PLACES_MAX: usize = 100_000;

/// Bytes of a text that count for its place: longer ones that begin alike come in the order of arrival.
const TEXT_BYTES_MAX: usize = 256;

/// The words of an event in the order asked for.
fn key(order: EventOrder, event: &Event<'_>) -> Key {
    let text = |text: &str| {
        let bytes = text.as_bytes();
        Key::Text(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes).into())
    };
    let field = |name: &str| event.field(name).map_or(Key::Absent, |value| text(&value));
    match order {
        EventOrder::Id => Key::Number(event.id()),
        EventOrder::EventId => text(&event.event_id()),
        EventOrder::Timestamp => Key::Number(event.timestamp().as_nanos()),
        EventOrder::EventType => text(event.event_type()),
        EventOrder::EventName => text(&event.event_name()),
        EventOrder::UserId => field("user_id"),
        EventOrder::SessionId => field("session_id"),
        EventOrder::AppVersion => field("app_version"),
        EventOrder::Priority => text(event.priority()),
        EventOrder::CreatedAt => Key::Number(event.created_at().as_nanos()),
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
    fn of(row: RowRef<'_>, order: EventOrder) -> Self {
        let event = Event::new(row);
        let metadata = row.metadata().fold(xxh3_64(row.line()), |hash, (name, value)| {
            hash.rotate_left(5) ^ xxh3_64(name.as_bytes()).wrapping_add(xxh3_64(value))
        });
        Self {
            key: key(order, &event),
            id: event.id(),
            timestamp: row.timestamp(),
            stream: row.labels().stable_hash(),
            contents: metadata,
        }
    }
}

/// Reads a page of the rows that `accepts` takes. Its end is at most [`PLACES_MAX`] into the order.
pub(super) fn read_page(
    source: &dyn LogSource,
    request: &ScanRequest,
    page: &EventPageRequest,
    accepts: impl Fn(RowRef<'_>) -> bool,
) -> Result<EventPage, ReadError> {
    let mut first = FirstPlaces::new(page.offset.saturating_add(page.rows_max), page.descending);
    let mut total = 0;
    for_each_row(source, request, |row| {
        if accepts(row) {
            total += 1;
            first.add(Place::of(row, page.order));
        }
        Ok(())
    })?;
    let places: Vec<Place> = first.finish().into_iter().skip(page.offset).collect();
    let times = places.iter().map(|place| place.timestamp);
    let (Some(earliest), Some(latest)) = (times.clone().min(), times.max()) else {
        return Ok(EventPage { rows: Rows::default(), total });
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
        match wanted.get_mut(&Place::of(row, page.order)) {
            Some(due) if *due > 0 => {
                *due -= 1;
                found.push(row)
            }
            _ => Ok(()),
        }
    })?;
    let found = found.finish();
    let mut order: Vec<(Place, RowRef<'_>)> =
        found.iter().map(|row| (Place::of(row, page.order), row)).collect();
    order.sort_by(|(a, _), (b, _)| if page.descending { b.cmp(a) } else { a.cmp(b) });
    let mut rows = RowsCopy::new(page.bytes_max);
    rows.extend(order.into_iter().map(|(_, row)| row))?;
    Ok(EventPage { rows: rows.finish(), total })
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
    use timberyard_model::events::EventConditions;
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

    fn page(offset: usize, rows_max: usize, order: EventOrder, descending: bool) -> EventPage {
        let request = ScanRequest::all(TenantId::default(), TimeRange::ALL);
        let page = EventPageRequest {
            tenant: TenantId::default(),
            conditions: EventConditions::of(TimeRange::ALL),
            order,
            descending,
            offset,
            rows_max,
            bytes_max: 1 << 20,
            cancellation: Cancellation::default(),
        };
        read_page(&source(), &request, &page, |row| row.line() != b"1").expect("readable")
    }

    #[test]
    fn pages_joined_are_the_whole_in_order() {
        for (order, descending) in [
            (EventOrder::CreatedAt, true),
            (EventOrder::EventName, false),
            (EventOrder::UserId, true),
            (EventOrder::EventId, false),
        ] {
            let whole = page(0, 3000, order, descending);
            assert_eq!((whole.total, whole.rows.len()), (2000, 2000));
            let shown = |rows: &Rows| rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>();
            let mut joined = Vec::new();
            for offset in (0..2000).step_by(333) {
                let part = page(offset, 333, order, descending);
                assert_eq!(part.total, 2000);
                joined.extend(shown(&part.rows));
            }
            assert_eq!(joined, shown(&whole.rows), "{order:?}");
            let keys: Vec<Key> = whole.rows.iter().map(|row| key(order, &Event::new(row))).collect();
            assert!(if descending { keys.is_sorted_by(|a, b| a >= b) } else { keys.is_sorted() });
        }
        assert!(page(5000, 10, EventOrder::Id, true).rows.is_empty());
    }
}
