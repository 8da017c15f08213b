//! A row as the table of events holds it; [`super::stored_row`] is the way back.
//!
//! The columns say what Change66's clients see of the row; line, stream and metadata are kept so that the row comes
//! back exactly as it was stored, also where a step has changed it or a text is one that PostgreSQL cannot hold.

use std::borrow::Cow;

use timberyard_model::RowRef;
use timberyard_wire::change66_event::Event;
use timberyard_wire::level_detection::DETECTED_LEVEL;

use super::copy_rows::CopyRows;
use super::json_column::objects_of;

/// What a COPY into the table names, in the order in which [`EventRow::write`] writes.
pub(super) const COPIED: &str = "tenant, id, event_id, timestamp, timestamp_ns, event_type, event_name, properties, \
     user_id, session_id, app_version, device_info, sequence_number, priority, detected_level, created_at, \
     processed_at, stream, line, line_bytes, metadata, line_length, metadata_length";
const COPIED_COUNT: i16 = 23;

/// A pair of structured metadata, counted as Loki's chunks hold it.
const PAIR_BYTES: usize = 8;

/// A row with the texts of its columns.
pub(super) struct EventRow<'a> {
    row: RowRef<'a>,
    event: Event<'a>,
    event_id: Cow<'a, str>,
    event_name: Cow<'a, str>,
    user_id: Option<Cow<'a, str>>,
    session_id: Option<Cow<'a, str>>,
    sequence_number: Option<i64>,
    detected_level: Option<Cow<'a, str>>,
}

impl<'a> EventRow<'a> {
    /// What the columns say of a row.
    pub(super) fn new(row: RowRef<'a>) -> Self {
        let event = Event::new(row);
        let detected_level = row.metadata_value(DETECTED_LEVEL).map(String::from_utf8_lossy);
        let sequence_number = row.metadata_value("sequence_number");
        Self {
            row,
            event,
            event_id: holdable(event.event_id()),
            event_name: holdable(event.event_name()),
            user_id: event.field("user_id").map(holdable),
            session_id: event.field("session_id").map(holdable),
            sequence_number: sequence_number
                .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()),
            detected_level: detected_level.map(holdable),
        }
    }

    /// The number that was given to it.
    pub(super) fn id(&self) -> i64 {
        self.event.id()
    }

    /// Appends it as a row of [`COPIED`].
    pub(super) fn write(&self, out: &mut CopyRows, tenant: &str) {
        let (row, event) = (self.row, &self.event);
        let text = |out: &mut CopyRows, text: &Option<Cow<'_, str>>| {
            out.bytes(text.as_ref().map(|text| text.as_bytes()));
        };
        let [properties, device_info] = objects_of(row.line(), ["properties", "device_info"]);
        let line = std::str::from_utf8(row.line()).ok().filter(|line| !line.contains('\0'));
        let canonical = canonical_metadata(self.columns(), |pairs| row.metadata().eq(pairs.iter().copied()));
        out.row(COPIED_COUNT);
        out.bytes(Some(tenant.as_bytes()));
        out.bigint(Some(event.id()));
        out.bytes(Some(self.event_id.as_bytes()));
        out.time(row.timestamp());
        out.bigint(Some(row.timestamp().as_nanos()));
        out.bytes(Some(event.event_type().as_bytes()));
        out.bytes(Some(self.event_name.as_bytes()));
        out.json(&properties);
        text(out, &self.user_id);
        text(out, &self.session_id);
        text(out, &event.field("app_version").map(holdable));
        out.json(&device_info);
        out.bigint(self.sequence_number);
        out.bytes(Some(event.priority().as_bytes()));
        text(out, &self.detected_level);
        out.time(event.created_at());
        out.time(event.created_at());
        out.bigint(Some(stream_number(row)));
        out.bytes(line.map(str::as_bytes));
        out.bytes(Some(row.line()).filter(|_| line.is_none()));
        out.bytes((!canonical).then(|| encode_metadata(row)).as_deref());
        out.integer(row.line().len());
        out.integer(row.metadata().map(|(_, value)| PAIR_BYTES + value.len()).sum());
    }

    fn columns(&self) -> Columns<'_> {
        Columns {
            id: self.id(),
            event_id: &self.event_id,
            event_name: &self.event_name,
            user_id: self.user_id.as_deref(),
            session_id: self.session_id.as_deref(),
            sequence_number: self.sequence_number,
            detected_level: self.detected_level.as_deref(),
        }
    }
}

/// The stream of a row, as the tables name it.
pub(super) fn stream_number(row: RowRef<'_>) -> i64 {
    row.labels().stable_hash().cast_signed()
}

/// A text without NUL, which PostgreSQL cannot hold.
pub(super) fn holdable(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text }
}

/// The columns that tell structured metadata.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub(super) id: i64,
    pub(super) event_id: &'a str,
    pub(super) event_name: &'a str,
    pub(super) user_id: Option<&'a str>,
    pub(super) session_id: Option<&'a str>,
    pub(super) sequence_number: Option<i64>,
    pub(super) detected_level: Option<&'a str>,
}

/// Shows the metadata that an event has as it is decoded.
pub(super) fn canonical_metadata<T>(columns: Columns<'_>, show: impl FnOnce(&[(&str, &[u8])]) -> T) -> T {
    let (id, sequence_number) =
        (columns.id.to_string(), columns.sequence_number.map(|number| number.to_string()));
    let pairs = [
        ("event_id", Some(columns.event_id)),
        ("event_name", Some(columns.event_name)),
        ("user_id", columns.user_id),
        ("session_id", columns.session_id),
        ("sequence_number", sequence_number.as_deref()),
        (timberyard_wire::change66::NUMBER, Some(&*id)),
        (DETECTED_LEVEL, columns.detected_level),
    ];
    let there: Vec<(&str, &[u8])> =
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?.as_bytes()))).collect();
    show(&there)
}

/// Names and values, each with its length in four bytes before it.
pub(super) fn encode_metadata(row: RowRef<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in row.metadata() {
        for bytes in [name.as_bytes(), value] {
            out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            out.extend_from_slice(bytes);
        }
    }
    out
}
