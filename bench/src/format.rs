//! The wire formats: how a sender writes a body of lines, where it sends it, and who reads it.

use serde_json::{Value, json};
use timberyard_wire::datadog::{self, DatadogSource};
use timberyard_wire::field_mapping::FieldMapping;
use timberyard_wire::gelf_framing::GelfStream;
use timberyard_wire::journal_export::JournalUpload;
use timberyard_wire::syslog_stream::SyslogStream;
use timberyard_wire::{
    DecodeContext, change66, elasticsearch, fluent, gelf, loggo, logpulse, logstream, logtopus,
    loki_push_json, loki_push_proto, ndjson, otlp_json, otlp_proto, splunk_hec,
};

use crate::generator::{Line, StreamLabels};
use crate::load::label_text;
use crate::push_body;

/// Decodes one body and says how many rows it held.
pub(crate) type Decode = fn(&[u8], &DecodeContext<'_>) -> Result<usize, String>;

/// Writes bodies of one format.
pub(crate) type Encode = fn(&[StreamLabels], &[Line]) -> Result<Vec<Vec<u8>>, String>;

/// A wire format: how a sender writes a body, and who reads it.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) encode: Encode,
    pub(crate) decode: Decode,
    /// Where it comes in over HTTP, with bodies of any number of lines.
    pub(crate) target: Option<Target>,
}

/// Where a body is sent, and as what.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
}

const fn target(path: &'static str, content_type: &'static str) -> Option<Target> {
    Some(Target { path, content_type })
}

/// Loki's push, as its senders send it.
pub(crate) const LOKI_PUSH: Target =
    Target { path: "/loki/api/v1/push", content_type: "application/x-protobuf" };

pub(crate) const FORMATS: [Format; 18] = [
    Format {
        name: "Loki push, protobuf in snappy",
        encode: loki_proto,
        decode: |body, context| rows(loki_push_proto::decode(body, context).map(|d| d.batch.rows.len())),
        target: Some(LOKI_PUSH),
    },
    Format {
        name: "Loki push, protobuf",
        encode: loki_message,
        decode: |body, context| {
            rows(loki_push_proto::decode_message(body, context).map(|d| d.batch.rows.len()))
        },
        target: None,
    },
    Format {
        name: "Loki push, JSON",
        encode: |streams, lines| Ok(vec![push_body::loki_json(streams, lines)]),
        decode: |body, context| rows(loki_push_json::decode(body, context).map(|d| d.batch.rows.len())),
        target: target("/loki/api/v1/push", "application/json"),
    },
    Format {
        name: "OTLP, protobuf",
        encode: |streams, lines| Ok(vec![push_body::otlp_protobuf(streams, lines)]),
        decode: |body, context| rows(otlp_proto::decode(body, context).map(|d| d.batch.rows.len())),
        target: target("/v1/logs", "application/x-protobuf"),
    },
    Format {
        name: "OTLP, JSON",
        encode: |streams, lines| Ok(vec![push_body::otlp_json(streams, lines)]),
        decode: |body, context| rows(otlp_json::decode(body, context).map(|d| d.batch.rows.len())),
        target: target("/v1/logs", "application/json"),
    },
    Format {
        name: "NDJSON",
        encode: ndjson_lines,
        decode: |body, context| {
            rows(ndjson::decode(body, &FieldMapping::default(), context).map(|d| d.batch.rows.len()))
        },
        target: target("/timberyard/api/v1/ndjson", "application/x-ndjson"),
    },
    Format {
        name: "Elasticsearch, bulk",
        encode: bulk_body,
        decode: |body, context| {
            let mapping = FieldMapping::default();
            rows(elasticsearch::decode_bulk(body, None, &mapping, context).map(|bulk| bulk.batch.rows.len()))
        },
        target: target("/_bulk", "application/x-ndjson"),
    },
    Format {
        name: "Splunk, events",
        encode: splunk_body,
        decode: |body, context| Ok(splunk_hec::decode_events(body, context).batch.rows.len()),
        target: target("/services/collector", "application/json"),
    },
    Format {
        name: "Datadog",
        encode: datadog_body,
        decode: |body, context| {
            let source = DatadogSource::default();
            rows(datadog::decode_json(body, &source, context).map(|d| d.batch.rows.len()))
        },
        target: target("/api/v2/logs", "application/json"),
    },
    Format {
        name: "syslog, RFC 5424 with counted octets",
        encode: syslog_stream,
        decode: |body, context| Ok(SyslogStream::default().read(body, context).batch.rows.len()),
        target: None,
    },
    Format {
        name: "GELF, a stream",
        encode: gelf_stream,
        decode: |body, context| {
            let messages = GelfStream::default().read(body).messages;
            Ok(gelf::decode(messages.iter().map(|message| &**message), context).batch.rows.len())
        },
        target: None,
    },
    Format {
        name: "Fluent, forward",
        encode: fluent_message,
        decode: |body, context| rows(fluent::decode(body, context).map(|m| m.events.batch.rows.len())),
        target: None,
    },
    Format {
        name: "journald, export",
        encode: journal_export,
        decode: |body, context| {
            rows(JournalUpload::default().read(body, context).map(|decoded| decoded.batch.rows.len()))
        },
        target: None,
    },
    Format {
        name: "LogPulse",
        encode: logpulse_body,
        decode: |body, context| rows(logpulse::decode(body, context).map(|batch| batch.rows.len())),
        target: None,
    },
    Format {
        name: "Logtopus",
        encode: logtopus_body,
        decode: |body, context| rows(logtopus::decode(body, context).map(|batch| batch.rows.len())),
        target: None,
    },
    Format {
        name: "LogStream, one entry a body",
        encode: logstream_bodies,
        decode: |body, context| {
            rows(
                logstream::decode(body, context, "0d9c8a52-3b1e-4f67-9a04-5c2de871b6f3")
                    .map(|batch| batch.rows.len()),
            )
        },
        target: None,
    },
    Format {
        name: "Change66, batch",
        encode: change66_body,
        decode: |body, context| {
            rows(change66::decode_batch(body, context, 1).map(|events| events.batch.rows.len()))
        },
        target: None,
    },
    Format {
        name: "log-go",
        encode: loggo_body,
        decode: |body, context| {
            rows(loggo::decode(body, context).map(|batches| batches.iter().map(|b| b.rows.len()).sum()))
        },
        target: None,
    },
];

fn rows<E: std::fmt::Display>(decoded: Result<usize, E>) -> Result<usize, String> {
    decoded.map_err(|e| e.to_string())
}

fn loki_message(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let labels: Vec<String> = streams.iter().map(label_text).collect();
    Ok(vec![push_body::loki_protobuf(&labels, lines)])
}

fn loki_proto(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    loki_message(streams, lines)?.iter().map(|message| push_body::snappy(message)).collect()
}

fn ndjson_lines(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let objects = push_body::objects(
        streams,
        lines,
        |service, line, time| json!({ "_time": time, "service": service, "level": "info", "_msg": line.text }),
    );
    let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
    Ok(vec![lines.join("\n").into_bytes()])
}

fn bulk_body(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let documents = push_body::objects(
        streams,
        lines,
        |service, line, time| json!({ "@timestamp": time, "message": line.text, "service": { "name": service }, "log": { "level": "info" } }),
    );
    let action = json!({ "create": { "_index": "logs" } });
    let body: String = documents.iter().map(|document| format!("{action}\n{document}\n")).collect();
    Ok(vec![body.into_bytes()])
}

fn splunk_body(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let events = push_body::objects(
        streams,
        lines,
        |service, line, _| json!({ "time": line.timestamp_ns as f64 / 1e9, "sourcetype": service, "event": line.text }),
    );
    Ok(vec![events.iter().map(Value::to_string).collect::<String>().into_bytes()])
}

fn datadog_body(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let logs = push_body::objects(
        streams,
        lines,
        |service, line, time| json!({ "message": line.text, "service": service, "timestamp": time, "ddtags": "env:prod,team:a" }),
    );
    Ok(vec![Value::from(logs).to_string().into_bytes()])
}

fn syslog_stream(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let messages = push_body::objects(streams, lines, |service, line, time| {
        Value::from(format!("<14>1 {time} host {service} 1 - - {}", line.text))
    });
    let messages = messages.iter().filter_map(Value::as_str);
    Ok(vec![messages.map(|message| format!("{} {message}", message.len())).collect::<String>().into_bytes()])
}

fn gelf_stream(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let messages = push_body::objects(
        streams,
        lines,
        |service, line, _| json!({ "version": "1.1", "host": "h", "short_message": line.text, "level": 6, "timestamp": line.timestamp_ns as f64 / 1e9, "_app": service }),
    );
    Ok(vec![messages.iter().map(|message| format!("{message}\0")).collect::<String>().into_bytes()])
}

/// `[tag, [[time, record], …]]` in MessagePack, with texts and lists of 32 bits of length.
fn fluent_message(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let services = push_body::objects(streams, lines, |service, _, _| Value::from(service));
    let mut body = vec![0x92];
    msgpack_text(&mut body, "logs");
    body.push(0xdd);
    body.extend_from_slice(&(lines.len() as u32).to_be_bytes());
    for (line, service) in lines.iter().zip(&services) {
        body.extend_from_slice(&[0x92, 0xce]);
        body.extend_from_slice(&((line.timestamp_ns / 1_000_000_000) as u32).to_be_bytes());
        body.push(0x82);
        for text in ["log", &line.text, "app", service.as_str().unwrap_or_default()] {
            msgpack_text(&mut body, text);
        }
    }
    Ok(vec![body])
}

fn msgpack_text(out: &mut Vec<u8>, text: &str) {
    out.push(0xdb);
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn journal_export(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let entries = push_body::objects(streams, lines, |service, line, _| {
        let micros = line.timestamp_ns / 1_000;
        // What has several lines would be written with its length.
        let text = line.text.replace('\n', " ");
        Value::from(format!(
            "__REALTIME_TIMESTAMP={micros}\n_HOSTNAME=h\nPRIORITY=6\nSYSLOG_IDENTIFIER={service}\nMESSAGE={text}\n\n"
        ))
    });
    Ok(vec![entries.iter().filter_map(Value::as_str).collect::<String>().into_bytes()])
}

fn logpulse_body(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    // Its lines are of one line each.
    let streams = push_body::objects(streams, lines, |service, line, time| {
        json!({
            "labels": { "app": service },
            "entries": [{ "ts": time, "line": line.text.replace('\n', " ") }],
        })
    });
    Ok(vec![json!({ "streams": streams }).to_string().into_bytes()])
}

fn logtopus_body(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let entries = push_body::objects(
        streams,
        lines,
        |service, line, _| json!({ "level": "INFO", "message": line.text, "logger_name": service, "session_id": "s-1" }),
    );
    Ok(vec![Value::from(entries).to_string().into_bytes()])
}

fn logstream_bodies(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let entries = push_body::objects(
        streams,
        lines,
        |service, line, _| json!({ "service": service, "level": "INFO", "message": line.text, "metadata": { "pod": 1 } }),
    );
    Ok(entries.iter().map(|entry| entry.to_string().into_bytes()).collect())
}

fn change66_body(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let events = push_body::objects(streams, lines, |service, line, time| {
        json!({
            "event_id": format!("{:x}", line.timestamp_ns), "timestamp": time, "event_type": "behavioral",
            "event_name": service, "properties": { "text": line.text },
        })
    });
    Ok(vec![json!({ "logs": events }).to_string().into_bytes()])
}

fn loggo_body(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let entries = push_body::objects(streams, lines, |service, line, _| {
        json!({
            "timestamp": line.timestamp_ns / 1_000_000, "service": service, "level": "info",
            "message": line.text, "labels": {},
        })
    });
    Ok(vec![Value::from(entries).to_string().into_bytes()])
}
