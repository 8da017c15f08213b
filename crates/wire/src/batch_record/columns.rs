//! The body of a batch record: what is common to rows first, then column after column, then all bytes.

use std::collections::HashSet;

use timberyard_model::batch::UniqueKey;
use timberyard_model::rows::{Rows, RowsAssembler, RowsPartsError};
use timberyard_model::{Labels, LogBatch, Timestamp};

use crate::byte_reader::{ByteReader, write_counted, write_signed_varint, write_varint};
use crate::error::DecodeError;

type Result<T> = std::result::Result<T, DecodeError>;

/// Appends the body of a batch.
pub(super) fn write(out: &mut Vec<u8>, batch: &LogBatch) {
    let rows = &batch.rows;
    write_varint(out, rows.streams().len() as u64);
    for labels in rows.streams() {
        write_varint(out, labels.len() as u64);
        for (name, value) in labels.iter() {
            write_counted(out, name.as_bytes());
            write_counted(out, value.as_bytes());
        }
    }
    write_varint(out, rows.names().len() as u64);
    for name in rows.names() {
        write_counted(out, name.as_bytes());
    }
    write_varint(out, batch.unique_keys.len() as u64);
    for key in &batch.unique_keys {
        write_varint(out, u64::from(key.row));
        write_counted(out, key.key.as_bytes());
    }
    write_varint(out, rows.len() as u64);
    let mut before = batch.received_at.as_nanos();
    for row in rows.iter() {
        let nanos = row.timestamp().as_nanos();
        write_signed_varint(out, nanos.wrapping_sub(before));
        before = nanos;
    }
    write_stream_runs(out, rows);
    for row in rows.iter() {
        write_varint(out, row.line().len() as u64);
    }
    for row in rows.iter() {
        write_varint(out, row.metadata_spans().len() as u64);
    }
    for (name, bytes) in rows.iter().flat_map(|row| row.metadata_spans()) {
        write_varint(out, u64::from(name));
        write_varint(out, u64::from(bytes));
    }
    out.extend_from_slice(rows.arena());
}

/// Stream numbers as runs: number, how many rows.
fn write_stream_runs(out: &mut Vec<u8>, rows: &Rows) {
    let mut streams = rows.iter().map(|row| row.stream_index()).peekable();
    while let Some(stream) = streams.next() {
        let mut run = 1u64;
        while streams.next_if_eq(&stream).is_some() {
            run += 1;
        }
        write_varint(out, stream as u64);
        write_varint(out, run);
    }
}

/// Reads a body.
pub(super) fn read(body: &[u8], received_at: Timestamp) -> Result<(Rows, Vec<UniqueKey>)> {
    let mut reader = ByteReader::new(body, 0);
    let streams = read_streams(&mut reader)?;
    let names =
        (0..reader.count(1)?).map(|_| Ok(reader.text()?.into())).collect::<Result<Vec<Box<str>>>>()?;
    let mut unique_keys = Vec::new();
    for _ in 0..reader.count(2)? {
        unique_keys.push(UniqueKey { row: reader.varint_u32()?, key: reader.text()?.into() });
    }
    // A row has a timestamp, a line's length and a number of metadata pairs.
    let row_count = reader.count(3)?;
    if let Some(key) = unique_keys.iter().find(|key| key.row as usize >= row_count) {
        return Err(reader.error(format!("a unique key belongs to row {}, which is not there", key.row)));
    }
    // Each column is found by reading over those before it; then all are read side by side.
    let mut timestamps = reader.clone();
    skip_varints(&mut reader, row_count)?;
    let mut runs = reader.clone();
    skip_stream_runs(&mut reader, row_count)?;
    let mut line_lengths = reader.clone();
    skip_varints(&mut reader, row_count)?;
    let mut metadata_counts = reader.clone();
    let mut pairs = 0u64;
    for _ in 0..row_count {
        pairs = pairs.saturating_add(reader.varint()?);
    }
    if pairs > (reader.left() / 2) as u64 {
        return Err(reader.error(format!("{pairs} metadata pairs do not fit the bytes that are left")));
    }
    let mut metadata = reader.clone();
    skip_varints(&mut reader, pairs as usize * 2)?;
    let arena = reader.rest().to_vec();

    let broken = |error: RowsPartsError| DecodeError::malformed(format!("batch record: {error}"));
    let mut rows = RowsAssembler::new(streams, names, arena).map_err(broken)?;
    let mut nanos = received_at.as_nanos();
    let (mut stream, mut run_left) = (0, 0u64);
    for _ in 0..row_count {
        nanos = nanos.wrapping_add(timestamps.signed_varint()?);
        if run_left == 0 {
            (stream, run_left) = (runs.varint_u32()?, runs.varint()?);
        }
        run_left -= 1;
        rows.row(Timestamp::from_nanos(nanos), stream, line_lengths.varint_u32()?).map_err(broken)?;
        for _ in 0..metadata_counts.varint()? {
            rows.metadata(metadata.varint_u32()?, metadata.varint_u32()?).map_err(broken)?;
        }
    }
    Ok((rows.finish().map_err(broken)?, unique_keys))
}

fn read_streams(reader: &mut ByteReader<'_>) -> Result<Vec<Labels>> {
    let count = reader.count(1)?;
    let mut streams = Vec::new();
    let mut seen = HashSet::new();
    for _ in 0..count {
        let mut pairs = Vec::new();
        for _ in 0..reader.count(2)? {
            pairs.push((reader.text()?, reader.text()?));
        }
        let labels = Labels::from_pairs(pairs);
        if !seen.insert(labels.clone()) {
            return Err(reader.error("a stream is there twice"));
        }
        streams.push(labels);
    }
    Ok(streams)
}

fn skip_varints(reader: &mut ByteReader<'_>, count: usize) -> Result<()> {
    for _ in 0..count {
        reader.varint()?;
    }
    Ok(())
}

fn skip_stream_runs(reader: &mut ByteReader<'_>, row_count: usize) -> Result<()> {
    let mut rows_left = row_count as u64;
    while rows_left > 0 {
        reader.varint()?;
        let run = reader.varint()?;
        if run == 0 || run > rows_left {
            return Err(reader.error(format!("a run of {run} rows, {rows_left} are left")));
        }
        rows_left -= run;
    }
    Ok(())
}
