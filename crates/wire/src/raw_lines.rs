//! Lines of text without anything around them: each is a row of one stream, under the time it was received at.

use crate::context::{DecodeContext, Decoded, Rejections};
use crate::error::DecodeError;
use crate::record_batch::{Record, RecordBatch};
use crate::text_lines::lines;

/// Decodes a body as lines of the stream with these labels. Empty lines are passed over, a carriage return before a line feed is
/// not of the line. Refused lines are in [`Decoded::rejected`].
///
/// # Errors
/// The body holds no line.
pub fn decode(
    body: &[u8],
    labels: &[(&str, &str)],
    context: &DecodeContext<'_>,
) -> Result<Decoded, DecodeError> {
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut rejected = Rejections::default();
    let mut index = 0;
    for line in lines(body).map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        if line.is_empty() {
            continue;
        }
        let metadata: &[(&str, &[u8])] = &[];
        let record = Record { labels, timestamp: context.received_at, line, metadata };
        if let Err(error) = batch.push(&record) {
            rejected.add(index, || error.to_string());
        }
        index += 1;
    }
    if index == 0 {
        return Err(DecodeError::Empty("body holds no line"));
    }
    Ok(Decoded { batch: batch.finish(), rejected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

    #[test]
    fn each_line_is_a_row_and_a_line_too_long_is_refused_alone() {
        let mut test = TestContext::new();
        test.limits.record.line_bytes_max = 10;
        let labels = [("service_name", "web")];
        let body = b"one\r\n\nmuch too long\n error";
        let decoded = decode(body, &labels, &test.context()).expect("there are lines");
        let now = RECEIVED_AT.as_nanos();
        let expected = [
            format!(r#"{now} {{service_name="web"}} one detected_level=unknown"#),
            format!(r#"{now} {{service_name="web"}}  error detected_level=error"#),
        ];
        assert_eq!(rows_of(&decoded.batch), expected);
        assert_eq!(decoded.rejected.described[0].index, 1);
        assert!(matches!(decode(b"\r\n\n", &labels, &test.context()), Err(DecodeError::Empty(_))));
    }
}
