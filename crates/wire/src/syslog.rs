//! One message of syslog, as RFC 5424 or RFC 3164 writes it, or as programs in the field do.
//!
//! The line is the text of the message. `host`, `app` (the service), `facility` and the `level` that its severity stands for become labels;
//! the process id, the message id and structured data become structured metadata, those of RFC 5424 as
//! `ID_NAME`. Nothing is refused for its form: what is neither is kept whole, received now.
//!
//! A key of this server may stand in structured data, as `[timberyard@NUMBER key="KEY"]` with any enterprise number; it is handed to
//! the caller and is no metadata.
//!
//! A time of RFC 3164 has no year and no zone: it is taken for UTC, in the last year that does not bring it more than a day ahead of
//! now. Nobody hears of a refusal, so a message whose time is out of bounds is kept under the time it was received.

use std::borrow::Cow;

use timberyard_model::Timestamp;

use crate::context::DecodeContext;
use crate::mapped_record::MappedRecord;
use crate::metadata_name;
use crate::record_batch::RecordBatch;

/// Facilities by number (RFC 5424, 6.2.1), under the names that `logger` and rsyslog use.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// Levels by severity: emergency, alert, critical, error, warning, notice, informational, debug.
const LEVELS: [&str; 8] = ["fatal", "critical", "critical", "error", "warn", "info", "info", "debug"];

/// The level that a severity stands for, written as a number from 0 to 7.
pub(crate) fn level_of(severity: &[u8]) -> Option<&'static str> {
    match severity {
        [digit @ b'0'..=b'7'] => LEVELS.get(usize::from(digit - b'0')).copied(),
        _ => None,
    }
}

/// The name of a facility by its number.
pub(crate) fn facility_of(number: &[u8]) -> Option<&'static str> {
    let number: usize = std::str::from_utf8(number).ok()?.parse().ok()?;
    FACILITIES.get(number).copied()
}

/// How far a time without a year may be ahead of now before it is taken for last year's.
const AHEAD_NANOS_MAX: i64 = 86_400 * 1_000_000_000;

/// A message taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message<'a> {
    priority: Option<u8>,
    timestamp: Option<Timestamp>,
    host: &'a [u8],
    app: &'a [u8],
    process_id: &'a [u8],
    message_id: &'a [u8],
    /// `ID_NAME` and value.
    data: Vec<(String, Cow<'a, [u8]>)>,
    text: &'a [u8],
}

/// Whether this is the `ID_NAME` of a key.
fn is_key(name: &str) -> bool {
    name.strip_prefix("timberyard@").is_some_and(|rest| {
        rest.strip_suffix("_key").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// Takes one message into a batch; says why when it breaks a limit. A key in it goes to `key`.
pub(crate) fn push(
    message: &[u8],
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
    key: &mut Option<String>,
) -> Result<(), String> {
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    let message = message.strip_suffix(b"\r").unwrap_or(message);
    let message = parse(message, context.received_at);
    let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(6);
    let mut label = |name: &'static str, value: Cow<'static, str>| labels.push((Cow::Borrowed(name), value));
    label("host", Cow::Owned(String::from_utf8_lossy(message.host).into_owned()));
    label("app", Cow::Owned(String::from_utf8_lossy(message.app).into_owned()));
    if let Some(priority) = message.priority {
        let facility = FACILITIES.get(usize::from(priority >> 3)).copied().unwrap_or_default();
        let level = LEVELS.get(usize::from(priority & 7)).copied().unwrap_or_default();
        label("facility", Cow::Borrowed(facility));
        label("level", Cow::Borrowed(level));
    }
    let mut metadata: Vec<(Cow<'_, str>, &[u8])> = Vec::new();
    for (name, value) in [("process_id", message.process_id), ("message_id", message.message_id)] {
        if !value.is_empty() {
            metadata.push((Cow::Borrowed(name), value));
        }
    }
    for (name, value) in &message.data {
        if is_key(name) {
            *key = Some(String::from_utf8_lossy(value).into_owned());
            continue;
        }
        let name = metadata_name::sanitized(name).map_err(|error| error.to_string())?;
        metadata.push((name, value));
    }
    let timestamp = message.timestamp.unwrap_or(context.received_at);
    let record = MappedRecord { labels, metadata, timestamp, line: message.text, service: None };
    record.push_at_any_time(context, batch)
}

fn parse(message: &[u8], now: Timestamp) -> Message<'_> {
    let Some((priority, rest)) = priority(message) else {
        return Message { text: message, ..Message::default() };
    };
    let parsed = match rest.strip_prefix(b"1 ") {
        Some(rest) => rfc5424(rest),
        None => rfc3164(rest, now),
    };
    Message { priority: Some(priority), ..parsed.unwrap_or(Message { text: rest, ..Message::default() }) }
}

/// `<PRI>` with a number from 0 to 191, and what follows.
fn priority(message: &[u8]) -> Option<(u8, &[u8])> {
    let rest = message.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
    let digits = rest.get(..end)?;
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number: u8 = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    (number <= 191).then_some((number, rest.get(end + 1..)?))
}

/// The next word and what follows the space behind it; `-` is nothing.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', text)?;
    let (word, rest) = (text.get(..end)?, text.get(end + 1..)?);
    Some((if word == b"-" { &[] } else { word }, rest))
}

/// After `<PRI>1 `: time, host, app, process id, message id, structured data and text.
fn rfc5424(text: &[u8]) -> Option<Message<'_>> {
    let (time, rest) = word(text)?;
    let timestamp = match time {
        [] => None,
        time => Some(Timestamp::parse_rfc3339(std::str::from_utf8(time).ok()?).ok()?),
    };
    let (host, rest) = word(rest)?;
    let (app, rest) = word(rest)?;
    let (process_id, rest) = word(rest)?;
    // Structured data may end the message.
    let (message_id, rest) = word(rest)?;
    let (data, rest) = match rest.strip_prefix(b"-") {
        Some(rest) => (Vec::new(), rest),
        None => structured_data(rest)?,
    };
    let text = match rest {
        [] => rest,
        rest => rest.strip_prefix(b" ")?,
    };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    Some(Message { timestamp, host, app, process_id, message_id, data, text, ..Message::default() })
}

/// Names and values of structured data.
type StructuredData<'a> = Vec<(String, Cow<'a, [u8]>)>;

/// One or more `[ID NAME="VALUE" …]`, and what follows.
fn structured_data(mut text: &[u8]) -> Option<(StructuredData<'_>, &[u8])> {
    let mut data = Vec::new();
    if !text.starts_with(b"[") {
        return None;
    }
    while let Some(rest) = text.strip_prefix(b"[") {
        let end = rest.iter().position(|byte| matches!(byte, b' ' | b']'))?;
        let id = String::from_utf8_lossy(rest.get(..end)?);
        text = rest.get(end..)?;
        while let Some(rest) = text.strip_prefix(b" ") {
            let equals = memchr::memchr(b'=', rest)?;
            let name = String::from_utf8_lossy(rest.get(..equals)?);
            let rest = rest.get(equals + 1..)?.strip_prefix(b"\"")?;
            let (value, after) = quoted(rest)?;
            data.push((format!("{id}_{name}"), value));
            text = after;
        }
        text = text.strip_prefix(b"]")?;
    }
    Some((data, text))
}

/// A value up to its closing quote, without the backslashes before `"`, `\` and `]`.
fn quoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut unescaped: Option<Vec<u8>> = None;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => {
                let value = unescaped
                    .map_or_else(|| text.get(..at).map(Cow::Borrowed), |value| Some(Cow::Owned(value)));
                return Some((value?, text.get(at + 1..)?));
            }
            b'\\' if matches!(text.get(at + 1), Some(b'"' | b'\\' | b']')) => {
                let value = unescaped.get_or_insert_with(|| text.get(..at).unwrap_or_default().to_vec());
                value.push(*text.get(at + 1)?);
                at += 2;
            }
            byte => {
                if let Some(value) = &mut unescaped {
                    value.push(*byte);
                }
                at += 1;
            }
        }
    }
}

/// After `<PRI>`: a time, perhaps a host, perhaps a tag, and text.
fn rfc3164(text: &[u8], now: Timestamp) -> Option<Message<'_>> {
    let (timestamp, rest) = old_time(text, now)?;
    // A host is a word without a colon; a tag ends in one, or in a process id.
    let (host, rest) = match word(rest) {
        Some((host, after)) if !host.iter().any(|byte| matches!(byte, b':' | b'[')) => (host, after),
        _ => (&[][..], rest),
    };
    let tag_end = rest.iter().take(64).position(|byte| matches!(byte, b':' | b'[' | b' '));
    let tag = tag_end.and_then(|end| Some((rest.get(..end)?, rest.get(end..)?)));
    let (app, process_id, text) = match tag {
        Some((app, after)) if after.starts_with(b":") => (app, &[][..], after.get(1..)?),
        Some((app, after)) if after.starts_with(b"[") => {
            let end = memchr::memchr(b']', after)?;
            let after_id = after.get(end + 1..)?;
            (app, after.get(1..end)?, after_id.strip_prefix(b":").unwrap_or(after_id))
        }
        _ => (&[][..], &[][..], rest),
    };
    let text = text.strip_prefix(b" ").unwrap_or(text);
    Some(Message { timestamp: Some(timestamp), host, app, process_id, text, ..Message::default() })
}

/// `Nov  1 12:00:00 `, or RFC 3339 and a space, and what follows.
fn old_time(text: &[u8], now: Timestamp) -> Option<(Timestamp, &[u8])> {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    if text.first().is_some_and(u8::is_ascii_digit) {
        let (time, rest) = word(text)?;
        return Some((Timestamp::parse_rfc3339(std::str::from_utf8(time).ok()?).ok()?, rest));
    }
    let month = MONTHS.iter().position(|month| text.starts_with(month))? + 1;
    let day: u8 = std::str::from_utf8(text.get(4..6)?).ok()?.trim_start().parse().ok()?;
    let clock = std::str::from_utf8(text.get(7..15)?).ok()?;
    let rest = text.get(15..)?.strip_prefix(b" ")?;
    let year: i64 = now.to_string().get(..4)?.parse().ok()?;
    let mut times = [year + 1, year, year - 1]
        .into_iter()
        .filter_map(|year| Timestamp::parse_rfc3339(&format!("{year:04}-{month:02}-{day:02}T{clock}Z")).ok());
    let latest_allowed = now.saturating_add_nanos(AHEAD_NANOS_MAX);
    let latest = times.find(|time| *time <= latest_allowed)?;
    Some((latest, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

    fn row(message: &[u8]) -> String {
        let test = TestContext::new();
        let context = test.context();
        let mut batch = RecordBatch::new(context.tenant, &context);
        push(message, &context, &mut batch, &mut None).expect("within limits");
        rows_of(&batch.finish()).remove(0)
    }

    #[test]
    fn messages_of_rfc_5424_become_rows() {
        let cases: [(&[u8], &str); 4] = [
            (
                b"<165>1 2026-11-01T00:00:00.003Z web1 evntslog 17 ID47 [exampleSDID@32473 iut=\"3\" src=\"App \\\"x\\\" \\]\"][e2 a=\"\"] \xef\xbb\xbfhello \xff\n",
                r#"1793491200003000000 {app="evntslog", facility="local4", host="web1", level="info", service_name="evntslog"} hello \xff process_id=17 message_id=ID47 exampleSDID_32473_iut=3 exampleSDID_32473_src=App \"x\" ] e2_a= detected_level=info"#,
            ),
            (
                b"<11>1 2026-11-01T01:00:00+01:00 - su - - - failed",
                r#"1793491200000000000 {app="su", facility="user", level="error", service_name="su"} failed detected_level=error"#,
            ),
            (
                b"<0>1 2026-11-01T00:00:00Z h a - - [x@1]",
                r#"1793491200000000000 {app="a", facility="kern", host="h", level="fatal", service_name="a"}  detected_level=fatal"#,
            ),
            (
                b"<0>1 2026-11-01T00:00:00Z h a - - -",
                r#"1793491200000000000 {app="a", facility="kern", host="h", level="fatal", service_name="a"}  detected_level=fatal"#,
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(row(message), expected);
        }
    }

    #[test]
    fn messages_of_rfc_3164_become_rows() {
        let cases: [(&[u8], &str); 5] = [
            (
                b"<34>Nov  1 00:00:00 mymachine su[231]: 'su root' failed\r\n",
                r#"1793491200000000000 {app="su", facility="auth", host="mymachine", level="critical", service_name="su"} \'su root\' failed process_id=231 detected_level=critical"#,
            ),
            (
                b"<14>Nov  1 00:00:00 myprog: no host",
                r#"1793491200000000000 {app="myprog", facility="user", level="info", service_name="myprog"} no host detected_level=info"#,
            ),
            (
                b"<14>2026-11-01T00:00:00.5Z h app: iso",
                r#"1793491200500000000 {app="app", facility="user", host="h", level="info", service_name="app"} iso detected_level=info"#,
            ),
            (
                b"<14>Dec 31 23:59:59 h app: last year",
                r#"1767225599000000000 {app="app", facility="user", host="h", level="info", service_name="app"} last year detected_level=info"#,
            ),
            (
                b"<14>Nov  1 00:00:00 h no tag here",
                r#"1793491200000000000 {facility="user", host="h", level="info", service_name="unknown_service"} no tag here detected_level=info"#,
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(row(message), expected);
        }
    }

    #[test]
    fn a_time_out_of_bounds_gives_way_to_now() {
        let row = row(b"<14>2036-11-01T00:00:00Z h app: ahead");
        assert!(row.starts_with(&RECEIVED_AT.as_nanos().to_string()), "{row}");
    }

    #[test]
    fn a_time_without_a_year_is_the_last_one_that_may_be() {
        let january = Timestamp::parse_rfc3339("2027-01-01T00:00:05Z").expect("valid");
        let (time, _) = old_time(b"Dec 31 23:59:59 x", january).expect("a time");
        assert_eq!(time.to_string(), "2026-12-31T23:59:59Z");
        let december = Timestamp::parse_rfc3339("2026-12-31T23:59:59Z").expect("valid");
        let (time, _) = old_time(b"Jan  1 00:00:01 x", december).expect("a time");
        assert_eq!(time.to_string(), "2027-01-01T00:00:01Z");
        assert_eq!(old_time(b"Nov 31 00:00:00 x", december), None);
    }

    #[test]
    fn what_is_neither_is_kept_whole() {
        let now = RECEIVED_AT.as_nanos();
        for message in ["no syslog", "<192>1 - - - - - - x", "<>x", "<1", ""] {
            let expected =
                format!(r#"{now} {{service_name="unknown_service"}} {message} detected_level=unknown"#);
            assert_eq!(row(message.as_bytes()), expected);
        }
        // A priority is known by itself.
        for message in ["1 soon h a - - - x", "1 - h a - - [x", "hello", "Nov 1"] {
            let expected = format!(
                r#"{now} {{facility="user", level="info", service_name="unknown_service"}} {message} detected_level=info"#
            );
            assert_eq!(row(format!("<14>{message}").as_bytes()), expected);
        }
    }
}
