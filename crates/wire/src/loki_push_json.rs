//! A Loki push as JSON: `{"streams":[{"stream":{…},"values":[["<ns>","<line>",{…}]]}]}`.
//!
//! The older form `{"streams":[{"labels":"{…}","entries":[{"ts":"<RFC 3339>","line":"…"}]}]}` is read
//! too, wherever it comes. Unknown keys are passed over. What is refused, and how, is in
//! [`loki_push`](crate::loki_push); bytes of a line that are not UTF-8 are kept.
//!
//! <https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs>

use std::borrow::Cow;

use timberyard_model::Timestamp;
use timberyard_model::batch::EqualEntries;
use timberyard_model::labels::is_label_name;

use crate::context::{DecodeContext, Decoded};
use crate::error::DecodeError;
use crate::json::{JsonKind, JsonReader};
use crate::label_text;
use crate::loki_push::{Metadata, Push};

type Result<T> = std::result::Result<T, DecodeError>;

/// Decodes a body. Refused entries are in [`Decoded::rejected`]; their neighbours are in the batch.
pub fn decode(body: &[u8], context: &DecodeContext<'_>) -> Result<Decoded> {
    let mut decoder = Decoder {
        reader: JsonReader::new(body, context.limits.request.json_depth_max),
        push: Push::new(context, body.len(), EqualEntries::Merge),
        metadata: Vec::new(),
        scratch: Vec::new(),
    };
    decoder.body()?;
    decoder.push.finish()
}

struct Decoder<'c, 'a> {
    reader: JsonReader<'a>,
    push: Push<'c, 'a>,
    // Kept between entries for their memory.
    metadata: Metadata<'a>,
    scratch: Vec<u8>,
}

/// The two forms of a stream's entries.
#[derive(Clone, Copy)]
enum EntryForm {
    /// `["<ns>", "<line>", {…}]`
    Array,
    /// `{"ts": …, "line": …}`
    Object,
}

impl<'a> Decoder<'_, 'a> {
    fn body(&mut self) -> Result<()> {
        self.reader.begin_object()?;
        while let Some(key) = self.reader.next_key()? {
            if &*key == b"streams" && self.reader.peek()? != JsonKind::Null {
                self.reader.begin_array().map_err(|e| e.within("streams"))?;
                let mut index = 0;
                while self.reader.next_element().map_err(|e| e.within("streams"))? {
                    self.stream().map_err(|e| e.within(format_args!("streams[{index}]")))?;
                    index += 1;
                }
            } else {
                self.reader.skip()?;
            }
        }
        self.reader.finish()
    }

    fn stream(&mut self) -> Result<()> {
        let mut stream = None;
        // Entries that stand before their labels are come back to.
        let mut waiting: Option<(EntryForm, JsonReader<'a>)> = None;
        let mut has_entries = false;
        self.reader.begin_object()?;
        while let Some(key) = self.reader.next_key()? {
            let form = match &*key {
                b"stream" | b"labels" => {
                    if stream.is_some() {
                        return Err(self.reader.error("labels of the stream are given twice"));
                    }
                    stream = Some(if &*key == b"stream" {
                        self.labels_object().map_err(|e| e.within("stream"))?
                    } else {
                        self.labels_text().map_err(|e| e.within("labels"))?
                    });
                    continue;
                }
                b"values" => EntryForm::Array,
                b"entries" => EntryForm::Object,
                _ => {
                    self.reader.skip()?;
                    continue;
                }
            };
            if self.reader.peek()? == JsonKind::Null {
                self.reader.null()?;
                continue;
            }
            if has_entries {
                return Err(self.reader.error("entries of the stream are given twice"));
            }
            has_entries = true;
            match stream {
                Some(stream) => self.entries(stream, form)?,
                None => {
                    waiting = Some((form, self.reader.clone()));
                    self.reader.skip()?;
                }
            }
        }
        let stream = match stream {
            Some(stream) => stream,
            None => self.push.stream_of_pairs(Vec::new(), false)?,
        };
        if let Some((form, entries)) = waiting {
            let after = std::mem::replace(&mut self.reader, entries);
            self.entries(stream, form)?;
            self.reader = after;
        }
        Ok(())
    }

    /// `{"app": "api"}`. Values that are not strings are taken by their text, as in Loki.
    fn labels_object(&mut self) -> Result<usize> {
        let mut pairs = label_text::Pairs::new();
        self.reader.begin_object()?;
        while let Some(name) = self.reader.next_key()? {
            let name = String::from_utf8_lossy(&name).into_owned();
            let value = match self.reader.peek()? {
                JsonKind::String => self.reader.text()?.into_owned(),
                _ => String::from_utf8_lossy(self.reader.raw()?).into_owned(),
            };
            match pairs.iter_mut().find(|pair| pair.0 == name) {
                Some(pair) => pair.1 = value,
                None => pairs.push((name, value)),
            }
        }
        if pairs.iter().all(|(name, _)| is_label_name(name)) {
            return self.push.stream_of_pairs(pairs, false);
        }
        // Loki writes the labels as text and reads that: its error is the one of the text.
        pairs.sort();
        let text = label_text::write(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        self.push.stream_of_owned_text(text.as_bytes())
    }

    /// `"{app=\"api\"}"`
    fn labels_text(&mut self) -> Result<usize> {
        match self.reader.string()? {
            Cow::Borrowed(text) => self.push.stream_of_text(text),
            Cow::Owned(text) => self.push.stream_of_owned_text(&text),
        }
    }

    fn entries(&mut self, stream: usize, form: EntryForm) -> Result<()> {
        let name = match form {
            EntryForm::Array => "values",
            EntryForm::Object => "entries",
        };
        self.reader.begin_array().map_err(|e| e.within(name))?;
        let mut index = 0;
        while self.reader.next_element().map_err(|e| e.within(name))? {
            let entry = match form {
                _ if self.reader.peek()? == JsonKind::Null => self.reader.null(),
                EntryForm::Array => self.entry_array(stream),
                EntryForm::Object => self.entry_object(stream),
            };
            entry.map_err(|e| e.within(format_args!("{name}[{index}]")))?;
            index += 1;
        }
        Ok(())
    }

    fn entry_array(&mut self, stream: usize) -> Result<()> {
        self.metadata.clear();
        let mut line_scratch = std::mem::take(&mut self.scratch);
        let mut timestamp = None;
        let mut line: &[u8] = b"";
        self.reader.begin_array()?;
        if self.reader.next_element()? {
            timestamp = Some(self.unix_nanos()?);
            if self.reader.next_element()? {
                line = self.reader.string_in(&mut line_scratch)?;
                if self.reader.next_element()? {
                    self.metadata().map_err(|e| e.within("[2]"))?;
                    while self.reader.next_element()? {
                        self.reader.skip()?;
                    }
                }
            }
        }
        self.push.entry(stream, timestamp, line, &mut self.metadata);
        self.scratch = line_scratch;
        Ok(())
    }

    fn entry_object(&mut self, stream: usize) -> Result<()> {
        self.metadata.clear();
        let mut timestamp = None;
        let mut line = Cow::Borrowed(&b""[..]);
        self.reader.begin_object()?;
        while let Some(key) = self.reader.next_key()? {
            match &*key {
                b"ts" => {
                    let before = self.reader.offset();
                    let text = self.reader.text()?;
                    let time = Timestamp::parse_rfc3339(&text);
                    timestamp = Some(time.map_err(|e| self.reader.error_at(before, e.to_string()))?);
                }
                b"line" => line = self.reader.string()?,
                b"structuredMetadata" => self.metadata().map_err(|e| e.within("structuredMetadata"))?,
                _ => self.reader.skip()?,
            }
        }
        self.push.entry(stream, timestamp, &line, &mut self.metadata);
        Ok(())
    }

    /// Nanoseconds since the epoch, in quotes.
    fn unix_nanos(&mut self) -> Result<Timestamp> {
        self.reader.peek()?;
        let before = self.reader.offset();
        let text = self.reader.string()?;
        match parse_integer(&text) {
            Some(nanos) => Ok(Timestamp::from_nanos(nanos)),
            None => Err(self.reader.error_at(
                before,
                "timestamp must be nanoseconds since 1970, digits in quotes, that fit 64 bits",
            )),
        }
    }

    fn metadata(&mut self) -> Result<()> {
        self.reader.begin_object()?;
        while let Some(name) = self.reader.next_key()? {
            let name = match name {
                Cow::Borrowed(name) => String::from_utf8_lossy(name),
                Cow::Owned(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
            };
            let value = self.reader.string()?;
            self.metadata.push((name, value));
        }
        Ok(())
    }
}

/// A decimal number: an optional minus and digits.
fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{TestContext, rows_of};

    fn decode_text(body: &str) -> Result<Decoded> {
        decode(body.as_bytes(), &TestContext::new().context())
    }

    fn rows(body: &str) -> Vec<String> {
        rows_of(&decode_text(body).unwrap_or_else(|e| panic!("{body}: {e}")).batch)
    }

    #[test]
    fn takes_the_forms_that_loki_takes() {
        let cases: [(&str, &[&str]); 13] = [
            (
                r#"{"streams":[{"stream":{"app":"api"},"values":[["1","a"],["2","b\n\u00e9",{"trace":"x","user.id":"7"}]]}]}"#,
                &[
                    r#"1 {app="api", service_name="api"} a detected_level=unknown"#,
                    r#"2 {app="api", service_name="api"} b\n\xc3\xa9 trace=x user_id=7 detected_level=unknown"#,
                ],
            ),
            // Values before their stream, unknown keys anywhere, spaces, a number as a label value.
            (
                r#" {"x":[1],"streams" : [ {"values":[["3","level=warn"]],"y":{},"stream":{"n":5,"e":""}} ] } "#,
                &[r#"3 {n="5", service_name="unknown_service"} level=warn detected_level=warn"#],
            ),
            (
                r#"{"streams":[{"labels":"{app=\"a\"}","entries":[{"ts":"1970-01-01T00:00:01Z","line":"old"}]}]}"#,
                &[r#"1000000000 {app="a", service_name="a"} old detected_level=unknown"#],
            ),
            (r#"{"streams":[{"stream":{"app":"a"}}]}"#, &[]),
            (r#"{"streams":[{"stream":{"app":"a"},"values":null}]}"#, &[]),
            (r#"{"streams":[{"stream":{"app":"a"},"values":[]}]}"#, &[]),
            (
                r#"{"streams":[{"stream":{},"values":[["-5","x"]]}]}"#,
                &[r#"-5 {service_name="unknown_service"} x detected_level=unknown"#],
            ),
            (
                r#"{"streams":[{"values":[["5"],null]}]}"#,
                &[r#"5 {service_name="unknown_service"}  detected_level=unknown"#],
            ),
            (
                r#"{"streams":[{"stream":{"a":"1","a":"2"},"values":[["5","x",{},"more"]]}]}"#,
                &[r#"5 {a="2", service_name="unknown_service"} x detected_level=unknown"#],
            ),
            // A level that is sent is normalised; empty metadata is none; names are sorted.
            (
                r#"{"streams":[{"stream":{"app":"a"},"values":[["5","x",{"z":"1","detected_level":"WARN","b":""}]]}]}"#,
                &[r#"5 {app="a", service_name="a"} x detected_level=warn z=1"#],
            ),
            (
                r#"{"streams":[{"stream":{"app":"a"},"values":[["5","x",{"k.k":"1","k_k":"2","j":"1","j":"2"}]]}]}"#,
                &[r#"5 {app="a", service_name="a"} x j=2 k_k=1 detected_level=unknown"#],
            ),
            (
                r#"{"streams":[{"stream":{"service":"s","service_name":"own"},"values":[["5","x"]]}]}"#,
                &[r#"5 {service="s", service_name="own"} x detected_level=unknown"#],
            ),
            (
                r#"{"streams":[{"stream":{"level":"Error"},"values":[["5","info"]]}]}"#,
                &[r#"5 {level="Error", service_name="unknown_service"} info detected_level=error"#],
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(rows(body), expected, "{body}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept() {
        let body = b"{\"streams\":[{\"stream\":{\"app\":\"a\"},\"values\":[[\"1\",\"\xff\\n\xfe\",{\"k\":\"\xfd\"}]]}]}";
        let decoded = decode(body, &TestContext::new().context()).expect("valid");
        let row = decoded.batch.rows.get(0);
        assert_eq!(row.line(), b"\xff\n\xfe");
        assert_eq!(row.metadata_value("k"), Some(&b"\xfd"[..]));
    }

    #[test]
    fn a_body_that_is_no_push_is_refused_as_a_whole() {
        let cases = [
            ("", "expected a value, found the end of the JSON text at line 1, column 1 (byte 0)"),
            ("[]", "expected an object, found an array at line 1, column 1 (byte 0)"),
            ("{}", "error at least one valid stream is required for ingestion"),
            (r#"{"streams":null}"#, "error at least one valid stream is required for ingestion"),
            (r#"{"streams":[]}"#, "error at least one valid stream is required for ingestion"),
            (
                r#"{"streams":[{"stream":{"a":"b"},"values":[["abc","x"]]}]}"#,
                "timestamp must be nanoseconds since 1970, digits in quotes, that fit 64 bits at line 1, column 44 (byte 43), in `streams[0].values[0]`",
            ),
            (
                r#"{"streams":[{"stream":{"a":"b"},"values":[["",""]]}]}"#,
                "timestamp must be nanoseconds since 1970, digits in quotes, that fit 64 bits at line 1, column 44 (byte 43), in `streams[0].values[0]`",
            ),
            (
                r#"{"streams":[{"stream":{"a":"b"},"values":[["9223372036854775808","x"]]}]}"#,
                "timestamp must be nanoseconds since 1970, digits in quotes, that fit 64 bits at line 1, column 44 (byte 43), in `streams[0].values[0]`",
            ),
            (
                r#"{"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]}"#,
                "expected a string, found a number at line 1, column 44 (byte 43), in `streams[0].values[0]`",
            ),
            (
                r#"{"streams":[{"stream":{"a":"b"},"values":[["1",5]]}]}"#,
                "expected a string, found a number at line 1, column 48 (byte 47), in `streams[0].values[0]`",
            ),
            (
                r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x","str"]]}]}"#,
                "expected an object, found a string at line 1, column 52 (byte 51), in `streams[0].values[0][2]`",
            ),
            (
                r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x",{"k":1}]]}]}"#,
                "expected a string, found a number at line 1, column 57 (byte 56), in `streams[0].values[0][2]`",
            ),
            (
                r#"{"streams":[{"stream":{"bad-name":"v","push":"x"},"values":[["1","x"]]}]}"#,
                "couldn't parse labels: 1:5: parse error: unexpected character inside braces: '-', in `streams[0].stream`",
            ),
            (
                r#"{"streams":[{"stream":"{a=1}","values":[]}]}"#,
                "expected an object, found a string at line 1, column 23 (byte 22), in `streams[0].stream`",
            ),
            (
                r#"{"streams":[{"stream":{"a":"b"},"values":[["1","x"]],"values":[]}]}"#,
                "entries of the stream are given twice at line 1, column 63 (byte 62), in `streams[0]`",
            ),
            (
                r#"{"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"now","line":"x"}]}]}"#,
                "`now` is not an RFC 3339 time such as 2026-11-20T10:00:00Z at line 1, column 52 (byte 51), in `streams[0].entries[0]`",
            ),
            (
                r#"{"streams":[{"stream":{"a":"b"}}]} x"#,
                "expected the end, found `x` at line 1, column 36 (byte 35)",
            ),
            (
                "{\"streams\":[{\n \"values\":[[}",
                "expected a value, found `}` at line 2, column 13 (byte 26), in `streams[0]`",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(decode_text(body).expect_err(body).to_string(), expected, "{body}");
        }
        let deep = format!(r#"{{"x":{}"#, "[".repeat(100));
        assert!(decode_text(&deep).expect_err("deep").to_string().contains("deeper than the limit of 64"));
    }

    #[test]
    fn an_entry_that_breaks_a_limit_is_refused_alone() {
        let long = "x".repeat(300_000);
        let body = format!(
            r#"{{"streams":[{{"stream":{{"push":"toolong"}},"values":[["1","a"],["2","{long}"],["1793535000000000001","late"],["1793535000000000000","ten minutes"],["3","b"],[]]}}]}}"#
        );
        let decoded = decode_text(&body).expect("neighbours are kept");
        let lines: Vec<_> = decoded.batch.rows.iter().map(|row| row.line().len()).collect();
        assert_eq!(lines, [1, 11, 1]);
        assert_eq!(decoded.rejected.count, 3);
        let reasons: Vec<_> =
            decoded.rejected.described.iter().map(|r| (r.index, r.reason.as_str())).collect();
        let stream = r#"{push="toolong", service_name="unknown_service"}"#;
        assert_eq!(
            reasons,
            [
                (
                    1,
                    &*format!(
                        "max entry size '262144' bytes exceeded for stream '{stream}' while adding an entry with length '300000' bytes"
                    )
                ),
                (2, &*format!("entry for stream '{stream}' has timestamp too new: 2026-11-01T12:10:00Z")),
                (
                    5,
                    &*format!("entry for stream '{stream}' has no timestamp, or one outside of 1677 to 2262")
                ),
            ]
        );
    }

    #[test]
    fn metadata_beyond_the_limits_refuses_its_entry() {
        let pairs = |n: usize| (0..n).map(|i| format!(r#""k{i}":"v""#)).collect::<Vec<_>>().join(",");
        let body = format!(
            r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[["1","ok",{{{}}}],["2","x",{{{}}}],["3","x",{{"k":"{}"}}],["4","x",{{".":"v"}}]]}}]}}"#,
            pairs(128),
            pairs(129),
            "v".repeat(65_536),
        );
        let decoded = decode_text(&body).expect("neighbours are kept");
        assert_eq!(decoded.batch.rows.len(), 1);
        assert_eq!(decoded.batch.rows.get(0).metadata().len(), 129);
        let stream = r#"{a="b", service_name="unknown_service"}"#;
        let reasons: Vec<_> = decoded.rejected.described.iter().map(|r| r.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                &*format!("stream '{stream}' has too many structured metadata labels: '129', limit: '128'"),
                &*format!(
                    "stream '{stream}' has structured metadata too large: '65537' bytes, limit: '65536' bytes"
                ),
                &*format!(
                    "entry for stream '{stream}': structured metadata name \".\" has no letter or digit"
                ),
            ]
        );
    }

    #[test]
    fn a_stream_with_bad_labels_is_refused_alone() {
        let labels = |n: usize| (0..n).map(|i| format!(r#""l{i:02}":"v""#)).collect::<Vec<_>>().join(",");
        let values = r#""values":[["1","x"],["2","y"]]"#;
        let body = format!(
            r#"{{"streams":[{{"stream":{{{}}},{values}}},{{"stream":{{{}}},{values}}},{{"stream":{{"{}":"v"}},{values}}},{{"stream":{{"k":"{}"}},{values}}}]}}"#,
            labels(16),
            labels(15),
            "n".repeat(1100),
            "v".repeat(2049),
        );
        let decoded = decode_text(&body).expect("neighbours are kept");
        assert_eq!(decoded.batch.rows.len(), 2);
        assert_eq!(decoded.rejected.count, 6);
        let reasons: Vec<_> = decoded.rejected.described.iter().map(|r| r.reason.as_str()).collect();
        assert_eq!(reasons.len(), 3, "once a stream");
        assert!(reasons[0].starts_with(r#"entry for stream '{l00="v", "#));
        assert!(reasons[0].ends_with("has 16 label names; limit 15"));
        assert!(
            reasons[1].starts_with("stream '{nnnn")
                && reasons[1].contains("' has label name too long: 'nnnn")
        );
        assert!(reasons[2].contains("' has label value too long: 'vvvv"));
    }

    #[test]
    fn without_discovery_a_stream_needs_a_label() {
        let test = TestContext::new();
        let context = DecodeContext { discover_service_name: false, detect_level: false, ..test.context() };
        let body =
            br#"{"streams":[{"stream":{},"values":[["1","x"]]},{"stream":{"a":"b"},"values":[["1","x"]]}]}"#;
        let decoded = decode(body, &context).expect("neighbours are kept");
        assert_eq!(rows_of(&decoded.batch), [r#"1 {a="b"} x"#]);
        assert_eq!(decoded.rejected.grouped(), "error at least one label pair is required per stream");
    }
}
