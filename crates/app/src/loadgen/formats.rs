//! The requests of the five systems and of Loki, made of entries.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use timberyard_model::Timestamp;

use super::entries::Entry;
use crate::cli::LoadFormat;

/// The kinds of event that Change66 knows, as levels are mapped to them.
const EVENT_TYPES: [(&str, &str); 4] =
    [("DEBUG", "telemetry"), ("INFO", "behavioral"), ("WARN", "performance"), ("ERROR", "error")];

impl LoadFormat {
    /// Where its requests go.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Loggo | Self::Logtopus => "/v1/logs",
            Self::Logpulse => "/ingest",
            Self::Logstream => "/api/ingest",
            Self::Change66 => "/api/v1/batch-ingest",
            Self::Loki => "/loki/api/v1/push",
        }
    }

    /// Entries that one request may hold.
    pub(super) fn entries_max(self) -> usize {
        match self {
            Self::Logstream => 1,
            Self::Change66 => 1000,
            _ => usize::MAX,
        }
    }

    /// Whether a request that arrives twice leaves its entries there once.
    pub(super) fn merges_repeats(self) -> bool {
        matches!(self, Self::Change66 | Self::Loki)
    }

    /// A request with these entries. The last one has the time `now`, the ones before it a microsecond less each.
    pub(super) fn body(self, entries: &[Entry], now: Timestamp) -> Vec<u8> {
        let count = entries.len() as i64;
        let timed = (0..).zip(entries).map(|(i, entry)| {
            let before: i64 = count - 1 - i;
            (now.saturating_add_nanos(-1000 * before), entry)
        });
        let value = match self {
            Self::Loggo => timed.map(|(time, entry)| loggo(time, entry)).collect(),
            Self::Logtopus => timed.map(|(time, entry)| logtopus(time, entry)).collect(),
            Self::Logstream => entries.first().map_or(Value::Null, logstream),
            Self::Change66 => {
                json!({ "logs": timed.map(|(time, entry)| change66(time, entry)).collect::<Value>() })
            }
            Self::Logpulse => streams(timed, |labels, entries| {
                let entries: Value = entries
                    .into_iter()
                    .map(|(t, line)| json!({ "ts": t.to_string(), "line": line }))
                    .collect();
                json!({ "labels": labels, "entries": entries })
            }),
            Self::Loki => streams(timed, |labels, entries| {
                let values: Value =
                    entries.into_iter().map(|(t, line)| json!([t.as_nanos().to_string(), line])).collect();
                json!({ "stream": labels, "values": values })
            }),
        };
        value.to_string().into_bytes()
    }
}

fn labels(entry: &Entry) -> Map<String, Value> {
    entry.labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect()
}

fn loggo(time: Timestamp, entry: &Entry) -> Value {
    let mut value = json!({
        "timestamp": time.as_millis(), "service": entry.service, "level": entry.level, "message": entry.message,
    });
    if let (Some(object), false) = (value.as_object_mut(), entry.labels.is_empty()) {
        object.insert("labels".to_owned(), Value::Object(labels(entry)));
    }
    value
}

fn logtopus(time: Timestamp, entry: &Entry) -> Value {
    let level = match entry.level {
        "DEBUG" => "FINE",
        "WARN" => "WARNING",
        "ERROR" => "SEVERE",
        other => other,
    };
    json!({
        "time": time.to_string(), "level": level, "message": entry.message, "source": entry.service,
        "logger_name": entry.service, "sequence": entry.number, "session_id": entry.id.get(..8),
        "extra": labels(entry),
    })
}

fn logstream(entry: &Entry) -> Value {
    json!({
        "service": entry.service, "level": entry.level, "message": entry.message, "metadata": labels(entry),
    })
}

fn change66(time: Timestamp, entry: &Entry) -> Value {
    let event_type =
        EVENT_TYPES.iter().find(|(level, _)| *level == entry.level).map_or("observability", |found| found.1);
    let mut properties = labels(entry);
    properties.insert("provider_name".to_owned(), Value::from(entry.service));
    properties.insert("message".to_owned(), Value::from(entry.message.as_str()));
    json!({
        "event_id": entry.id, "timestamp": time.to_string(), "event_type": event_type,
        "event_name": format!("{}_{}", entry.service, entry.level.to_lowercase()), "properties": properties,
        "session_id": entry.id.get(..8), "app_version": "1.0.0", "sequence_number": entry.number,
        "priority": if entry.level == "ERROR" { "high" } else { "normal" },
    })
}

/// Groups entries by stream: service, level and labels.
fn streams<'a>(
    timed: impl Iterator<Item = (Timestamp, &'a Entry)>,
    stream: impl Fn(Map<String, Value>, Vec<(Timestamp, &'a str)>) -> Value,
) -> Value {
    type Labels<'a> = Vec<(&'a str, &'a str)>;
    let mut groups: BTreeMap<Labels<'_>, Vec<(Timestamp, &'a str)>> = BTreeMap::new();
    for (time, entry) in timed {
        let mut key = vec![("service", entry.service), ("level", entry.level)];
        key.extend(entry.labels.iter().map(|(name, value)| (*name, value.as_str())));
        groups.entry(key).or_default().push((time, entry.message.as_str()));
    }
    let values = groups.into_iter().map(|(key, entries)| {
        let labels = key.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        stream(labels, entries)
    });
    json!({ "streams": values.collect::<Value>() })
}

#[cfg(test)]
mod tests {
    use super::super::entries::Entries;
    use super::*;

    fn body(format: LoadFormat) -> Value {
        let entries = Entries::new(3, true).take(format.entries_max().min(5));
        let bytes = format.body(&entries, Timestamp::from_nanos(1_700_000_000_000_000_000));
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[test]
    fn every_request_has_the_form_of_its_system() {
        let loggo = body(LoadFormat::Loggo);
        assert_eq!(loggo[4]["timestamp"], 1_700_000_000_000_i64);
        assert!(loggo[0]["labels"]["region"].is_string());
        let logtopus = body(LoadFormat::Logtopus);
        assert_eq!(logtopus.as_array().map(Vec::len), Some(5));
        assert_eq!(logtopus[4]["time"], "2023-11-14T22:13:20Z");
        assert!(body(LoadFormat::Logstream)["service"].is_string());
        assert_eq!(body(LoadFormat::Change66)["logs"].as_array().map(Vec::len), Some(5));
        for (format, list) in [(LoadFormat::Logpulse, "entries"), (LoadFormat::Loki, "values")] {
            let streams = body(format);
            let entries = streams["streams"].as_array().expect("streams").iter();
            assert_eq!(entries.map(|s| s[list].as_array().map_or(0, Vec::len)).sum::<usize>(), 5);
        }
    }
}
