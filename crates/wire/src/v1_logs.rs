//! `/v1/logs`, the path that three clients share: whose body is it, and an answer that all of them read.

use crate::error::DecodeError;
use crate::json::{JsonKind, JsonReader};
use crate::log_entry::LogEntry;
use crate::{loggo, logtopus};

/// Whose a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// An array whose entries have no numeric `timestamp`.
    Logtopus,
    /// An array whose entries all have a numeric `timestamp`.
    LogGo,
    /// An object with `resourceLogs`.
    Otlp,
}

/// Says whose a JSON body is. Refuses an empty array, an array of both kinds of entries, and anything else.
pub fn sender_of(body: &[u8], depth_max: usize) -> Result<Sender, DecodeError> {
    let mut json = JsonReader::new(body, depth_max);
    match json.peek()? {
        JsonKind::Array => sender_of_array(&mut json),
        JsonKind::Object => {
            json.begin_object()?;
            while let Some(key) = json.next_key()? {
                if matches!(&*key, b"resourceLogs" | b"resource_logs") {
                    // Its decoder looks at the rest.
                    return Ok(Sender::Otlp);
                }
                json.skip()?;
            }
            json.finish()?;
            Err(DecodeError::malformed("expected an array of entries or an object with resourceLogs"))
        }
        kind => Err(json.error(format!(
            "expected an array of entries or an object with resourceLogs, found {}",
            kind.described()
        ))),
    }
}

fn sender_of_array(json: &mut JsonReader<'_>) -> Result<Sender, DecodeError> {
    let mut sender = None;
    let mut index = 0usize;
    json.begin_array()?;
    while json.next_element()? {
        let this = sender_of_entry(json).map_err(|error| error.within(format!("[{index}]")))?;
        if let Some((first, _)) = sender.filter(|(first, _)| *first != this) {
            let (has, others) = match first {
                Sender::LogGo => ("has no numeric timestamp", "have one"),
                _ => ("has a numeric timestamp", "have none"),
            };
            return Err(DecodeError::rejected(
                format!("[{index}]"),
                format!("entry {index} {has}, the entries before it {others}; send the two kinds apart"),
            ));
        }
        sender = Some((this, index));
        index += 1;
    }
    json.finish()?;
    match sender {
        Some((sender, _)) => Ok(sender),
        None => Err(DecodeError::rejected("", "no entries: the array is empty")),
    }
}

fn sender_of_entry(json: &mut JsonReader<'_>) -> Result<Sender, DecodeError> {
    let mut sender = Sender::Logtopus;
    if json.peek()? != JsonKind::Object {
        // Its decoder says what is wrong with it.
        json.skip()?;
        return Ok(sender);
    }
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        if &*key == b"timestamp" {
            sender = if json.peek()? == JsonKind::Number { Sender::LogGo } else { Sender::Logtopus };
        }
        json.skip()?;
    }
    Ok(sender)
}

/// Appends an entry with the fields of both Logtopus and log-go.
pub fn write_entry(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    out.push(b'{');
    logtopus::write_members(out, entry);
    out.push(b',');
    loggo::write_members(out, entry);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_tests::refusal;

    #[test]
    fn a_numeric_timestamp_tells_log_go_from_logtopus() {
        let cases = [
            (r#"[{"timestamp":1},{"x":{"timestamp":"a"},"timestamp":2.5}]"#, Sender::LogGo),
            (r#"[{"message":"a"},{"timestamp":"2026-11-20T10:00:00Z"}]"#, Sender::Logtopus),
            (r#"{"resourceLogs":[]}"#, Sender::Otlp),
        ];
        for (body, expected) in cases {
            assert_eq!(sender_of(body.as_bytes(), 8).expect("known"), expected, "{body}");
        }
    }

    #[test]
    fn refuses_mixed_and_empty_bodies() {
        let cases = [
            (
                r#"[{"timestamp":1},{"timestamp":2},{"message":"a"}]"#,
                "[2]: entry 2 has no numeric timestamp, the entries before it have one; send the two kinds apart",
            ),
            (
                r#"[{},{"timestamp":2}]"#,
                "[1]: entry 1 has a numeric timestamp, the entries before it have none; send the two kinds apart",
            ),
            ("[]", "no entries: the array is empty"),
            ("{}", "expected an array of entries or an object with resourceLogs"),
            (
                "7",
                "expected an array of entries or an object with resourceLogs, found a number at line 1, column 1 (byte 0)",
            ),
            (r#"[{"a":}]"#, "expected a value, found `}` at line 1, column 7 (byte 6), in `[0]`"),
        ];
        for (body, expected) in cases {
            assert_eq!(refusal(sender_of(body.as_bytes(), 8)), expected, "{body}");
        }
    }
}
