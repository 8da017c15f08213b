//! Batches as rows of the table, in `RowBinary`.
//!
//! What makes a row one and the same, whoever stores it again, is its `entry`. Of batches whose equal entries merge it is a hash of
//! the row. Of all others it is a hash of the batch and, added to it, the row's place: a batch that is written again, after an answer
//! was lost, has the same entries, and rows that merely look alike have not.

use timberyard_model::LogBatch;
use timberyard_model::batch::EqualEntries;
use timberyard_model::level::DETECTED_LEVEL;
use timberyard_model::rows::RowRef;
use xxhash_rust::xxh3::Xxh3;

use super::row_binary::RowWriter;

/// The columns, in the order in which rows are written.
pub(super) const INSERTED_COLUMNS: &str =
    "tenant, service, level, time, sequence, entry, stream, labels, line, metadata, origins, unique_key";

/// What a batch is known by. Of one with origins those count, and not when it was received: whoever read them again sends it again.
pub(super) fn batch_hash(batch: &LogBatch) -> u64 {
    let mut hasher = Xxh3::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(batch.tenant.as_str().as_bytes());
    for origin in &batch.origins {
        part(origin.name.as_str().as_bytes());
        part(&origin.from.to_le_bytes());
        part(&origin.to.to_le_bytes());
    }
    if batch.origins.is_empty() {
        part(&batch.received_at.as_nanos().to_le_bytes());
    }
    for row in batch.rows.iter() {
        part(&row_hash(row).to_le_bytes());
    }
    hasher.digest()
}

/// Of stream, time, line and metadata.
fn row_hash(row: RowRef<'_>) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&row.labels().stable_hash().to_le_bytes());
    hasher.update(&row.timestamp().as_nanos().to_le_bytes());
    hasher.update(&(row.line().len() as u64).to_le_bytes());
    hasher.update(row.line());
    for (name, value) in row.metadata() {
        for text in [name.as_bytes(), value] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
    }
    hasher.digest()
}

/// Appends the rows of a batch that is known by `hash`.
pub(super) fn put_batch(bytes: &mut Vec<u8>, batch: &LogBatch, hash: u64) {
    let mut keys = batch.unique_keys.iter().peekable();
    for (number, row) in (0_u64..).zip(batch.rows.iter()) {
        let labels = row.labels();
        bytes.put_text(batch.tenant.as_str().as_bytes());
        bytes.put_text(labels.get("service_name").unwrap_or_default().as_bytes());
        bytes.put_text(level_of(row));
        bytes.put_i64(row.timestamp().as_nanos());
        bytes.put_u64((batch.received_at.as_nanos().max(0) as u64).wrapping_add(number));
        bytes.put_u64(match batch.equal_entries {
            EqualEntries::Merge => row_hash(row),
            EqualEntries::Keep => hash.wrapping_add(number),
        });
        bytes.put_u64(labels.stable_hash());
        bytes.put_map(labels.iter().map(|(name, value)| (name, value.as_bytes())));
        bytes.put_text(row.line());
        bytes.put_map(row.metadata());
        // What concerns the whole batch is noted with its first row.
        let origins = if number == 0 { batch.origins.as_slice() } else { &[] };
        bytes.put_length(origins.len());
        for origin in origins {
            bytes.put_text(origin.name.as_str().as_bytes());
            bytes.put_u64(origin.to);
        }
        let key = keys.next_if(|key| u64::from(key.row) == number);
        bytes.put_text(key.map(|key| key.key.as_bytes()).unwrap_or_default());
    }
}

/// The level that people who query by hand look for: the one that was detected, else the label.
fn level_of(row: RowRef<'_>) -> &[u8] {
    let detected = row.metadata_value(DETECTED_LEVEL);
    detected.or_else(|| row.labels().get("level").map(str::as_bytes)).unwrap_or_default()
}
