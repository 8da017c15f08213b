//! What decoding costs: each wire format's decoder over bodies of the same lines, on one core.
//!
//! Bodies lie in memory and are inflated already, but for Loki's protobuf, which is sent as a snappy block; levels
//! and service names are discovered, as in the server. MB are 10^6 bytes, once of the lines themselves and once of
//! the body that was read.

use std::fmt::Write as _;
use std::hint::black_box;

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use timberyard_model::{Limits, TenantId, Timestamp};
use timberyard_wire::datadog::{self, DatadogSource};
use timberyard_wire::field_mapping::FieldMapping;
use timberyard_wire::syslog_stream::SyslogStream;
use timberyard_wire::{
    DecodeContext, change66, elasticsearch, loggo, logpulse, logstream, logtopus, loki_push_json,
    loki_push_proto, ndjson, otlp_json, otlp_proto, splunk_hec,
};

use crate::generator::{Line, SPAN_NS, START_NS, StreamLabels, Workload};
use crate::load::label_text;
use crate::push_body;

/// Lines of a body; a body of Change66's may not have more.
const BODY_LINES: usize = 1_000;
/// CPU seconds that a format is decoded for, at least.
const SECONDS_ENOUGH: f64 = 1.0;

/// Decodes one body and says how many rows it held.
type Decode = fn(&[u8], &DecodeContext<'_>) -> Result<usize, String>;

/// Writes bodies of one format.
type Encode = fn(&[StreamLabels], &[Line]) -> Result<Vec<Vec<u8>>, String>;

/// A wire format: how a sender writes a body, and who reads it.
struct Format {
    name: &'static str,
    encode: Encode,
    decode: Decode,
}

const FORMATS: [Format; 15] = [
    Format {
        name: "Loki push, protobuf in snappy",
        encode: loki_proto,
        decode: |body, context| rows(loki_push_proto::decode(body, context).map(|d| d.batch.rows.len())),
    },
    Format {
        name: "Loki push, protobuf",
        encode: loki_message,
        decode: |body, context| {
            rows(loki_push_proto::decode_message(body, context).map(|d| d.batch.rows.len()))
        },
    },
    Format {
        name: "Loki push, JSON",
        encode: |streams, lines| Ok(vec![push_body::loki_json(streams, lines)]),
        decode: |body, context| rows(loki_push_json::decode(body, context).map(|d| d.batch.rows.len())),
    },
    Format {
        name: "OTLP, protobuf",
        encode: |streams, lines| Ok(vec![push_body::otlp_protobuf(streams, lines)]),
        decode: |body, context| rows(otlp_proto::decode(body, context).map(|d| d.batch.rows.len())),
    },
    Format {
        name: "OTLP, JSON",
        encode: |streams, lines| Ok(vec![push_body::otlp_json(streams, lines)]),
        decode: |body, context| rows(otlp_json::decode(body, context).map(|d| d.batch.rows.len())),
    },
    Format {
        name: "NDJSON",
        encode: ndjson_lines,
        decode: |body, context| {
            rows(ndjson::decode(body, &FieldMapping::default(), context).map(|d| d.batch.rows.len()))
        },
    },
    Format {
        name: "Elasticsearch, bulk",
        encode: bulk_body,
        decode: |body, context| {
            let mapping = FieldMapping::default();
            rows(elasticsearch::decode_bulk(body, None, &mapping, context).map(|bulk| bulk.batch.rows.len()))
        },
    },
    Format {
        name: "Splunk, events",
        encode: splunk_body,
        decode: |body, context| Ok(splunk_hec::decode_events(body, context).batch.rows.len()),
    },
    Format {
        name: "Datadog",
        encode: datadog_body,
        decode: |body, context| {
            let source = DatadogSource::default();
            rows(datadog::decode_json(body, &source, context).map(|d| d.batch.rows.len()))
        },
    },
    Format {
        name: "syslog, RFC 5424 with counted octets",
        encode: syslog_stream,
        decode: |body, context| Ok(SyslogStream::default().read(body, context).batch.rows.len()),
    },
    Format {
        name: "LogPulse",
        encode: logpulse_body,
        decode: |body, context| rows(logpulse::decode(body, context).map(|batch| batch.rows.len())),
    },
    Format {
        name: "Logtopus",
        encode: logtopus_body,
        decode: |body, context| rows(logtopus::decode(body, context).map(|batch| batch.rows.len())),
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
    },
    Format {
        name: "Change66, batch",
        encode: change66_body,
        decode: |body, context| {
            rows(change66::decode_batch(body, context, 1).map(|events| events.batch.rows.len()))
        },
    },
    Format {
        name: "log-go",
        encode: loggo_body,
        decode: |body, context| {
            rows(loggo::decode(body, context).map(|batches| batches.iter().map(|b| b.rows.len()).sum()))
        },
    },
];

/// A Markdown table: what each format whose name has `only` in it costs over microservice lines, and how that compares with
/// Loki's push in protobuf.
pub(crate) fn measure(lines: usize, only: Option<&str>, rounds: Option<u32>) -> Result<String, String> {
    let streams = Workload::Micro.streams();
    let lines: Vec<Line> = Workload::Micro.lines(lines, 1).collect();
    let mut table = String::from(
        "| format | lines, MB/s | body, MB/s | ns a line | CPU-s a raw GB | ÷ Loki push | bytes a body |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut loki_seconds = None;
    for format in FORMATS.iter().filter(|format| only.is_none_or(|part| format.name.contains(part))) {
        let cost =
            measure_format(format, &streams, &lines, rounds).map_err(|e| format!("{}: {e}", format.name))?;
        // The first of the formats.
        let loki = *loki_seconds.get_or_insert(cost.seconds);
        cost.write_row(&mut table, format.name, loki).map_err(|e| e.to_string())?;
    }
    Ok(table)
}

/// What one format costs.
struct Cost {
    lines: usize,
    line_bytes: usize,
    body_bytes: usize,
    bodies: usize,
    /// CPU seconds of decoding all bodies once.
    seconds: f64,
}

impl Cost {
    fn write_row(&self, table: &mut String, name: &str, loki_seconds: f64) -> std::fmt::Result {
        let (line_megabytes, body_megabytes) = (self.line_bytes as f64 / 1e6, self.body_bytes as f64 / 1e6);
        writeln!(
            table,
            "| {name} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {} |",
            line_megabytes / self.seconds,
            body_megabytes / self.seconds,
            self.seconds * 1e9 / self.lines as f64,
            self.seconds / line_megabytes * 1e3,
            self.seconds / loki_seconds,
            self.body_bytes / self.bodies
        )
    }
}

/// Decodes for long enough, or as often as is said.
fn measure_format(
    format: &Format,
    streams: &[StreamLabels],
    lines: &[Line],
    rounds_wanted: Option<u32>,
) -> Result<Cost, String> {
    let mut bodies = Vec::new();
    for lines in lines.chunks(BODY_LINES) {
        bodies.extend((format.encode)(streams, lines)?);
    }
    let limits = Limits::default();
    let tenant = TenantId::default();
    let context = DecodeContext {
        tenant: &tenant,
        received_at: Timestamp::from_nanos(START_NS + SPAN_NS),
        client_ip: Some("192.0.2.7"),
        node_id: "bench",
        limits: &limits,
        discover_service_name: true,
        detect_level: true,
        label_attributes: timberyard_wire::LabelAttributes::loki(),
    };
    // The first round warms up and checks; the others are timed.
    let decoded = decode_all(format, &bodies, &context)?;
    if decoded != lines.len() {
        return Err(format!("{decoded} rows of {} lines", lines.len()));
    }
    let (mut rounds, started) = (0_u32, thread_cpu_seconds()?);
    let mut seconds = 0.0;
    while rounds_wanted.map_or(seconds < SECONDS_ENOUGH, |wanted| rounds < wanted) {
        black_box(decode_all(format, &bodies, &context)?);
        rounds += 1;
        seconds = thread_cpu_seconds()? - started;
    }
    Ok(Cost {
        lines: lines.len(),
        line_bytes: lines.iter().map(|line| line.text.len()).sum(),
        body_bytes: bodies.iter().map(Vec::len).sum(),
        bodies: bodies.len(),
        seconds: seconds / f64::from(rounds),
    })
}

fn decode_all(format: &Format, bodies: &[Vec<u8>], context: &DecodeContext<'_>) -> Result<usize, String> {
    bodies.iter().try_fold(0, |sum, body| Ok(sum + (format.decode)(black_box(body), context)?))
}

fn rows<E: std::fmt::Display>(decoded: Result<usize, E>) -> Result<usize, String> {
    decoded.map_err(|e| e.to_string())
}

/// CPU seconds of this thread: what other processes take of the machine does not count.
fn thread_cpu_seconds() -> Result<f64, String> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(|e| format!("CPU clock: {e}"))?;
    Ok(time.num_nanoseconds() as f64 / 1e9)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_gives_as_many_rows_as_there_are_lines() {
        let streams = Workload::Micro.streams();
        let lines: Vec<Line> = Workload::Micro.lines(300, 1).collect();
        let (limits, tenant) = (Limits::default(), TenantId::default());
        for format in &FORMATS {
            let bodies = (format.encode)(&streams, &lines).expect("a body");
            let context = DecodeContext {
                tenant: &tenant,
                received_at: Timestamp::from_nanos(START_NS + SPAN_NS),
                client_ip: None,
                node_id: "bench",
                limits: &limits,
                discover_service_name: true,
                detect_level: true,
                label_attributes: timberyard_wire::LabelAttributes::loki(),
            };
            assert_eq!(decode_all(format, &bodies, &context), Ok(lines.len()), "{}", format.name);
        }
    }
}
