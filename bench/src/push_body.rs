//! Loki push bodies, built before the clock runs: protobuf `logproto.PushRequest` in a snappy block.

use crate::workload::{Line, Workload};

/// Lines of one body.
pub(crate) const BODY_LINES: usize = 5_000;

/// Encodes one body.
pub(crate) fn encode(streams: &[String], lines: &[Line]) -> Result<Vec<u8>, String> {
    let mut by_stream: Vec<Vec<&Line>> = vec![Vec::new(); streams.len()];
    for line in lines {
        by_stream[line.stream].push(line);
    }
    let mut body = Vec::new();
    for (labels, lines) in streams.iter().zip(&by_stream).filter(|(_, lines)| !lines.is_empty()) {
        let mut stream = Vec::new();
        field(&mut stream, 1, labels.as_bytes());
        for line in lines {
            let mut time = Vec::new();
            number(&mut time, 1, (line.timestamp_ns / 1_000_000_000) as u64);
            number(&mut time, 2, (line.timestamp_ns % 1_000_000_000) as u64);
            let mut entry = Vec::new();
            field(&mut entry, 1, &time);
            field(&mut entry, 2, line.text.as_bytes());
            field(&mut stream, 2, &entry);
        }
        field(&mut body, 1, &stream);
    }
    snap::raw::Encoder::new().compress_vec(&body).map_err(|e| e.to_string())
}

/// All bodies of a workload, with the raw bytes of their lines.
pub(crate) fn encode_all(workload: Workload, count: usize) -> Result<(Vec<Vec<u8>>, u64), String> {
    let streams = workload.streams();
    let (mut bodies, mut raw_bytes, mut pending) = (Vec::new(), 0, Vec::with_capacity(BODY_LINES));
    for line in workload.lines(count) {
        raw_bytes += line.text.len() as u64 + 1;
        pending.push(line);
        if pending.len() == BODY_LINES {
            bodies.push(encode(&streams, &pending)?);
            pending.clear();
        }
    }
    if !pending.is_empty() {
        bodies.push(encode(&streams, &pending)?);
    }
    Ok((bodies, raw_bytes))
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, tag: u64, value: u64) {
    varint(out, tag << 3);
    varint(out, value);
}

fn field(out: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
    varint(out, tag << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
