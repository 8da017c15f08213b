//! A workload made ready before any clock runs: push bodies in memory and, beside them, the raw lines in a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::generator::{Line, StreamLabels, Workload};
use crate::push_body;

/// Uncompressed bytes of a body, nearly: what senders batch by default.
const BODY_BYTES: usize = 1 << 20;
/// What a line costs in a body besides its text.
const LINE_OVERHEAD_BYTES: usize = 20;

/// What is sent, and what is known of it.
pub(crate) struct Load {
    pub(crate) lines: usize,
    /// Bytes of all lines, without the line feed that ends each of them in a file.
    pub(crate) line_bytes: u64,
    /// Streams that have lines.
    pub(crate) streams: usize,
    /// Loki push bodies: protobuf in a snappy block.
    pub(crate) bodies: Vec<Vec<u8>>,
}

impl Load {
    /// Generates the lines, writes them to `raw`, and packs them into bodies.
    pub(crate) fn prepare(workload: Workload, lines: usize, seed: u64, raw: &Path) -> Result<Self, String> {
        let told = |e: std::io::Error| format!("{}: {e}", raw.display());
        let mut file = BufWriter::with_capacity(1 << 20, File::create(raw).map_err(told)?);
        let streams = workload.streams();
        let labels: Vec<String> = streams.iter().map(label_text).collect();
        let mut seen = vec![false; streams.len()];
        let (mut bodies, mut line_bytes, mut pending, mut pending_bytes) = (Vec::new(), 0, Vec::new(), 0);
        for line in workload.lines(lines, seed) {
            file.write_all(line.text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(told)?;
            seen[line.stream] = true;
            line_bytes += line.text.len() as u64;
            pending_bytes += line.text.len() + LINE_OVERHEAD_BYTES;
            pending.push(line);
            if pending_bytes >= BODY_BYTES {
                bodies.push(pack(&labels, &mut pending)?);
                pending_bytes = 0;
            }
        }
        if !pending.is_empty() {
            bodies.push(pack(&labels, &mut pending)?);
        }
        file.flush().map_err(told)?;
        let streams = seen.iter().filter(|seen| **seen).count();
        Ok(Self { lines, line_bytes, streams, bodies })
    }
}

fn pack(labels: &[String], pending: &mut Vec<Line>) -> Result<Vec<u8>, String> {
    let body = push_body::loki_protobuf(labels, pending);
    pending.clear();
    push_body::snappy(&body)
}

/// `{name="value", …}`; no generated value has a quote.
pub(crate) fn label_text(labels: &StreamLabels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("{{{}}}", pairs.join(", "))
}
