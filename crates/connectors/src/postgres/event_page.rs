//! A page of events: the database filters, sorts, pages and counts.

use timberyard_model::events::{EventConditions, EventOrder, EventPage, EventPageRequest};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::ScanError;
use tokio_postgres::types::Type;

use super::failure::PostgresError;
use super::reading::{Reader, Values};
use super::stored_row::{StoredRow, selected};
use super::streams::{Streams, in_range};

/// How many characters of a text its index holds.
const INDEXED_CHARACTERS: u32 = 128;
/// Rows that are fetched at once, so that a page of long ones is refused before all of it is here.
const FETCH_ROWS: usize = 100;

/// Reads one.
pub(super) fn read_page(reader: &Reader, request: &EventPageRequest) -> Result<EventPage, ScanError> {
    let cancellation = &request.cancellation;
    let transaction = reader.begin(cancellation)?;
    let mut values = Values::default();
    let condition = condition(request, &mut values);
    let statement = format!("SELECT count(*) FROM analytics_logs WHERE {condition}");
    let counted = reader.query(&transaction, cancellation, &statement, &values)?;
    let total: i64 = match counted.first() {
        Some(row) => row.try_get(0).map_err(PostgresError::from)?,
        None => 0,
    };
    let mut rows = RowsBuilder::default();
    if total.unsigned_abs() > request.offset as u64 && request.rows_max > 0 {
        let streams = Streams::read(reader, &transaction, cancellation, &request.tenant, &[])?;
        let (limit, offset) = (values.add(clamped(request.rows_max), Type::INT8), clamped(request.offset));
        let offset = values.add(offset, Type::INT8);
        let statement = format!(
            "DECLARE page NO SCROLL CURSOR FOR SELECT {} FROM analytics_logs WHERE {condition} \
             ORDER BY {} LIMIT {limit} OFFSET {offset}",
            selected(true),
            order(request.order, request.descending),
        );
        reader.query(&transaction, cancellation, &statement, &values)?;
        let fetch = format!("FETCH {FETCH_ROWS} FROM page");
        loop {
            let fetched = reader.query(&transaction, cancellation, &fetch, &Values::default())?;
            for row in fetched.iter().map(StoredRow::new) {
                let stream = rows.stream(streams.of(row.stream()?)?);
                let (time, line) = (row.timestamp()?, row.line()?);
                row.metadata(|pairs| rows.push(stream, time, line, pairs.iter().copied()))?
                    .map_err(|full| ScanError::Failed(full.to_string()))?;
                if rows.bytes() > request.bytes_max {
                    return Err(ScanError::Memory { limit: request.bytes_max });
                }
            }
            if fetched.len() < FETCH_ROWS {
                break;
            }
        }
    }
    reader.leave(transaction);
    Ok(EventPage { rows: rows.finish(), total: total.unsigned_abs() })
}

fn clamped(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn condition(request: &EventPageRequest, values: &mut Values) -> String {
    let EventConditions { range, event_type, priority, event_name, fields, provider_name } =
        &request.conditions;
    let mut condition = format!("tenant = {}", values.text(request.tenant.as_str()));
    condition.push_str(&in_range(*range, values));
    for (column, word) in [("event_type", event_type), ("priority", priority)] {
        if let Some(word) = word {
            condition.push_str(&format!(" AND {column} = {}", values.text(word)));
        }
    }
    let texts = event_name
        .iter()
        .map(|name| ("event_name", name))
        .chain(fields.iter().map(|(name, text)| (*name, text)));
    for (column, text) in texts {
        let value = values.text(text);
        if column != "app_version" {
            let begins = |text: &str| format!("left({text}, {INDEXED_CHARACTERS})");
            condition.push_str(&format!(" AND {} = {}", begins(column), begins(&value)));
        }
        condition.push_str(&format!(" AND {column} = {value}"));
    }
    if let Some(provider_name) = provider_name {
        let value = values.text(provider_name);
        condition.push_str(&format!(" AND properties @> jsonb_build_object('provider_name', {value})"));
    }
    condition
}

/// Columns of the order. The number of an event tells when it was taken, and is unique.
fn order(order: EventOrder, descending: bool) -> String {
    let column = match order {
        EventOrder::Id | EventOrder::CreatedAt => "id",
        EventOrder::EventId => "event_id",
        EventOrder::Timestamp => "timestamp_ns",
        EventOrder::EventType => "event_type",
        EventOrder::EventName => "event_name",
        EventOrder::UserId => "user_id",
        EventOrder::SessionId => "session_id",
        EventOrder::AppVersion => "app_version",
        EventOrder::Priority => "priority",
    };
    let (direction, absent) = if descending { ("DESC", "LAST") } else { ("ASC", "FIRST") };
    let may_be_absent = matches!(order, EventOrder::UserId | EventOrder::SessionId | EventOrder::AppVersion);
    let first = match may_be_absent {
        true => format!("{column} {direction} NULLS {absent}"),
        false => format!("{column} {direction}"),
    };
    match column {
        "id" => format!("{first}, timestamp_ns {direction}"),
        _ => format!("{first}, id {direction}, timestamp_ns {direction}"),
    }
}
