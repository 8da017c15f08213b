//! Loki's answers to queries: streams, matrix, vector and scalar, label lists and series.
//!
//! Answers are written piece by piece from iterators, so that nothing is built only to be printed. Bytes
//! that are not UTF-8 come out as U+FFFD; who asks for [`EXACT_LINES`] gets the bytes of such lines beside them.
//!
//! <https://grafana.com/docs/loki/latest/reference/loki-http-api/#query-logs-within-a-range-of-time>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use timberyard_model::Timestamp;

use crate::json_text::{write_integer, write_key, write_string};
use crate::loki_query_stats::{QueryStats, write_stats};
use crate::prometheus_text::{write_seconds, write_value};
use crate::step_texts::StepTexts;

/// The header by which a client asks for labels by where they come from.
pub const ENCODING_FLAGS_HEADER: &str = "X-Loki-Response-Encoding-Flags";
/// The value of that header, and its echo in the answer.
pub const CATEGORIZE_LABELS: &str = "categorize-labels";

/// Timberyard's own flag in the same header, which Loki passes over: a line that is not UTF-8 is followed by an
/// object with its bytes, `[time, line, {"lineBase64":…}]`.
pub const EXACT_LINES: &str = "exact-lines";

/// Timberyard's own member of `data`: where a log query goes on, or null, for clients that ask with `cursor=`.
pub const NEXT_CURSOR: &str = "nextCursor";

/// Whether the value of the header asks for [`EXACT_LINES`].
pub fn wants_exact_lines(header: &str) -> bool {
    header.split(',').any(|flag| flag.trim() == EXACT_LINES)
}

/// The bytes of a line as `lineBase64`.
pub fn encode_line(line: &[u8]) -> String {
    STANDARD.encode(line)
}

/// The bytes of a line from its `lineBase64`; `None` when that is not base64.
pub fn decode_line(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Whether the labels of lines are written with their stream or beside each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelEncoding {
    /// Every stream has all labels of its lines; a line is `[time, line]`.
    Merged,
    /// A stream has its own labels; a line is `[time, line, {"structuredMetadata":…,"parsed":…}]`.
    Categorized,
}

impl LabelEncoding {
    /// From the value of the header: flags with commas between them.
    pub fn from_flags(header: &str) -> Self {
        match header.split(',').any(|flag| flag.trim() == CATEGORIZE_LABELS) {
            true => Self::Categorized,
            false => Self::Merged,
        }
    }
}

/// The array of streams, in query answers and in tail frames alike.
#[derive(Debug)]
pub struct StreamsWriter {
    out: Vec<u8>,
    encoding: LabelEncoding,
    exact_lines: bool,
    streams: usize,
    entries: usize,
}

impl StreamsWriter {
    pub(crate) fn new(mut out: Vec<u8>, encoding: LabelEncoding) -> Self {
        out.push(b'[');
        Self { out, encoding, exact_lines: false, streams: 0, entries: 0 }
    }

    /// Begins a stream with these labels, each name once.
    pub fn stream<'l>(&mut self, labels: impl IntoIterator<Item = (&'l str, &'l str)>) {
        self.end_stream();
        separate(&mut self.out, self.streams);
        self.streams += 1;
        self.entries = 0;
        self.out.extend_from_slice(br#"{"stream":"#);
        write_labels(&mut self.out, labels);
        self.out.extend_from_slice(br#","values":["#);
    }

    /// Adds a line to the stream that was begun last. `metadata` and `parsed` are written only when labels
    /// are categorized.
    pub fn entry<'l, M: AsRef<[u8]>, P: AsRef<[u8]>>(
        &mut self,
        timestamp: Timestamp,
        line: &[u8],
        metadata: impl IntoIterator<Item = (&'l str, M)>,
        parsed: impl IntoIterator<Item = (&'l str, P)>,
    ) {
        let out = &mut self.out;
        separate(out, self.entries);
        self.entries += 1;
        out.extend_from_slice(b"[\"");
        write_integer(out, timestamp.as_nanos());
        out.extend_from_slice(b"\",");
        write_string(out, line);
        let adds_bytes = self.exact_lines && std::str::from_utf8(line).is_err();
        if self.encoding == LabelEncoding::Categorized || adds_bytes {
            out.extend_from_slice(b",{");
            if adds_bytes {
                write_key(out, "lineBase64");
                write_string(out, encode_line(line).as_bytes());
            }
            if self.encoding == LabelEncoding::Categorized {
                let has_members =
                    write_category(out, "structuredMetadata", metadata, adds_bytes) || adds_bytes;
                write_category(out, "parsed", parsed, has_members);
            }
            out.push(b'}');
        }
        out.push(b']');
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.end_stream();
        self.out.push(b']');
        self.out
    }

    fn end_stream(&mut self) {
        if self.streams > 0 {
            self.out.extend_from_slice(b"]}");
        }
    }
}

/// The answer to a log query.
#[derive(Debug)]
pub struct StreamsAnswer(StreamsWriter);

impl StreamsAnswer {
    /// Begins the answer. `next_cursor` is there when the client asked for it, and empty on the last page.
    pub fn new(encoding: LabelEncoding, warnings: &[String], next_cursor: Option<Option<&str>>) -> Self {
        let mut out = answer_start("streams", warnings);
        if let Some(cursor) = next_cursor {
            write_key(&mut out, NEXT_CURSOR);
            match cursor {
                Some(cursor) => write_string(&mut out, cursor.as_bytes()),
                None => out.extend_from_slice(b"null"),
            }
            out.push(b',');
        }
        if encoding == LabelEncoding::Categorized {
            write_key(&mut out, "encodingFlags");
            out.extend_from_slice(br#"["categorize-labels"],"#);
        }
        write_key(&mut out, "result");
        Self(StreamsWriter::new(out, encoding))
    }

    /// Whether lines that are not UTF-8 are followed by their bytes.
    #[must_use]
    pub fn with_exact_lines(mut self, exact_lines: bool) -> Self {
        self.0.exact_lines = exact_lines;
        self
    }

    /// Where streams and lines go.
    pub fn streams(&mut self) -> &mut StreamsWriter {
        &mut self.0
    }

    /// The whole answer.
    pub fn finish(self, stats: &QueryStats) -> Vec<u8> {
        answer_end(self.0.finish(), stats)
    }
}

/// The answer to a metric query over a range.
#[derive(Debug)]
pub struct MatrixAnswer {
    out: Vec<u8>,
    series: usize,
    steps: StepTexts,
}

impl MatrixAnswer {
    /// Begins the answer.
    pub fn new(warnings: &[String]) -> Self {
        let mut out = answer_start("matrix", warnings);
        out.extend_from_slice(br#""result":["#);
        Self { out, series: 0, steps: StepTexts::default() }
    }

    /// Adds a series, whose points are in the order of time.
    pub fn series<'l>(
        &mut self,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        points: impl IntoIterator<Item = (Timestamp, f64)>,
    ) {
        separate(&mut self.out, self.series);
        self.series += 1;
        self.out.extend_from_slice(br#"{"metric":"#);
        write_labels(&mut self.out, labels);
        self.out.extend_from_slice(br#","values":["#);
        let mut place = 0;
        for (i, (time, value)) in points.into_iter().enumerate() {
            self.out.extend_from_slice(if i == 0 { &b"["[..] } else { &b",["[..] });
            self.steps.append(time, &mut place, &mut self.out);
            write_point_end(&mut self.out, value);
        }
        self.out.extend_from_slice(b"]}");
    }

    /// The whole answer.
    pub fn finish(mut self, stats: &QueryStats) -> Vec<u8> {
        self.out.push(b']');
        answer_end(self.out, stats)
    }
}

/// The answer to a metric query at one time.
#[derive(Debug)]
pub struct VectorAnswer {
    out: Vec<u8>,
    samples: usize,
}

impl VectorAnswer {
    /// Begins the answer.
    pub fn new(warnings: &[String]) -> Self {
        let mut out = answer_start("vector", warnings);
        out.extend_from_slice(br#""result":["#);
        Self { out, samples: 0 }
    }

    /// Adds the value of one series.
    pub fn sample<'l>(
        &mut self,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        time: Timestamp,
        value: f64,
    ) {
        separate(&mut self.out, self.samples);
        self.samples += 1;
        self.out.extend_from_slice(br#"{"metric":"#);
        write_labels(&mut self.out, labels);
        self.out.extend_from_slice(br#","value":"#);
        write_point(&mut self.out, time, value);
        self.out.push(b'}');
    }

    /// The whole answer.
    pub fn finish(mut self, stats: &QueryStats) -> Vec<u8> {
        self.out.push(b']');
        answer_end(self.out, stats)
    }
}

/// The answer to a query that is a number.
pub fn scalar_answer(time: Timestamp, value: f64, warnings: &[String], stats: &QueryStats) -> Vec<u8> {
    let mut out = answer_start("scalar", warnings);
    write_key(&mut out, "result");
    write_point(&mut out, time, value);
    answer_end(out, stats)
}

/// The answer to a question about label names or values. As from Loki, an empty list is left out.
pub fn labels_answer<'l>(values: impl IntoIterator<Item = &'l str>) -> Vec<u8> {
    let mut out = br#"{"status":"success""#.to_vec();
    let mut count = 0;
    for value in values {
        out.extend_from_slice(if count == 0 { br#","data":["# } else { b"," });
        write_string(&mut out, value.as_bytes());
        count += 1;
    }
    out.extend_from_slice(if count == 0 { b"}\n" } else { b"]}\n" });
    out
}

/// The answer to a question about series: the labels of each.
pub fn series_answer<'l, L>(series: impl IntoIterator<Item = L>) -> Vec<u8>
where
    L: IntoIterator<Item = (&'l str, &'l str)>,
{
    let mut out = br#"{"status":"success","data":["#.to_vec();
    for (i, labels) in series.into_iter().enumerate() {
        separate(&mut out, i);
        write_labels(&mut out, labels);
    }
    out.extend_from_slice(b"]}\n");
    out
}

/// Appends labels as a JSON object.
pub fn write_labels<'l>(out: &mut Vec<u8>, labels: impl IntoIterator<Item = (&'l str, &'l str)>) {
    write_object(out, labels);
}

fn write_object<'l, V: AsRef<[u8]>>(out: &mut Vec<u8>, pairs: impl IntoIterator<Item = (&'l str, V)>) {
    out.push(b'{');
    for (i, (name, value)) in pairs.into_iter().enumerate() {
        separate(out, i);
        write_key(out, name);
        write_string(out, value.as_ref());
    }
    out.push(b'}');
}

/// Appends one kind of labels of a line, after a comma if `comma`; nothing when there are none, which it says.
fn write_category<'l, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    name: &str,
    pairs: impl IntoIterator<Item = (&'l str, V)>,
    comma: bool,
) -> bool {
    let mut pairs = pairs.into_iter().peekable();
    let any = pairs.peek().is_some();
    if any {
        separate(out, usize::from(comma));
        write_key(out, name);
        write_object(out, pairs);
    }
    any
}

fn write_point(out: &mut Vec<u8>, time: Timestamp, value: f64) {
    out.push(b'[');
    write_seconds(out, time);
    write_point_end(out, value);
}

fn write_point_end(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(b",\"");
    write_value(out, value);
    out.extend_from_slice(b"\"]");
}

fn answer_start(result_type: &str, warnings: &[String]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(br#"{"status":"success","#);
    if !warnings.is_empty() {
        out.extend_from_slice(br#""warnings":["#);
        for (i, warning) in warnings.iter().enumerate() {
            separate(&mut out, i);
            write_string(&mut out, warning.as_bytes());
        }
        out.extend_from_slice(b"],");
    }
    out.extend_from_slice(br#""data":{"resultType":""#);
    out.extend_from_slice(result_type.as_bytes());
    out.extend_from_slice(b"\",");
    out
}

fn answer_end(mut out: Vec<u8>, stats: &QueryStats) -> Vec<u8> {
    out.extend_from_slice(br#","stats":"#);
    write_stats(&mut out, stats);
    out.extend_from_slice(b"}}\n");
    out
}

/// The comma before every member but the first.
fn separate(out: &mut Vec<u8>, members_before: usize) {
    if members_before > 0 {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NONE: [(&str, &[u8]); 0] = [];
    const TIME: Timestamp = Timestamp::from_nanos(1_793_491_200_500_000_001);

    fn data(answer: &[u8]) -> Value {
        let answer: Value = serde_json::from_slice(answer).expect("valid JSON");
        assert_eq!(answer["status"], "success");
        assert!(answer["data"]["stats"]["summary"].is_object());
        let mut data = answer["data"].clone();
        data.as_object_mut().expect("an object").remove("stats");
        data
    }

    #[test]
    fn streams_have_lines_in_their_order() {
        let mut answer = StreamsAnswer::new(LabelEncoding::Merged, &[], None);
        answer.streams().stream([("app", "api"), ("k", "\"")]);
        answer.streams().entry(TIME, b"a\xff\n", [("m", &b"x"[..])], NONE);
        answer.streams().entry(Timestamp::from_nanos(-1), b"", NONE, NONE);
        answer.streams().stream([]);
        assert_eq!(
            data(&answer.finish(&QueryStats::default())),
            json!({"resultType": "streams", "result": [
                {"stream": {"app": "api", "k": "\""}, "values": [["1793491200500000001", "a\u{fffd}\n"], ["-1", ""]]},
                {"stream": {}, "values": []},
            ]})
        );
        let empty = StreamsAnswer::new(LabelEncoding::Merged, &[], None).finish(&QueryStats::default());
        assert_eq!(data(&empty), json!({"resultType": "streams", "result": []}));
        for cursor in [Some("next"), None] {
            let page = StreamsAnswer::new(LabelEncoding::Merged, &[], Some(cursor));
            let page = data(&page.finish(&QueryStats::default()));
            assert_eq!(page, json!({"resultType": "streams", "nextCursor": cursor, "result": []}));
        }
    }

    #[test]
    fn bytes_of_lines_that_are_not_utf8_stand_beside_them_when_asked_for() {
        assert_eq!((decode_line("/w=="), decode_line("-")), (Some(vec![0xff]), None));
        assert!(wants_exact_lines("categorize-labels, exact-lines") && !wants_exact_lines("exact"));
        for (encoding, metadata) in [
            (LabelEncoding::Merged, json!({})),
            (LabelEncoding::Categorized, json!({"structuredMetadata": {"m": "1"}})),
        ] {
            let mut answer = StreamsAnswer::new(encoding, &[], None).with_exact_lines(true);
            answer.streams().stream([("a", "b")]);
            answer.streams().entry(TIME, b"\xff", [("m", &b"1"[..])], NONE);
            answer.streams().entry(TIME, b"text", NONE, NONE);
            let values = data(&answer.finish(&QueryStats::default()))["result"][0]["values"].clone();
            let mut expected = json!({"lineBase64": "/w=="});
            for (name, value) in metadata.as_object().expect("an object") {
                expected[name] = value.clone();
            }
            assert_eq!(values[0][1], "\u{fffd}");
            assert_eq!(values[0][2], expected, "{encoding:?}");
            assert!(values[1].get(2).is_none_or(|object| object.get("lineBase64").is_none()), "{values}");
        }
    }

    #[test]
    fn categorized_labels_stand_beside_each_line() {
        assert_eq!(LabelEncoding::from_flags("x, categorize-labels"), LabelEncoding::Categorized);
        assert_eq!(LabelEncoding::from_flags(""), LabelEncoding::Merged);
        let mut answer = StreamsAnswer::new(LabelEncoding::Categorized, &["careful".to_owned()], None);
        answer.streams().stream([("app", "api")]);
        answer.streams().entry(TIME, b"a", [("m", &b"1"[..]), ("n", b"2")], [("p", &b"3"[..])]);
        answer.streams().entry(TIME, b"b", NONE, [("p", &b"3"[..])]);
        answer.streams().entry(TIME, b"c", [("m", &b"1"[..])], NONE);
        answer.streams().entry(TIME, b"d", NONE, NONE);
        let answer = answer.finish(&QueryStats::default());
        let time = "1793491200500000001";
        assert_eq!(
            data(&answer),
            json!({"resultType": "streams", "encodingFlags": ["categorize-labels"], "result": [
                {"stream": {"app": "api"}, "values": [
                    [time, "a", {"structuredMetadata": {"m": "1", "n": "2"}, "parsed": {"p": "3"}}],
                    [time, "b", {"parsed": {"p": "3"}}],
                    [time, "c", {"structuredMetadata": {"m": "1"}}],
                    [time, "d", {}],
                ]},
            ]})
        );
        let answer: Value = serde_json::from_slice(&answer).expect("valid JSON");
        assert_eq!(answer["warnings"], json!(["careful"]));
    }

    #[test]
    fn metric_answers_have_points_as_prometheus_writes_them() {
        let stats = QueryStats::default();
        let mut matrix = MatrixAnswer::new(&[]);
        matrix.series([("app", "api")], [(TIME, 0.25), (Timestamp::from_nanos(0), f64::NAN)]);
        matrix.series([], []);
        assert_eq!(
            data(&matrix.finish(&stats)),
            json!({"resultType": "matrix", "result": [
                {"metric": {"app": "api"}, "values": [[1_793_491_200.5, "0.25"], [0, "NaN"]]},
                {"metric": {}, "values": []},
            ]})
        );
        let mut vector = VectorAnswer::new(&[]);
        vector.sample([("app", "api")], TIME, f64::INFINITY);
        assert_eq!(
            data(&vector.finish(&stats)),
            json!({"resultType": "vector", "result": [{"metric": {"app": "api"}, "value": [1_793_491_200.5, "+Inf"]}]})
        );
        assert_eq!(
            data(&scalar_answer(TIME, 2.0, &[], &stats)),
            json!({"resultType": "scalar", "result": [1_793_491_200.5, "2"]})
        );
    }

    #[test]
    fn label_lists_and_series_have_lokis_form() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        assert_eq!(
            text(labels_answer(["app", "e[n]v"])),
            "{\"status\":\"success\",\"data\":[\"app\",\"e[n]v\"]}\n"
        );
        assert_eq!(text(labels_answer([])), "{\"status\":\"success\"}\n");
        let series = series_answer([vec![("a", "1"), ("b", "2")], vec![]]);
        assert_eq!(text(series), "{\"status\":\"success\",\"data\":[{\"a\":\"1\",\"b\":\"2\"},{}]}\n");
        assert_eq!(text(series_answer([[("a", "b"); 1]; 0])), "{\"status\":\"success\",\"data\":[]}\n");
    }
}
