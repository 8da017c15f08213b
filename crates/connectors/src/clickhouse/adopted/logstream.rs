//! Rows in LogStream's columns: `id`, `service`, `level`, `message`, `meta`, `timestamp`.

use std::borrow::Cow;

use timberyard_model::level::DETECTED_LEVEL;
use timberyard_model::rows::RowRef;
use timberyard_wire::service_name::{SERVICE_NAME, UNKNOWN_SERVICE};
use uuid::Uuid;

use super::kept_context;
use super::relation_sql::{RelationSql, detected_level_sql, is_detected_level, pairs_sql};
use super::row_bytes::Value;
use super::table::AdoptedTable;

/// What the column holds of a log without `metadata`.
const NO_METADATA: &[u8] = b"{}";

/// The values of a row, column by column, and its id: its own, or the one given.
pub(super) fn values<'r>(row: RowRef<'r>, given_id: Uuid) -> (Uuid, Vec<Value<'r>>) {
    let labels = row.labels();
    let service = labels.get(SERVICE_NAME).unwrap_or_default();
    let (id, level, meta) = match Own::of(row) {
        Some(own) => (own.id, own.level.as_bytes(), Cow::Borrowed(own.metadata.unwrap_or(NO_METADATA))),
        None => {
            let detected = row.metadata_value(DETECTED_LEVEL).unwrap_or_default();
            let level = labels.get("level").map_or(detected, str::as_bytes);
            (given_id, level, Cow::Owned(kept_context::of_row(row)))
        }
    };
    let values = vec![
        Value::Id(id),
        Value::text(service.as_bytes()),
        Value::text(level),
        Value::text(row.line()),
        Value::Text(meta),
        Value::Time(row.timestamp().as_nanos()),
    ];
    (id, values)
}

/// What a row that came by LogStream's way in has.
struct Own<'r> {
    id: Uuid,
    level: &'r str,
    metadata: Option<&'r [u8]>,
}

impl<'r> Own<'r> {
    /// Nothing of a row that would not come back as it is.
    fn of(row: RowRef<'r>) -> Option<Self> {
        let labels = row.labels();
        let (service, level) = (labels.get(SERVICE_NAME)?, labels.get("level")?);
        if labels.len() != 3 || labels.get("service") != Some(service) {
            return None;
        }
        let (mut id, mut metadata) = (None, None);
        for (name, value) in row.metadata() {
            match name {
                "id" if id.is_none() => {
                    let text = std::str::from_utf8(value).ok()?;
                    id = Some(Uuid::parse_str(text).ok().filter(|id| id.hyphenated().to_string() == text)?);
                }
                "metadata" if metadata.is_none() && !kept_context::is_kept(value) => metadata = Some(value),
                DETECTED_LEVEL if is_detected_level(value, level) => {}
                _ => return None,
            }
        }
        Some(Self { id: id?, level, metadata })
    }
}

/// What queries read.
pub(super) fn relation(table: &AdoptedTable) -> RelationSql {
    let value = |name: &str| table.value_sql(name);
    let (id, service, level, meta) = (value("id"), value("service"), value("level"), value("meta"));
    let id_bits = |from: u32| {
        let id = if table.has_uuid("id") { id.clone() } else { format!("toUUIDOrZero({id})") };
        format!("reinterpretAsUInt64(reverse(substring(UUIDToNum({id}), {from}, 8)))")
    };
    let service_name = format!("if(empty({service}), '{UNKNOWN_SERVICE}', {service})");
    RelationSql {
        kept: kept_context::is_kept_sql(&meta),
        kept_in: meta.clone(),
        labels: pairs_sql(&[("level", &level), ("service", &service), (SERVICE_NAME, &service_name)]),
        service: service_name,
        line: value("message"),
        metadata: pairs_sql(&[
            ("id", &format!("toString({id})")),
            ("metadata", &format!("if({meta} IN ('{{}}', 'null'), '', {meta})")),
            (DETECTED_LEVEL, &detected_level_sql(&level)),
        ]),
        sequence: id_bits(1),
        entry: id_bits(9),
    }
}
