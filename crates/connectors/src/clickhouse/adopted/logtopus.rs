//! Rows in Logtopus' columns: one for each field of an entry; `object` and `extra` hold JSON.

use timberyard_model::level::DETECTED_LEVEL;
use timberyard_model::rows::RowRef;
use timberyard_wire::service_name::{SERVICE_NAME, UNKNOWN_SERVICE};

use super::kept_context;
use super::relation_sql::{RelationSql, detected_level_sql, is_detected_level, pairs_sql};
use super::row_bytes::Value;
use super::table::AdoptedTable;

/// What Logtopus writes where there is no object.
const NO_OBJECT: &[u8] = b"null";

/// Fields that are text and nothing else, as metadata and columns call them.
const TEXTS: [&str; 6] = ["session_id", "client_id", "source", "error", "stacktrace", "client_ip"];

/// The values of a row, column by column.
pub(super) fn values(row: RowRef<'_>) -> Vec<Value<'_>> {
    let labels = row.labels();
    let level = labels.get("level").map(str::as_bytes);
    let level = level.or_else(|| row.metadata_value(DETECTED_LEVEL)).unwrap_or_default();
    let text = |name: &str| Value::text(row.metadata_value(name).unwrap_or_default());
    let object = |name: &str| Value::text(row.metadata_value(name).unwrap_or(NO_OBJECT));
    let (object, extra, source, sequence) = match is_own(row) {
        true => {
            let sequence = row.metadata_value("sequence").and_then(number).unwrap_or(0);
            (object("object"), object("extra"), text("source"), sequence)
        }
        // Its own clients find the service where they look for it.
        false => (
            Value::text(NO_OBJECT),
            Value::Text(kept_context::of_row(row).into()),
            Value::text(labels.get(SERVICE_NAME).unwrap_or_default().as_bytes()),
            0,
        ),
    };
    vec![
        Value::Time(row.timestamp().as_nanos()),
        Value::text(level),
        Value::text(row.line()),
        object,
        extra,
        Value::text(labels.get("logger_name").unwrap_or_default().as_bytes()),
        Value::Number(sequence),
        text("error"),
        text("stacktrace"),
        text("session_id"),
        text("client_id"),
        source,
        text("client_ip"),
    ]
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether a row came by Logtopus' way in, and comes back as it is, but that what is empty comes back absent.
fn is_own(row: RowRef<'_>) -> bool {
    let labels = row.labels();
    let (Some(service), Some(level)) = (labels.get(SERVICE_NAME), labels.get("level")) else { return false };
    let logger_name = labels.get("logger_name");
    let source = row.metadata_value("source").filter(|source| !source.is_empty());
    let expected = source.or(logger_name.map(str::as_bytes)).unwrap_or(UNKNOWN_SERVICE.as_bytes());
    if labels.len() != 2 + usize::from(logger_name.is_some()) || service.as_bytes() != expected {
        return false;
    }
    let mut seen: Vec<&str> = Vec::new();
    row.metadata().all(|(name, value)| {
        let is_first = !seen.contains(&name);
        seen.push(name);
        is_first
            && match name {
                DETECTED_LEVEL => is_detected_level(value, level),
                "logger_name" => value.is_empty(),
                "sequence" => number(value).is_some_and(|number| number.to_string().as_bytes() == value),
                "object" | "extra" => value.starts_with(b"{") && !kept_context::is_kept(value),
                name => TEXTS.contains(&name),
            }
    })
}

/// What queries read.
pub(super) fn relation(table: &AdoptedTable) -> RelationSql {
    let value = |name: &str| table.value_sql(name);
    let (level, source, logger_name, extra) =
        (value("level"), value("source"), value("logger_name"), value("extra"));
    let service = format!(
        "multiIf(notEmpty({source}), {source}, notEmpty({logger_name}), {logger_name}, '{UNKNOWN_SERVICE}')"
    );
    let object = |name: &str| {
        let value = value(name);
        format!("if({value} = 'null', '', {value})")
    };
    let hashed: Vec<String> =
        ["message", "object", "extra", "logger_name"].into_iter().chain(TEXTS).map(value).collect();
    RelationSql {
        kept: kept_context::is_kept_sql(&extra),
        kept_in: extra,
        labels: pairs_sql(&[("level", &level), ("logger_name", &logger_name), (SERVICE_NAME, &service)]),
        service,
        line: value("message"),
        metadata: pairs_sql(&[
            ("session_id", &value("session_id")),
            ("client_id", &value("client_id")),
            ("source", &source),
            ("sequence", &format!("toString({})", value("sequence"))),
            ("error", &value("error")),
            ("stacktrace", &value("stacktrace")),
            ("object", &object("object")),
            ("extra", &object("extra")),
            ("client_ip", &value("client_ip")),
            (DETECTED_LEVEL, &detected_level_sql(&level)),
        ]),
        sequence: value("sequence"),
        entry: format!("cityHash64({})", hashed.join(", ")),
    }
}
