//! One plain function for each decoder, for fuzzers: bytes in, no panic, and what must hold holds.
//!
//! A coverage-guided fuzzer calls them one by one; the test below runs each on a committed corpus and on seeded
//! mutations of it, on stable Rust; with `TIMBERYARD_TORTURE` set it does that for long.

use std::borrow::Cow;

use timberyard_model::{Labels, Limits, LogBatch, RowRef, TenantId, Timestamp};

use crate::compression::{Compression, inflate};
use crate::context::{DecodeContext, Decoded};
use crate::datadog::DatadogSource;
use crate::field_mapping::FieldMapping;
use crate::gelf_framing::{GelfPackets, GelfStream};
use crate::journal_export::JournalUpload;
use crate::json::{JsonKind, JsonReader};
use crate::level_detection::LevelDetector;
use crate::loki_query_params::{Parameters, parse_seconds_or_duration};
use crate::msgpack::{MsgpackReader, ValueEnd};
use crate::splunk_hec::EventSource;
use crate::syslog_stream::SyslogStream;
use crate::{
    alertmanager, batch_record, change66, datadog, elasticsearch, file_line, firehose, fluent,
    fluent_handshake, gelf, grpc_frame, json_text, label_text, log_record, loggo, logpulse, logstream,
    logtopus, loki_push_json, loki_push_proto, metadata_name, ndjson, origin_header, otlp_json, otlp_proto,
    received_record, splunk_hec, timberyard_push, v1_logs,
};

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// All targets by name; the corpus of each is the folder of that name under `corpus`.
pub const ALL: [(&str, Target); 32] = [
    ("alertmanager", fuzz_alertmanager),
    ("batch_record", fuzz_batch_record),
    ("change66", fuzz_change66),
    ("compression", fuzz_compression),
    ("datadog", fuzz_datadog),
    ("elasticsearch", fuzz_elasticsearch),
    ("file_line", file_line::fuzz),
    ("firehose", fuzz_firehose),
    ("fluent", fuzz_fluent),
    ("fluent_handshake", fuzz_fluent_handshake),
    ("gelf", fuzz_gelf),
    ("grpc_frame", fuzz_grpc_frame),
    ("journal_export", fuzz_journal_export),
    ("json", fuzz_json),
    ("label_text", fuzz_label_text),
    ("level_detection", fuzz_level_detection),
    ("loggo", fuzz_loggo),
    ("logpulse", fuzz_logpulse),
    ("logstream", fuzz_logstream),
    ("logtopus", fuzz_logtopus),
    ("loki_push_json", fuzz_loki_push_json),
    ("loki_push_proto", fuzz_loki_push_proto),
    ("loki_push_snappy", fuzz_loki_push_snappy),
    ("loki_query_params", fuzz_loki_query_params),
    ("ndjson", fuzz_ndjson),
    ("origin_header", fuzz_origin_header),
    ("otlp_json", fuzz_otlp_json),
    ("otlp_proto", fuzz_otlp_proto),
    ("splunk_hec", fuzz_splunk_hec),
    ("syslog", fuzz_syslog),
    ("timberyard_push", fuzz_timberyard_push),
    ("v1_logs", fuzz_v1_logs),
];

/// The cap on inflated bodies here, in bytes: small, so that it is reached.
const INFLATED_BYTES_MAX: usize = 1 << 16;

/// Runs `f` with limits that small inputs reach.
fn with_context<R>(f: impl FnOnce(&DecodeContext<'_>) -> R) -> R {
    let mut limits = Limits::default();
    limits.request.inflated_bytes_max = INFLATED_BYTES_MAX;
    limits.request.json_depth_max = 8;
    limits.request.events_max = 3;
    limits.record.line_bytes_max = 100;
    limits.record.label_names_max = 4;
    limits.record.metadata_pairs_max = 3;
    limits.record.metadata_bytes_max = 60;
    f(&DecodeContext {
        tenant: &TenantId::default(),
        received_at: Timestamp::from_nanos(1_795_168_800_000_000_000),
        client_ip: Some("192.0.2.7"),
        node_id: "node",
        limits: &limits,
        discover_service_name: true,
        detect_level: true,
        label_attributes: crate::LabelAttributes::loki(),
    })
}

/// Whether a level was detected; as in Loki none is where metadata that speaks of it is empty.
fn says_its_level(row: RowRef<'_>) -> bool {
    row.metadata_value("detected_level").is_some() || row.metadata().any(|(_, value)| value.is_empty())
}

/// What must hold of every batch that a decoder gives.
fn check_batch(batch: &LogBatch, context: &DecodeContext<'_>) {
    let record = &context.limits.record;
    for row in batch.rows.iter() {
        assert!(row.line().len() <= record.line_bytes_max);
        assert!(row.metadata().len() <= record.metadata_pairs_max + 1);
        assert!(row.labels().get("service_name").is_some());
        assert!(says_its_level(row));
    }
    let again = batch_record::decode(&batch_record::encode(batch)).expect("a record that was just written");
    assert!(again.rows.iter().eq(batch.rows.iter()));
}

/// The same of formats whose objects and stack traces are metadata, as long as a line may be.
fn check_mapped(batch: &LogBatch, context: &DecodeContext<'_>) {
    let line_bytes_max = context.limits.record.line_bytes_max;
    for row in batch.rows.iter() {
        assert!(row.line().len() <= line_bytes_max);
        assert!(row.labels().get("service_name").is_some());
        assert!(says_its_level(row));
    }
}

fn check_decoded(decoded: &Decoded, context: &DecodeContext<'_>) {
    check_batch(&decoded.batch, context);
    assert!(decoded.rejected.count >= decoded.rejected.described.len() as u64);
    assert_eq!(decoded.rejected.is_empty(), decoded.rejected.grouped().is_empty());
}

/// Alertmanager's webhooks.
pub fn fuzz_alertmanager(data: &[u8]) {
    with_context(|context| {
        if let Ok(batch) = alertmanager::decode(data, context) {
            check_mapped(&batch, context);
        }
    });
}

/// Log records: what reads is written again to the same rows.
pub fn fuzz_batch_record(data: &[u8]) {
    if let Ok(batch) = log_record::decode(data) {
        let again =
            batch_record::decode(&batch_record::encode(&batch)).expect("a record that was just written");
        assert!(again.rows.iter().eq(batch.rows.iter()));
        assert_eq!(again.unique_keys, batch.unique_keys);
    }
}

/// Change66 events, one and many.
pub fn fuzz_change66(data: &[u8]) {
    with_context(|context| change66::fuzz(data, context));
}

/// Every compression: never more than the cap.
pub fn fuzz_compression(data: &[u8]) {
    let all = [Compression::Gzip, Compression::Deflate, Compression::Zstd, Compression::Snappy];
    for compression in all {
        if let Ok(body) = inflate(data, compression, INFLATED_BYTES_MAX) {
            assert!(body.len() <= INFLATED_BYTES_MAX);
            assert!(body.capacity_bytes() <= INFLATED_BYTES_MAX);
        }
    }
}

trait CapacityBytes {
    fn capacity_bytes(&self) -> usize;
}

impl CapacityBytes for Cow<'_, [u8]> {
    fn capacity_bytes(&self) -> usize {
        match self {
            Cow::Borrowed(_) => 0,
            Cow::Owned(bytes) => bytes.capacity(),
        }
    }
}

/// Datadog's logs, as JSON and as text.
pub fn fuzz_datadog(data: &[u8]) {
    with_context(|context| {
        let source = DatadogSource::default();
        if let Ok(decoded) = datadog::decode_json(data, &source, context) {
            check_mapped(&decoded.batch, context);
        }
        if let Ok(batch) = datadog::decode_text(data, &source, context) {
            check_mapped(&batch, context);
        }
    });
}

/// Elasticsearch's bulk bodies: as many answers as actions, as many rows as those that were done.
pub fn fuzz_elasticsearch(data: &[u8]) {
    with_context(|context| {
        if let Ok(bulk) = elasticsearch::decode_bulk(data, None, &FieldMapping::default(), context) {
            check_mapped(&bulk.batch, context);
            let done = bulk.items.iter().filter(|item| item.refused.is_none()).count();
            assert_eq!(done, bulk.batch.rows.len());
            let answer = elasticsearch::bulk_answer(&bulk.items, "id", 1);
            let answer: serde_json::Value = serde_json::from_slice(&answer).expect("the answer is JSON");
            assert_eq!(answer["items"].as_array().map(Vec::len), Some(bulk.items.len()));
        }
    });
}

/// Requests of Amazon Data Firehose.
pub fn fuzz_firehose(data: &[u8]) {
    with_context(|context| {
        let request = firehose::decode(data, None, context, |_| Ok::<_, crate::DecodeError>(()));
        if let Ok(request) = request {
            check_mapped(&request.batch, context);
        }
    });
}

/// Frames of gRPC, and the messages of our own push in them.
pub fn fuzz_grpc_frame(data: &[u8]) {
    grpc_frame::fuzz(data, INFLATED_BYTES_MAX);
    let message = data.get(grpc_frame::Prefix::BYTES..).unwrap_or_default();
    if timberyard_push::head(message).is_ok() {
        fuzz_loki_push_proto(message);
    }
}

/// Fluent's messages: where a value ends is where its reader stops.
pub fn fuzz_fluent(data: &[u8]) {
    with_context(|context| {
        if let Ok(message) = fluent::decode(data, context) {
            check_mapped(&message.events.batch, context);
        }
        let mut reader = MsgpackReader::new(data);
        if reader.value(8).is_ok() {
            let end = ValueEnd::default().find(data).expect("a value that was read");
            assert_eq!(end, Some(reader.offset()));
        }
    });
}

/// What Fluent's clients answer to the greeting.
pub fn fuzz_fluent_handshake(data: &[u8]) {
    if let Ok(ping) = fluent_handshake::decode_ping(data) {
        assert!(ping.host.len() + ping.salt.len() + ping.digest.len() <= data.len());
    }
}

/// GELF: a message, a packet, and a stream in pieces, which holds what the whole one holds.
pub fn fuzz_gelf(data: &[u8]) {
    with_context(|context| {
        check_mapped(&gelf::decode([data], context).batch, context);
        let mut packets = GelfPackets::default();
        for packet in data.split(|byte| *byte == b'\n') {
            if let Ok(Some(message)) = packets.take(packet, None, context.received_at) {
                check_mapped(&gelf::decode([&*message], context).batch, context);
            }
        }
        let whole = GelfStream::default().read(data).messages;
        let mut stream = GelfStream::default();
        let pieces: Vec<_> = data.chunks(3).flat_map(|piece| stream.read(piece).messages).collect();
        assert_eq!(whole, pieces);
    });
}

/// journald's export, whole and in pieces.
pub fn fuzz_journal_export(data: &[u8]) {
    with_context(|context| {
        let rows = |piece: usize| {
            let mut upload = JournalUpload::default();
            let mut rows = Vec::new();
            for piece in data.chunks(piece) {
                let Ok(decoded) = upload.read(piece, context) else { return None };
                check_mapped(&decoded.batch, context);
                rows.extend(decoded.batch.rows.iter().map(|row| format!("{row:?}")));
            }
            Some(rows)
        };
        assert_eq!(rows(data.len().max(1)), rows(3));
    });
}

/// The JSON reader: skipping and walking agree, with each other and with serde.
pub fn fuzz_json(data: &[u8]) {
    const DEPTH_MAX: usize = 100;
    let mut skipping = JsonReader::new(data, DEPTH_MAX);
    let skipped = skipping.raw().and_then(|raw| skipping.finish().map(|()| raw));
    let mut walking = JsonReader::new(data, DEPTH_MAX);
    let mut rewritten = Vec::new();
    let walked = walk(&mut walking, &mut rewritten).and_then(|()| walking.finish());
    assert_eq!(skipped.is_ok(), walked.is_ok());
    let serde = serde_json::from_slice::<serde_json::Value>(data);
    if let Ok(raw) = skipped {
        let mut compact = Vec::new();
        json_text::write_compact(&mut compact, raw);
        assert!(JsonReader::new(&compact, DEPTH_MAX).skip().is_ok());
        let parsed = serde_json::from_slice::<serde_json::Value>(&rewritten);
        if let (Ok(one), Ok(other)) = (serde, parsed) {
            assert_eq!(one, other, "what was read is what serde reads");
        }
    } else if let Ok(value) = serde {
        panic!("serde takes {value}");
    }
}

/// Reads a value and writes it again.
fn walk(reader: &mut JsonReader<'_>, out: &mut Vec<u8>) -> Result<(), crate::DecodeError> {
    match reader.peek()? {
        JsonKind::Object => {
            reader.begin_object()?;
            out.push(b'{');
            let mut first = true;
            while let Some(key) = reader.next_key()? {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                json_text::write_string(out, &key);
                out.push(b':');
                walk(reader, out)?;
            }
            out.push(b'}');
        }
        JsonKind::Array => {
            reader.begin_array()?;
            out.push(b'[');
            let mut first = true;
            while reader.next_element()? {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                walk(reader, out)?;
            }
            out.push(b']');
        }
        JsonKind::String => json_text::write_string(out, &reader.string()?),
        JsonKind::Number => out.extend_from_slice(reader.number()?.as_bytes()),
        JsonKind::Boolean => out.extend_from_slice(if reader.boolean()? { b"true" } else { b"false" }),
        JsonKind::Null => {
            reader.null()?;
            out.extend_from_slice(b"null");
        }
    }
    Ok(())
}

/// Labels as text: what is shown reads back.
pub fn fuzz_label_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(pairs) = label_text::parse(text) {
        let shown = label_text::write(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        assert_eq!(label_text::parse(&shown), Ok(pairs));
    }
    if let Ok(name) = metadata_name::sanitized(text) {
        assert!(timberyard_model::labels::is_label_name(&name));
        assert_eq!(metadata_name::sanitized(&name).as_deref(), Ok(&*name));
    }
}

/// Level detection: every line has a level or is unknown.
pub fn fuzz_level_detection(data: &[u8]) {
    const LEVELS: [&[u8]; 8] =
        [b"trace", b"debug", b"info", b"warn", b"error", b"critical", b"fatal", b"unknown"];
    let detector = LevelDetector::new(&Labels::default());
    let level = detector.detect(&[], data).expect("no metadata says it");
    assert!(LEVELS.contains(&level));
}

/// log-go's entries.
pub fn fuzz_loggo(data: &[u8]) {
    with_context(|context| loggo::fuzz(data, context));
}

/// LogPulse's streams.
pub fn fuzz_logpulse(data: &[u8]) {
    with_context(|context| logpulse::fuzz(data, context));
}

/// LogStream's logs.
pub fn fuzz_logstream(data: &[u8]) {
    with_context(|context| logstream::fuzz(data, context));
}

/// Logtopus' entries.
pub fn fuzz_logtopus(data: &[u8]) {
    with_context(|context| logtopus::fuzz(data, context));
}

/// Loki pushes as JSON.
pub fn fuzz_loki_push_json(data: &[u8]) {
    with_context(|context| {
        if let Ok(decoded) = loki_push_json::decode(data, context) {
            check_decoded(&decoded, context);
        }
    });
}

/// Loki pushes as protobuf, not compressed.
pub fn fuzz_loki_push_proto(data: &[u8]) {
    with_context(|context| {
        if let Ok(decoded) = loki_push_proto::decode_message(data, context) {
            check_decoded(&decoded, context);
        }
    });
}

/// Loki pushes as they are sent.
pub fn fuzz_loki_push_snappy(data: &[u8]) {
    with_context(|context| {
        if let Ok(decoded) = loki_push_proto::decode(data, context) {
            check_decoded(&decoded, context);
            let received = loki_push_proto::received(data, context);
            let record = received_record::encode(&received, context.tenant, context.received_at);
            let again = received_record::decode(&record).expect("a body that was decoded once");
            assert!(again.rows.iter().eq(decoded.batch.rows.iter()));
        }
    });
}

/// Query parameters, as `name=value` with `&` between them.
pub fn fuzz_loki_query_params(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pairs: Vec<(String, String)> = text
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let parameters = Parameters(&pairs);
    let now = Timestamp::from_nanos(1_795_168_800_000_000_000);
    if let Ok(range) = parameters.range_query(now, 11_000) {
        assert!(range.start <= range.end && range.step_nanos > 0 && range.interval_nanos >= 0);
        assert!(range.limit > 0);
    }
    let _ = parameters.instant_query(now);
    let _ = parameters.label_query(now);
    let _ = parameters.series_query(now);
    let _ = parameters.tail_query(now);
    let _ = parse_seconds_or_duration(&text);
}

/// Newline-delimited JSON.
pub fn fuzz_ndjson(data: &[u8]) {
    with_context(|context| {
        let rows = |body: &[u8]| -> Vec<String> {
            let Ok(decoded) = ndjson::decode(body, &FieldMapping::default(), context) else {
                return Vec::new();
            };
            check_mapped(&decoded.batch, context);
            decoded.batch.rows.iter().map(|row| format!("{row:?}")).collect()
        };
        // What the names of one object mean does not depend on those before it.
        let one_by_one: Vec<String> = data.split(|byte| *byte == b'\n').flat_map(rows).collect();
        assert_eq!(rows(data), one_by_one);
    });
}

/// The headers of origins: what reads is written again to the same.
pub fn fuzz_origin_header(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(ranges) = origin_header::read_ranges(text) {
        assert_eq!(origin_header::read_ranges(&origin_header::write_ranges(&ranges)), Ok(ranges));
    }
    if let Ok(ends) = origin_header::read_ends(text) {
        assert_eq!(origin_header::read_ends(&origin_header::write_ends(&ends)), Ok(ends));
    }
}

/// OTLP logs as JSON.
pub fn fuzz_otlp_json(data: &[u8]) {
    with_context(|context| {
        if let Ok(decoded) = otlp_json::decode(data, context) {
            check_decoded(&decoded, context);
        }
    });
}

/// OTLP logs as protobuf.
pub fn fuzz_otlp_proto(data: &[u8]) {
    with_context(|context| {
        if let Ok(decoded) = otlp_proto::decode(data, context) {
            check_decoded(&decoded, context);
        }
    });
}

/// Splunk's events, and the same bytes as raw lines.
pub fn fuzz_splunk_hec(data: &[u8]) {
    with_context(|context| {
        for events in [
            splunk_hec::decode_events(data, context),
            splunk_hec::decode_raw(data, &EventSource::default(), context),
        ] {
            check_mapped(&events.batch, context);
            assert!(!events.batch.rows.is_empty() || events.refused.is_some());
        }
    });
}

/// Streams of syslog: the same messages whether they come at once or byte by byte.
pub fn fuzz_syslog(data: &[u8]) {
    with_context(|context| {
        let lines = |batch: &LogBatch| -> Vec<Vec<u8>> {
            check_mapped(batch, context);
            batch.rows.iter().map(|row| row.line().to_vec()).collect()
        };
        let mut whole = SyslogStream::default();
        let mut at_once = lines(&whole.read(data, context).batch);
        at_once.extend(lines(&whole.finish(context)));
        let mut pieces = SyslogStream::default();
        let mut piecewise = Vec::new();
        for byte in data {
            piecewise.extend(lines(&pieces.read(std::slice::from_ref(byte), context).batch));
        }
        piecewise.extend(lines(&pieces.finish(context)));
        assert_eq!(at_once, piecewise);
    });
}

/// Batches of our own push: their heads, and the streams, which are those of Loki's push.
pub fn fuzz_timberyard_push(data: &[u8]) {
    if let Ok(head) = timberyard_push::head(data) {
        let names: std::collections::BTreeSet<_> = head.origins.iter().map(|origin| &origin.name).collect();
        assert_eq!(names.len(), head.origins.len(), "an origin stands once");
    }
    fuzz_loki_push_proto(data);
}

/// The rule that tells the senders of `/v1/logs` apart.
pub fn fuzz_v1_logs(data: &[u8]) {
    let _ = v1_logs::sender_of(data, 8);
}

#[cfg(test)]
mod tests;
