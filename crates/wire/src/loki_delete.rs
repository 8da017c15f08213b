//! What Loki's `/loki/api/v1/delete` is asked and answers: requests to delete lines, and their list.
//!
//! Times are Unix seconds in exactly ten characters, or RFC 3339, to the millisecond; both ends of a range are inside.
//! Read from Loki's source, `pkg/compactor/deletion/request_handler.go`, whose words the errors have.

use timberyard_model::time::NANOS_PER_MILLI;
use timberyard_model::{TimeRange, Timestamp};

use crate::json_text::{write_key, write_string};
use crate::loki_query_params::{ParameterError, Parameters};
use crate::prometheus_text::write_seconds;

/// A deletion as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDeletion<'a> {
    /// Names it.
    pub request_id: &'a str,
    /// The times it is about.
    pub range: TimeRange,
    /// What is deleted, as it was asked.
    pub query: &'a str,
    /// Whether no file holds a line of it any more.
    pub is_processed: bool,
    /// When it was asked.
    pub created_at: Timestamp,
    /// Why nothing is deleted by it, when it cannot be understood; Loki has no such field.
    pub problem: Option<&'a str>,
}

impl Parameters<'_> {
    /// The times of a new deletion; its query is left alone.
    pub fn deletion_range(&self, now: Timestamp) -> Result<TimeRange, ParameterError> {
        if self.get("start").is_empty() {
            return Err(ParameterError("start time not set".to_owned()));
        }
        let start = time(self.get("start")).ok_or_else(|| invalid_time("start"))?;
        let now_millis = now.as_millis();
        let end = match self.get("end") {
            "" => now_millis,
            text => time(text).ok_or_else(|| invalid_time("end"))?,
        };
        if end > now_millis {
            return Err(ParameterError("deletes in the future are not allowed".to_owned()));
        }
        if start >= end {
            return Err(ParameterError("start time can't be greater than or equal to end time".to_owned()));
        }
        range(start, end).ok_or_else(|| invalid_time("start"))
    }

    /// The times with which the deletions of a list have to overlap; nothing when all are wanted.
    pub fn listed_range(&self) -> Result<Option<TimeRange>, ParameterError> {
        let (start, end) = (self.get("start"), self.get("end"));
        if start.is_empty() || end.is_empty() {
            return Ok(None);
        }
        let start = time(start).ok_or_else(|| invalid_time("start"))?;
        let end = time(end).ok_or_else(|| invalid_time("end"))?;
        range(start, end).map(Some).ok_or_else(|| invalid_time("start"))
    }
}

fn invalid_time(which: &str) -> ParameterError {
    ParameterError(format!("invalid {which} time: require unix seconds or RFC3339 format"))
}

/// Milliseconds since 1970.
fn time(text: &str) -> Option<i64> {
    if let Ok(time) = Timestamp::parse_rfc3339(text) {
        return Some(time.as_millis());
    }
    if text.len() != 10 {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    let millis = seconds.trunc() * 1000.0 + (seconds.fract() * 1000.0).round();
    millis.is_finite().then_some(millis as i64)
}

/// From one millisecond to the other, both included.
fn range(start: i64, end: i64) -> Option<TimeRange> {
    let start = start.checked_mul(NANOS_PER_MILLI)?;
    let end = end.checked_mul(NANOS_PER_MILLI)?.checked_add(1)?;
    Some(TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end)))
}

/// The list as JSON.
pub fn deletions_answer<'a>(deletions: impl IntoIterator<Item = ListedDeletion<'a>>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (number, deletion) in deletions.into_iter().enumerate() {
        out.push(if number == 0 { b'{' } else { b',' });
        if number > 0 {
            out.push(b'{');
        }
        let text = |out: &mut Vec<u8>, key: &str, value: &str| {
            write_key(out, key);
            write_string(out, value.as_bytes());
        };
        let seconds = |out: &mut Vec<u8>, key: &str, time: Timestamp| {
            out.push(b',');
            write_key(out, key);
            write_seconds(out, time);
            out.push(b',');
        };
        text(&mut out, "request_id", deletion.request_id);
        seconds(&mut out, "start_time", deletion.range.start);
        write_key(&mut out, "end_time");
        // The last time inside.
        write_seconds(&mut out, deletion.range.end.saturating_add_nanos(-1));
        out.push(b',');
        text(&mut out, "query", deletion.query);
        out.push(b',');
        text(&mut out, "status", if deletion.is_processed { "processed" } else { "received" });
        seconds(&mut out, "created_at", deletion.created_at);
        // Loki lists the name and leaves it empty.
        text(&mut out, "user_id", "");
        if let Some(problem) = deletion.problem {
            out.push(b',');
            text(&mut out, "problem", problem);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_795_132_800_500_000_000);

    fn ask(pairs: &[(&str, &str)]) -> Result<TimeRange, String> {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Parameters(&pairs).deletion_range(NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn ranges_are_read_as_loki_reads_them() {
        let nanos = |range: TimeRange| (range.start.as_nanos(), range.end.as_nanos());
        for (start, end, expected) in [
            ("0000000000", "0000000001", (0, 1_000_000_001)),
            ("1591616227", "1591619692", (1_591_616_227_000_000_000, 1_591_619_692_000_000_001)),
            ("0000000000", "", (0, 1_795_132_800_500_000_001)),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:01.2345678Z", (0, 1_234_000_001)),
            ("12345678.5", "0012345679", (12_345_678_500_000_000, 12_345_679_000_000_001)),
        ] {
            assert_eq!(ask(&[("start", start), ("end", end)]).map(nanos), Ok(expected), "{start} {end}");
        }
    }

    #[test]
    fn what_loki_refuses_is_refused_in_its_words() {
        for (start, end, reason) in [
            ("", "0000000001", "start time not set"),
            ("0000000000000", "0000000001", "invalid start time: require unix seconds or RFC3339 format"),
            ("0000000000", "0000000000001", "invalid end time: require unix seconds or RFC3339 format"),
            ("0000000000", "1795132801", "deletes in the future are not allowed"),
            ("0000000001", "0000000000", "start time can't be greater than or equal to end time"),
            ("0000000000", "0000000000", "start time can't be greater than or equal to end time"),
            ("yesterday.", "0000000000", "invalid start time: require unix seconds or RFC3339 format"),
        ] {
            assert_eq!(ask(&[("start", start), ("end", end)]), Err(reason.to_owned()), "{start} {end}");
        }
    }

    #[test]
    fn the_list_has_lokis_fields() {
        let listed = |id, is_processed| ListedDeletion {
            request_id: id,
            range: TimeRange::new(Timestamp::from_nanos(0), Timestamp::from_nanos(1_500_000_001)),
            query: "{a=\"b\"}",
            is_processed,
            created_at: NOW,
            problem: is_processed.then_some("not understood"),
        };
        let answer = deletions_answer([listed("0a", false), listed("0b", true)]);
        let expected = concat!(
            r#"[{"request_id":"0a","start_time":0,"end_time":1.5,"query":"{a=\"b\"}","status":"received","#,
            r#""created_at":1795132800.5,"user_id":""},"#,
            r#"{"request_id":"0b","start_time":0,"end_time":1.5,"query":"{a=\"b\"}","status":"processed","#,
            r#""created_at":1795132800.5,"user_id":"","problem":"not understood"}]"#,
            "\n"
        );
        assert_eq!(String::from_utf8(answer).expect("text"), expected);
        assert_eq!(deletions_answer([]), b"[]\n");
    }
}
