//! What an entry of a journal says, whatever form it came in.
//!
//! The line is `MESSAGE`. Host, unit, `level` and facility become labels; the service is the identifier that the program logs
//! under, else the unit. What else is there becomes structured metadata in small letters, without underscores before it and
//! without the journal's own addresses.

use std::borrow::Cow;

use timberyard_model::Timestamp;

use crate::metadata_name;
use crate::syslog;

/// Fields that are labels, the line or its time, and the journal's own addresses.
const TAKEN: [&str; 8] = [
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_FACILITY",
    "_HOSTNAME",
    "_SYSTEMD_UNIT",
    "SYSLOG_IDENTIFIER",
    "_SOURCE_MONOTONIC_TIMESTAMP",
    "_SOURCE_REALTIME_TIMESTAMP",
];

/// An entry as a record.
#[derive(Clone, Debug)]
pub struct JournalRecord<'e> {
    /// `host`, `level`, `facility` and `unit`, those that are there.
    pub labels: Vec<(&'static str, Cow<'e, str>)>,
    /// Who has said it.
    pub service: Option<Cow<'e, str>>,
    /// Everything else.
    pub metadata: Vec<(String, &'e [u8])>,
    /// When the journal got it.
    pub timestamp: Option<Timestamp>,
    /// The message.
    pub line: &'e [u8],
}

impl<'e> JournalRecord<'e> {
    /// Reads an entry's fields.
    ///
    /// # Errors
    /// A name that structured metadata cannot have.
    pub fn of(fields: &'e [(Vec<u8>, Vec<u8>)]) -> Result<Self, String> {
        let get = |wanted: &str| {
            let found = fields.iter().find(|(name, value)| *name == wanted.as_bytes() && !value.is_empty());
            found.map(|(_, value)| value.as_slice())
        };
        let text = |wanted: &str| get(wanted).map(String::from_utf8_lossy);
        let unit = text("_SYSTEMD_UNIT").or_else(|| text("_SYSTEMD_USER_UNIT"));
        let known = [
            ("host", text("_HOSTNAME")),
            ("level", get("PRIORITY").and_then(syslog::level_of).map(Cow::Borrowed)),
            ("facility", get("SYSLOG_FACILITY").and_then(syslog::facility_of).map(Cow::Borrowed)),
            ("unit", unit.clone()),
        ];
        let identifier = text("SYSLOG_IDENTIFIER").or_else(|| text("_COMM"));
        let unit_name =
            || unit.map(|unit| Cow::Owned(unit.strip_suffix(".service").unwrap_or(&unit).to_owned()));
        let mut metadata = Vec::new();
        for (name, value) in fields {
            let name = String::from_utf8_lossy(name);
            if name.starts_with("__") || TAKEN.contains(&&*name) {
                continue;
            }
            let small = name.trim_start_matches('_').to_ascii_lowercase();
            let clean = metadata_name::sanitized(&small).map_err(|error| error.to_string())?.into_owned();
            metadata.push((clean, value.as_slice()));
        }
        let micros = text("__REALTIME_TIMESTAMP").and_then(|text| text.parse::<i64>().ok());
        Ok(Self {
            labels: known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            service: identifier.or_else(unit_name),
            metadata,
            timestamp: micros.and_then(|micros| micros.checked_mul(1000)).map(Timestamp::from_nanos),
            line: get("MESSAGE").unwrap_or_default(),
        })
    }
}
