//! Newline-delimited JSON: one object a line, mapped to a log entry by the names of its fields.
//!
//! A line that cannot be taken is refused by its number while the others are kept; empty lines are passed over.
//! Equal entries are kept apart.

use crate::context::{DecodeContext, Decoded, Rejections};
use crate::error::{DecodeError, Malformed, Position};
use crate::field_mapping::FieldMapping;
use crate::json::JsonReader;
use crate::mapped_object::{Around, ObjectReader};
use crate::record_batch::RecordBatch;
use crate::text_lines::lines;

/// Decodes a body. Refused lines are in [`Decoded::rejected`].
pub fn decode(
    body: &[u8],
    mapping: &FieldMapping,
    context: &DecodeContext<'_>,
) -> Result<Decoded, DecodeError> {
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut objects = ObjectReader::new(mapping);
    let mut rejected = Rejections::default();
    let mut index = 0;
    let mut offset = 0;
    for (number, text) in lines(body).enumerate() {
        let start = offset;
        offset += text.len() + 1;
        if text.trim_ascii().is_empty() {
            continue;
        }
        if let Err(reason) = take_object(text, &mut objects, context, &mut batch) {
            let reason = match reason {
                Refusal::Malformed(error) => in_body(error, start, number).to_string(),
                Refusal::Other(reason) => format!("line {}: {reason}", number + 1),
            };
            rejected.add(index, || reason);
        }
        index += 1;
    }
    if index == 0 {
        return Err(DecodeError::Empty("body holds no JSON object"));
    }
    Ok(Decoded { batch: batch.finish(), rejected })
}

/// Decodes a body that is one object, on as many lines as it likes.
///
/// # Errors
/// The body is no object, or the record that it stands for is refused.
pub fn decode_object(
    body: &[u8],
    mapping: &FieldMapping,
    context: &DecodeContext<'_>,
) -> Result<Decoded, DecodeError> {
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut rejected = Rejections::default();
    match take_object(body, &mut ObjectReader::new(mapping), context, &mut batch) {
        Ok(()) => {}
        Err(Refusal::Malformed(error)) => return Err(error),
        Err(Refusal::Other(reason)) => rejected.add(0, || reason),
    }
    Ok(Decoded { batch: batch.finish(), rejected })
}

/// Why one line is not taken.
enum Refusal {
    Malformed(DecodeError),
    Other(String),
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// An error of one line, told by its place in the body.
fn in_body(error: DecodeError, start: usize, lines_before: usize) -> DecodeError {
    match error {
        DecodeError::Malformed(malformed) => {
            let position = match malformed.position {
                Some(Position::Text { offset, line, column }) => {
                    Some(Position::Text { offset: offset + start, line: line + lines_before, column })
                }
                other => other,
            };
            DecodeError::Malformed(Box::new(Malformed { position, ..*malformed }))
        }
        other => other,
    }
}

fn take_object<'a>(
    text: &'a [u8],
    objects: &mut ObjectReader<'_, 'a>,
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
) -> Result<(), Refusal> {
    let mut json = JsonReader::new(text, context.limits.request.json_depth_max);
    objects.read(&mut json)?;
    json.finish()?;
    objects.push(text, Around::default(), context, batch).map_err(Refusal::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

    fn decode_text(body: &str) -> Result<Decoded, DecodeError> {
        decode(body.as_bytes(), &FieldMapping::default(), &TestContext::new().context())
    }

    #[test]
    fn fields_become_line_time_labels_and_metadata() {
        let now = RECEIVED_AT.as_nanos();
        let cases = [
            (
                r#"{"message":"hi","timestamp":"1970-01-01T00:00:01Z","app":"api","n":1.50,"o":{ "a":[1]},"z":null,"b":true}"#,
                r#"1000000000 {app="api", service_name="api"} hi n=1.50 o_a=[1] b=true detected_level=unknown"#
                    .to_owned(),
            ),
            (
                r#"{"level":"WARN","msg":"x"}"#,
                format!(r#"{now} {{level="WARN", service_name="unknown_service"}} x detected_level=warn"#),
            ),
            (
                r#" {"a.b":"c"} "#,
                format!(r#"{now} {{service_name="unknown_service"}} {{\"a.b\":\"c\"}} a_b=c detected_level=unknown"#),
            ),
            (r#"{"msg":"1","ts":1}"#, r#"1000000000 {service_name="unknown_service"} 1 detected_level=unknown"#.to_owned()),
        ];
        for (body, expected) in cases {
            let decoded = decode_text(body).expect(body);
            assert!(decoded.rejected.is_empty(), "{}", decoded.rejected.grouped());
            assert_eq!(rows_of(&decoded.batch), [expected], "{body}");
        }
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_and_its_neighbours_are_kept() {
        let body = "{\"msg\":\"1\"}\n\n{\"msg\":2\n[1]\r\n{\"msg\":\"3\",\"ts\":\"soon\"}\n{\"app\":[1]}\n{\"msg\":\"4\"}\n";
        let decoded = decode_text(body).expect("neighbours are kept");
        let lines: Vec<_> = decoded.batch.rows.iter().map(|row| row.line().to_vec()).collect();
        assert_eq!(lines, [b"1", b"4"]);
        let reasons: Vec<_> =
            decoded.rejected.described.iter().map(|r| (r.index, r.reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                (1, "expected `,` or `}`, found the end of the JSON text at line 3, column 9 (byte 21)"),
                (2, "expected an object, found an array at line 4, column 1 (byte 22)"),
                (3, "line 5: field `ts` is not a time: \"soon\""),
                (4, "line 6: label `app` is an array, not text"),
            ]
        );
    }

    #[test]
    fn one_object_may_have_many_lines() {
        let test = TestContext::new();
        let one = |body: &str| decode_object(body.as_bytes(), &FieldMapping::default(), &test.context());
        let decoded = one("{\n \"msg\": \"1\"\n}\n").expect("an object");
        assert_eq!(decoded.batch.rows.get(0).line(), b"1");
        assert!(one("{\"msg\":1}{}").is_err() && one("").is_err());
        assert_eq!(one("{\"msg\":\"1\",\"ts\":\"soon\"}").expect("an object").rejected.count, 1);
    }

    #[test]
    fn an_empty_body_is_told_apart_from_a_bad_one() {
        for body in ["", "\n\r\n "] {
            assert_eq!(
                decode_text(body).expect_err("empty"),
                DecodeError::Empty("body holds no JSON object")
            );
        }
        let decoded = decode_text("no json").expect("a refused line");
        assert_eq!((decoded.batch.rows.len(), decoded.rejected.count), (0, 1));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept() {
        let mapping = FieldMapping { line_fields: vec!["text".to_owned()], ..FieldMapping::default() };
        let test = TestContext::new();
        let decoded = decode(b"{\"text\":\"\xff\"}", &mapping, &test.context()).expect("valid");
        assert_eq!(decoded.batch.rows.get(0).line(), b"\xff");
    }
}
