//! A stored row as an analytics event, which is how Change66's clients see every row.
//!
//! An event that came in through Change66 is given back as it was sent. A row of another system becomes an
//! event of type `observability` (`error` when its level says so), named by its service, with its message and
//! labels as properties.

use std::borrow::Cow;

use timberyard_model::level::Level;
use timberyard_model::time::NANOS_PER_MILLI;
use timberyard_model::{RowRef, Timestamp};

use crate::change66::{EVENT_TYPES, NUMBER, PRIORITIES, PRIORITY_DEFAULT, SERVICE};
use crate::error::DecodeError;
use crate::json::{DEPTH_MAX, JsonKind, JsonReader};
use crate::json_text::{write_integer, write_key, write_string};
use crate::log_entry::{LogEntry, write_json_or_string, write_optional_string};

const NANOS_PER_MICRO: i64 = NANOS_PER_MILLI / 1000;

/// The members of an event in the order they are answered, each with the JSON text of an absent one.
const MEMBERS: [(&str, &str); 11] = [
    ("event_id", "null"),
    ("timestamp", "null"),
    ("event_type", "null"),
    ("event_name", "null"),
    ("properties", "{}"),
    ("user_id", "null"),
    ("session_id", "null"),
    ("app_version", "null"),
    ("device_info", "{}"),
    ("sequence_number", "null"),
    ("priority", "\"normal\""),
];

/// Members that the server answers with.
const OWN_MEMBERS: [&str; 3] = ["id", "created_at", "processed_at"];

/// A row as an event.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    entry: LogEntry<'a>,
    /// The number that the server gave to it; `None` for rows of other systems.
    number: Option<i64>,
}

impl<'a> Event<'a> {
    /// The row must have been read with its metadata; with its line too if it is to be written or asked for a
    /// property.
    pub fn new(row: RowRef<'a>) -> Self {
        let entry = LogEntry::new(row);
        let is_own = entry.service() == SERVICE.as_bytes() && row.metadata_value("event_id").is_some();
        let number = row.metadata_value(NUMBER).filter(|_| is_own);
        let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        Self { entry, number }
    }

    /// When it happened.
    pub fn timestamp(&self) -> Timestamp {
        self.entry.timestamp()
    }

    /// A number that grows with the time of arrival: unique among events, microseconds of the timestamp for
    /// other rows.
    pub fn id(&self) -> i64 {
        self.number.unwrap_or_else(|| self.timestamp().as_nanos().div_euclid(NANOS_PER_MICRO))
    }

    /// When it was taken, to the microsecond; for rows of other systems when it happened.
    pub fn created_at(&self) -> Timestamp {
        match self.number {
            Some(number) => Timestamp::from_nanos(number.saturating_mul(NANOS_PER_MICRO)),
            None => self.timestamp(),
        }
    }

    /// Its id: as sent, or derived from the row.
    pub fn event_id(&self) -> Cow<'a, str> {
        match self.entry.text("event_id").filter(|_| self.number.is_some()) {
            Some(event_id) => event_id,
            None => Cow::Owned(self.entry.derived_id()),
        }
    }

    /// One of [`EVENT_TYPES`].
    pub fn event_type(&self) -> &'static str {
        let sent = self.entry.field("event_type");
        if let Some(known) = EVENT_TYPES.iter().find(|known| Some(known.as_bytes()) == sent) {
            return known;
        }
        match self.entry.severity() {
            Some(Level::Error | Level::Critical | Level::Fatal) => "error",
            _ => "observability",
        }
    }

    /// One of [`PRIORITIES`].
    pub fn priority(&self) -> &'static str {
        let sent = self.entry.field("priority");
        PRIORITIES.iter().find(|known| Some(known.as_bytes()) == sent).copied().unwrap_or(PRIORITY_DEFAULT)
    }

    /// What happened; for rows of other systems the service.
    pub fn event_name(&self) -> Cow<'a, str> {
        let sent = self.entry.text("event_name");
        sent.unwrap_or_else(|| String::from_utf8_lossy(self.entry.service()))
    }

    /// `user_id`, `session_id` or `app_version`, whether sent as such or as a label.
    pub fn field(&self, name: &str) -> Option<Cow<'a, str>> {
        self.entry.text(name)
    }

    /// Whether the property is a string with this value.
    pub fn has_property(&self, name: &str, wanted: &str) -> bool {
        if self.number.is_none() {
            return self.entry.field(name) == Some(wanted.as_bytes());
        }
        self.property(name, wanted).unwrap_or(false)
    }

    fn property(&self, name: &str, wanted: &str) -> Result<bool, DecodeError> {
        let mut json = JsonReader::new(self.entry.line(), DEPTH_MAX);
        let mut found = false;
        json.begin_object()?;
        while let Some(key) = json.next_key()? {
            if &*key != b"properties" || json.peek()? != JsonKind::Object {
                json.skip()?;
                continue;
            }
            json.begin_object()?;
            while let Some(key) = json.next_key()? {
                if &*key == name.as_bytes() && json.peek()? == JsonKind::String {
                    found = json.text()? == wanted;
                } else {
                    json.skip()?;
                }
            }
        }
        Ok(found)
    }

    /// Appends the event as a JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.number.is_some() && self.write_own(out).is_ok() {
            return;
        }
        out.truncate(start);
        self.write_foreign(out);
    }

    fn write_id(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        write_key(out, "id");
        write_integer(out, self.id());
        out.push(b',');
    }

    /// `created_at` and `processed_at`: a row is taken and stored in one step.
    fn write_times(&self, out: &mut Vec<u8>) {
        let time = self.created_at().to_string();
        for (index, name) in ["created_at", "processed_at"].into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_key(out, name);
            write_string(out, time.as_bytes());
        }
        out.push(b'}');
    }

    /// As it was sent, with what it left out.
    fn write_own(&self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let mut json = JsonReader::new(self.entry.line(), DEPTH_MAX);
        let mut members: [Option<&[u8]>; MEMBERS.len()] = [None; MEMBERS.len()];
        let mut others: Vec<(Cow<'_, [u8]>, &[u8])> = Vec::new();
        json.begin_object()?;
        while let Some(key) = json.next_key()? {
            let is_null = json.peek()? == JsonKind::Null;
            let text = json.raw()?;
            match MEMBERS.iter().position(|(name, _)| name.as_bytes() == &*key) {
                Some(index) => {
                    if let Some(member) = members.get_mut(index) {
                        *member = Some(text).filter(|_| !is_null);
                    }
                }
                None if OWN_MEMBERS.iter().any(|name| name.as_bytes() == &*key) => {}
                None => others.push((key, text)),
            }
        }
        self.write_id(out);
        for ((name, absent), sent) in MEMBERS.iter().zip(members) {
            write_key(out, name);
            match sent {
                Some(text) => write_json_or_string(out, text),
                None if *name == "timestamp" => write_string(out, self.timestamp().to_string().as_bytes()),
                None => out.extend_from_slice(absent.as_bytes()),
            }
            out.push(b',');
        }
        for (name, text) in others {
            write_string(out, &name);
            out.push(b':');
            write_json_or_string(out, text);
            out.push(b',');
        }
        self.write_times(out);
        Ok(())
    }

    /// What the row of another system says in the words of an event.
    fn write_foreign(&self, out: &mut Vec<u8>) {
        let entry = &self.entry;
        let time = self.timestamp().to_string();
        self.write_id(out);
        for (name, _) in MEMBERS {
            write_key(out, name);
            match name {
                "event_id" => write_string(out, self.event_id().as_bytes()),
                "timestamp" => write_string(out, time.as_bytes()),
                "event_type" => write_string(out, self.event_type().as_bytes()),
                "event_name" => write_string(out, self.event_name().as_bytes()),
                "properties" => self.write_foreign_properties(out),
                "device_info" => out.extend_from_slice(b"{}"),
                "sequence_number" => out.extend_from_slice(b"null"),
                "priority" => write_string(out, self.priority().as_bytes()),
                _ => write_optional_string(out, entry.field(name)),
            }
            out.push(b',');
        }
        self.write_times(out);
    }

    fn write_foreign_properties(&self, out: &mut Vec<u8>) {
        let entry = &self.entry;
        out.push(b'{');
        for (name, value) in
            [("message", entry.line()), ("level", entry.level()), ("service", entry.service())]
        {
            write_key(out, name);
            write_string(out, value);
            out.push(b',');
        }
        write_key(out, "labels");
        out.push(b'{');
        entry.write_context_members(out);
        out.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::Labels;
    use timberyard_model::rows::RowsBuilder;

    use super::*;

    #[test]
    fn a_row_of_another_system_becomes_an_event() {
        let labels = Labels::from_pairs([("service_name", "auth"), ("level", "SEVERE"), ("env", "prod")]);
        let mut rows = RowsBuilder::default();
        let stream = rows.stream(&labels);
        let time = Timestamp::from_nanos(1_700_000_000_123_456_789);
        rows.push(stream, time, b"no \xff", [("session_id", &b"s"[..])]).expect("fits");
        let rows = rows.finish();
        let event = Event::new(rows.get(0));
        assert_eq!(
            (event.event_type(), event.priority(), event.id()),
            ("error", "normal", 1_700_000_000_123_456)
        );
        let mut out = Vec::new();
        event.write(&mut out);
        let expected = format!(
            r#"{{"id":1700000000123456,"event_id":"{}","timestamp":"2023-11-14T22:13:20.123456789Z","event_type":"error","event_name":"auth","properties":{{"message":"no {}","level":"SEVERE","service":"auth","labels":{{"env":"prod","session_id":"s"}}}},"user_id":null,"session_id":"s","app_version":null,"device_info":{{}},"sequence_number":null,"priority":"normal","created_at":"2023-11-14T22:13:20.123456789Z","processed_at":"2023-11-14T22:13:20.123456789Z"}}"#,
            event.event_id(),
            '\u{fffd}'
        );
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
