//! Pushes the data set, and what steps push.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use flate2::Compression;
use serde_json::{Value, json};
use timberyard_testkit::http::Answer;
use timberyard_testkit::loki_push::{PushEntry, push_request, snappy_push_request};

use crate::client::Client;
use crate::folder::{Entry, Folder, array};

/// Where lines are pushed.
const PATH: &str = "/loki/api/v1/push";
/// Entries in one push.
const ENTRIES_MAX: usize = 1000;
/// How long the server has to show what was pushed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pushes all entries in their order and waits until the server shows them.
pub(crate) fn push_data_set(client: &Client, folder: &Folder) -> Result<(), String> {
    for entries in folder.entries.chunks(ENTRIES_MAX) {
        let mut streams: Vec<(Value, Vec<Value>)> = Vec::new();
        for entry in entries {
            let mut value = vec![json!(entry.time_ns), json!(entry.line)];
            value.extend(entry.metadata.clone());
            match streams.iter_mut().find(|(labels, _)| *labels == entry.labels) {
                Some((_, values)) => values.push(value.into()),
                None => streams.push((entry.labels.clone(), vec![value.into()])),
            }
        }
        let streams: Vec<Value> = streams
            .into_iter()
            .map(|(stream, values)| json!({ "stream": stream, "values": values }))
            .collect();
        let answer = client.request("POST", PATH).json(&json!({ "streams": streams })).try_send()?;
        if answer.status != 204 {
            return Err(format!("the data set is not taken: status {}: {}", answer.status, answer.text()));
        }
    }
    flush(client);
    let wanted = distinct(folder);
    let started = Instant::now();
    while visible(client, folder).is_none_or(|seen| seen < wanted) {
        if started.elapsed() > PATIENCE {
            return Err(format!("the server shows {:?} of {wanted} entries", visible(client, folder)));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Asks the server to make everything visible, where it knows how.
pub(crate) fn flush(client: &Client) {
    // A server without this makes everything visible by itself.
    let _ = client.request("POST", "/flush").try_send();
}

/// Entries that are not equal to another one of their stream.
fn distinct(folder: &Folder) -> usize {
    folder.entries.iter().map(identity).collect::<BTreeSet<_>>().len()
}

fn identity(entry: &Entry) -> (String, &str, &str, Option<String>) {
    (entry.labels.to_string(), &entry.time_ns, &entry.line, entry.metadata.as_ref().map(Value::to_string))
}

fn visible(client: &Client, folder: &Folder) -> Option<usize> {
    let time = (folder.base_ns + 7_200_000_000_000).to_string();
    let answer = client
        .request("GET", "/loki/api/v1/query")
        .query("query", r#"sum(count_over_time({service_name=~".+"}[3h]))"#)
        .query("time", &time)
        .try_send()
        .ok()?;
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

/// Sends what a step pushes.
pub(crate) fn push_step(client: &Client, step: &Value) -> Result<Answer, String> {
    let format = step["format"].as_str().unwrap_or("json");
    let content_type = step["content_type"].as_str().unwrap_or(match format {
        "json" => "application/json",
        _ => "application/x-protobuf",
    });
    let body = compressed(step["encoding"].as_str(), body(step, format)?)?;
    let path = step["path"].as_str().unwrap_or(PATH);
    let mut request = client.request(step["method"].as_str().unwrap_or("POST"), path).body(body);
    if !content_type.is_empty() {
        request = request.header("Content-Type", content_type);
    }
    if let Some(encoding) = step["header_encoding"].as_str().or(step["encoding"].as_str()) {
        request = request.header("Content-Encoding", encoding);
    }
    request.try_send()
}

fn body(step: &Value, format: &str) -> Result<Vec<u8>, String> {
    if let Some(raw) = step["raw"].as_str() {
        return Ok(raw.as_bytes().to_vec());
    }
    if let Some(text) = step["b64"].as_str() {
        return base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| error.to_string());
    }
    if let Some(body) = step.get("body") {
        return Ok(body.to_string().into_bytes());
    }
    let streams = array(&step["streams"]);
    if format == "json" {
        let stream = |stream: &Value| json!({ "stream": stream[0], "values": stream[1] });
        return Ok(json!({ "streams": streams.iter().map(stream).collect::<Vec<_>>() })
            .to_string()
            .into_bytes());
    }
    protobuf(streams, format == "protobuf").ok_or_else(|| format!("no entries: {step}"))
}

fn protobuf(streams: &[Value], is_snappy: bool) -> Option<Vec<u8>> {
    let metadata = |value: &Value| {
        let pairs = value.get(2).and_then(Value::as_object).into_iter().flatten();
        pairs
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect::<Option<Vec<_>>>()
    };
    let mut owned = Vec::new();
    for stream in streams {
        let labels = match &stream[0] {
            Value::String(text) => text.clone(),
            Value::Object(labels) => {
                let pairs: Vec<String> =
                    labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{{{}}}", pairs.join(", "))
            }
            _ => return None,
        };
        for value in array(&stream[1]) {
            let time: i64 = value[0].as_str()?.parse().ok()?;
            owned.push((labels.clone(), time, value[1].as_str()?.to_owned(), metadata(value)?));
        }
    }
    let pairs: Vec<Vec<(&str, &str)>> = owned
        .iter()
        .map(|(_, _, _, pairs)| pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
        .collect();
    let mut grouped: Vec<(&str, Vec<PushEntry<'_>>)> = Vec::new();
    for ((labels, timestamp_ns, line, _), metadata) in owned.iter().zip(&pairs) {
        let entry = PushEntry { timestamp_ns: *timestamp_ns, line: line.as_bytes(), metadata };
        match grouped.last_mut() {
            Some((last, entries)) if last == labels => entries.push(entry),
            _ => grouped.push((labels, vec![entry])),
        }
    }
    Some(if is_snappy { snappy_push_request(&grouped) } else { push_request(&grouped) })
}

fn compressed(encoding: Option<&str>, body: Vec<u8>) -> Result<Vec<u8>, String> {
    let written = match encoding {
        Some("gzip") => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&body).and_then(|()| encoder.finish())
        }
        Some("deflate") => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&body).and_then(|()| encoder.finish())
        }
        _ => return Ok(body),
    };
    written.map_err(|error| error.to_string())
}
