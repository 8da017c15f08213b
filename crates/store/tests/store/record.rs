//! What these tests put into the log: batches in a plain encoding.

use timberyard_model::batch::{EqualEntries, UniqueKey};
use timberyard_model::origin::{OriginName, OriginRange};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::{Labels, LogBatch, TenantId, Timestamp};

/// A batch as a log payload.
pub(crate) fn encode(batch: &LogBatch) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, batch.tenant.as_str().as_bytes());
    put_number(&mut out, batch.received_at.as_nanos());
    put_number(&mut out, i64::from(batch.equal_entries == EqualEntries::Merge));
    put_number(&mut out, batch.rows.len() as i64);
    for row in batch.rows.iter() {
        put_number(&mut out, row.labels().len() as i64);
        for (name, value) in row.labels().iter() {
            put(&mut out, name.as_bytes());
            put(&mut out, value.as_bytes());
        }
        put_number(&mut out, row.timestamp().as_nanos());
        put(&mut out, row.line());
        put_number(&mut out, row.metadata().len() as i64);
        for (name, value) in row.metadata() {
            put(&mut out, name.as_bytes());
            put(&mut out, value);
        }
    }
    put_number(&mut out, batch.unique_keys.len() as i64);
    for key in &batch.unique_keys {
        put_number(&mut out, i64::from(key.row));
        put(&mut out, key.key.as_bytes());
    }
    for origin in &batch.origins {
        put(&mut out, origin.name.as_str().as_bytes());
        put_number(&mut out, origin.from as i64);
        put_number(&mut out, origin.to as i64);
    }
    out
}

/// The batch of a log payload.
pub(crate) fn decode(payload: &[u8]) -> Result<LogBatch, String> {
    let mut rest = payload;
    let mut read = || -> Option<LogBatch> {
        let rest = &mut rest;
        let tenant = TenantId::new(&text(rest)?).ok()?;
        let received_at = Timestamp::from_nanos(number(rest)?);
        let equal_entries = if number(rest)? == 1 { EqualEntries::Merge } else { EqualEntries::Keep };
        let mut rows = RowsBuilder::default();
        for _ in 0..number(rest)? {
            let mut pairs = Vec::new();
            for _ in 0..number(rest)? {
                pairs.push((text(rest)?, text(rest)?));
            }
            let stream = rows.stream(&Labels::from_pairs(pairs));
            let time = Timestamp::from_nanos(number(rest)?);
            let line = bytes(rest)?;
            let mut metadata = Vec::new();
            for _ in 0..number(rest)? {
                metadata.push((text(rest)?, bytes(rest)?));
            }
            let pairs = metadata.iter().map(|(name, value)| (&**name, &**value));
            rows.push(stream, time, &line, pairs).ok()?;
        }
        let mut unique_keys = Vec::new();
        for _ in 0..number(rest)? {
            let row = number(rest)? as u32;
            unique_keys.push(UniqueKey { row, key: text(rest)?.into() });
        }
        let mut origins = Vec::new();
        // Older fixtures end here.
        while !rest.is_empty() {
            let name = OriginName::new(&text(rest)?).ok()?;
            origins.push(OriginRange { name, from: number(rest)? as u64, to: number(rest)? as u64 });
        }
        Some(LogBatch { tenant, received_at, equal_entries, rows: rows.finish(), unique_keys, origins })
    };
    read().ok_or_else(|| "payload ends early".to_owned())
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn number(rest: &mut &[u8]) -> Option<i64> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i64::from_le_bytes(*first))
}

fn bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = number(rest)? as usize;
    let (first, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(first.to_vec())
}

fn text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(bytes(rest)?).ok()
}
