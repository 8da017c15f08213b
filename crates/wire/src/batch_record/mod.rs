//! A whole batch as the payload of a write-ahead-log record, and back.
//!
//! The bytes are drawn in `docs/format/batch-record.md`. A record stands for itself: it gives the
//! same batch whatever the settings are when it is read. It carries no checksum, since the log that
//! holds it does; damaged bytes are an error all the same, never a panic, and never more memory than
//! [`INFLATION_MAX`] times the record.

mod columns;

use std::borrow::Cow;

use timberyard_model::batch::EqualEntries;
use timberyard_model::{LogBatch, TenantId, Timestamp};

use crate::byte_reader::{ByteReader, write_counted, write_varint};
use crate::compression::{Compression, inflate};
use crate::error::DecodeError;

/// The format's version, the first byte of a record.
pub const VERSION: u8 = 1;

/// A body that shrinks by more than this factor is stored as it is, so that no record of this
/// length can claim more than this many times its own length.
pub const INFLATION_MAX: usize = 256;

/// zstd at this level halves what snappy leaves, for the same time (measured on system logs and JSON lines).
const ZSTD_LEVEL: i32 = 1;

/// Bodies that are shorter are not worth compressing, in bytes.
const COMPRESSED_BYTES_MIN: usize = 256;

/// The flag of a body that is a zstd frame.
const FLAG_ZSTD: u8 = 1;
/// The flag of a batch whose equal entries are one.
const FLAG_MERGE: u8 = 2;

/// The record of a batch.
pub fn encode(batch: &LogBatch) -> Vec<u8> {
    let body = body_of(batch);
    let frame = compressed(&body);
    write_record(batch, &body, frame.as_deref())
}

/// The record of a batch that is not compressed: for those who compress several records as one.
pub fn encode_uncompressed(batch: &LogBatch) -> Vec<u8> {
    write_record(batch, &body_of(batch), None)
}

fn body_of(batch: &LogBatch) -> Vec<u8> {
    let mut body = Vec::with_capacity(batch.rows.arena().len() + batch.rows.len() * 8 + 256);
    columns::write(&mut body, batch);
    body
}

fn write_record(batch: &LogBatch, body: &[u8], frame: Option<&[u8]>) -> Vec<u8> {
    let mut flags = match batch.equal_entries {
        EqualEntries::Merge => FLAG_MERGE,
        EqualEntries::Keep => 0,
    };
    if frame.is_some() {
        flags |= FLAG_ZSTD;
    }
    let stored = frame.unwrap_or(body);
    let mut out = Vec::with_capacity(stored.len() + 64);
    out.extend_from_slice(&[VERSION, flags]);
    out.extend_from_slice(&batch.received_at.as_nanos().to_le_bytes());
    write_counted(&mut out, batch.tenant.as_str().as_bytes());
    write_varint(&mut out, body.len() as u64);
    out.extend_from_slice(stored);
    out
}

/// The batch of a record.
pub fn decode(record: &[u8]) -> Result<LogBatch, DecodeError> {
    let mut reader = ByteReader::new(record, 0);
    match reader.byte()? {
        VERSION => {}
        version => {
            return Err(DecodeError::Unsupported(format!(
                "batch record has version {version}, this program reads version {VERSION}"
            )));
        }
    }
    let flags = reader.byte()?;
    if flags & !(FLAG_ZSTD | FLAG_MERGE) != 0 {
        return Err(reader.error(format!("batch record has unknown flags {flags:#x}")));
    }
    let received_at = Timestamp::from_nanos(i64::from_le_bytes(reader.array()?));
    let tenant = reader.text()?;
    let tenant = TenantId::new(tenant).map_err(|error| reader.error(error.to_string()))?;
    let body_bytes = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    let stored = reader.rest();
    if body_bytes / INFLATION_MAX > stored.len() {
        return Err(reader.error(format!("batch record of {} bytes claims {body_bytes}", record.len())));
    }
    let body = match flags & FLAG_ZSTD {
        0 => Cow::Borrowed(stored),
        _ => inflate(stored, Compression::Zstd, body_bytes)?,
    };
    if body.len() != body_bytes {
        return Err(
            reader.error(format!("batch record announces {body_bytes} bytes and holds {}", body.len()))
        );
    }
    let (rows, unique_keys) = columns::read(&body, received_at)?;
    let equal_entries = if flags & FLAG_MERGE == 0 { EqualEntries::Keep } else { EqualEntries::Merge };
    Ok(LogBatch { tenant, received_at, equal_entries, rows, unique_keys, origins: Vec::new() })
}

/// The body as a zstd frame, if that is worth it.
fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < COMPRESSED_BYTES_MIN {
        return None;
    }
    let frame = zstd::bulk::compress(body, ZSTD_LEVEL).ok()?;
    (frame.len() < body.len() && body.len() / INFLATION_MAX <= frame.len()).then_some(frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use timberyard_model::batch_builder::BatchBuilder;
    use timberyard_model::limits::RecordLimits;
    use timberyard_model::{Labels, Timestamp};

    use super::*;
    use crate::test_context::rows_of;

    fn assert_same(one: &LogBatch, other: &LogBatch) {
        assert_eq!(one.tenant, other.tenant);
        assert_eq!(one.received_at, other.received_at);
        assert_eq!(one.equal_entries, other.equal_entries);
        assert_eq!(one.unique_keys, other.unique_keys);
        assert_eq!(one.rows.streams(), other.rows.streams());
        assert!(one.rows.iter().eq(other.rows.iter()));
    }

    /// A batch that shows every part of the format, small enough to be stored as it is.
    fn small_batch() -> LogBatch {
        let mut batch = BatchBuilder::new(
            TenantId::new("team-a").expect("valid"),
            Timestamp::from_nanos(1_000),
            EqualEntries::Keep,
            &RecordLimits { future_seconds_max: i64::MAX, ..RecordLimits::default() },
        );
        let api = batch.stream(&Labels::from_pairs([("app", "api"), ("env", "é")]));
        let none = batch.stream(&Labels::default());
        batch.push(api, Timestamp::from_nanos(999), b"one", &[("event_id", b"7"), ("k", b"")]).expect("fits");
        batch.unique_key("7");
        batch.push(api, Timestamp::MAX, b"\xff\0", &[]).expect("fits");
        batch.push(none, Timestamp::MIN, b"", &[("k", b"\xfe")]).expect("fits");
        batch.finish()
    }

    /// The same rows many times over, so that the body is compressed.
    fn large_batch() -> LogBatch {
        let mut batch = BatchBuilder::new(
            TenantId::default(),
            Timestamp::from_nanos(0),
            EqualEntries::Merge,
            &RecordLimits::default(),
        );
        for row in 0..1000 {
            let stream = batch.stream(&Labels::from_pairs([("app", format!("app-{}", row % 7))]));
            let line = format!("GET /item/{} took {} ms", row * 7919 % 1000, row % 13);
            let level = [("detected_level", &b"info"[..])];
            batch
                .push(stream, Timestamp::from_nanos(row * 1_000_003), line.as_bytes(), &level)
                .expect("fits");
        }
        batch.finish()
    }

    #[test]
    fn batches_read_back_whole() {
        let small = small_batch();
        let record = encode(&small);
        assert_eq!(record[1], 0, "stored as it is");
        assert_same(&small, &decode(&record).expect("valid"));
        let large = large_batch();
        let record = encode(&large);
        assert_eq!(record[1], FLAG_ZSTD | FLAG_MERGE);
        assert!(record.len() < large.rows.arena().len() / 2);
        let record = encode_uncompressed(&large);
        assert_eq!(record[1], FLAG_MERGE, "stored as it is");
        assert_same(&large, &decode(&record).expect("valid"));
        assert_same(&large, &decode(&record).expect("valid"));
    }

    #[test]
    fn records_of_version_1_are_read_for_ever() {
        let small = include_bytes!("../../fixtures/batch-record-v1.bin");
        assert_same(&small_batch(), &decode(small).expect("valid"));
        assert_eq!(encode(&small_batch()), small, "a change of the bytes needs a new version");
        let large = include_bytes!("../../fixtures/batch-record-v1-zstd.bin");
        assert_same(&large_batch(), &decode(large).expect("valid"));
    }

    #[test]
    fn a_damaged_record_is_an_error_or_another_batch() {
        for record in [encode(&small_batch()), encode(&large_batch())] {
            for length in 0..record.len().min(400) {
                assert!(decode(&record[..length]).is_err(), "cut to {length}");
            }
            for at in 0..record.len().min(400) {
                for bit in 0..8 {
                    let mut damaged = record.clone();
                    damaged[at] ^= 1 << bit;
                    if let Ok(batch) = decode(&damaged) {
                        rows_of(&batch);
                    }
                }
            }
            let mut longer = record.clone();
            longer.push(0);
            assert!(decode(&longer).is_err());
        }
    }

    #[test]
    fn versions_flags_and_claims_are_checked() {
        let record = encode(&small_batch());
        let with = |at: usize, byte: u8| {
            let mut changed = record.clone();
            changed[at] = byte;
            decode(&changed).expect_err("refused").to_string()
        };
        assert_eq!(with(0, 2), "batch record has version 2, this program reads version 1");
        assert_eq!(with(1, 4), "batch record has unknown flags 0x4 at byte 2");
        // A few bytes that claim gigabytes.
        let mut claim = record[..17].to_vec();
        claim[1] = FLAG_ZSTD;
        write_varint(&mut claim, 8 << 30);
        claim.extend_from_slice(b"\x28\xb5\x2f\xfd");
        let error = decode(&claim).expect_err("refused").to_string();
        assert_eq!(error, "batch record of 26 bytes claims 8589934592 at byte 26");
    }

    #[test]
    fn what_shrinks_too_well_is_stored_as_it_is() {
        let mut batch = BatchBuilder::new(
            TenantId::default(),
            Timestamp::from_nanos(0),
            EqualEntries::Keep,
            &RecordLimits { line_bytes_max: 1 << 20, ..RecordLimits::default() },
        );
        let stream = batch.stream(&Labels::default());
        batch.push(stream, Timestamp::from_nanos(0), &vec![b'x'; 1 << 20], &[]).expect("fits");
        let batch = batch.finish();
        let record = encode(&batch);
        assert!(record.len() > 1 << 20);
        assert_same(&batch, &decode(&record).expect("valid"));
    }

    type RowSpec = (u8, i64, Vec<u8>, Vec<(u8, Vec<u8>)>);

    fn row_spec() -> impl Strategy<Value = RowSpec> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        (0..4u8, any::<i64>(), bytes(), proptest::collection::vec((0..20u8, bytes()), 0..4))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn any_batch_reads_back(rows in proptest::collection::vec(row_spec(), 0..50), received_at: i64) {
            let mut batch = BatchBuilder::new(
                TenantId::default(),
                Timestamp::from_nanos(received_at),
                EqualEntries::Keep,
                &RecordLimits { future_seconds_max: i64::MAX, ..RecordLimits::default() },
            );
            for (stream, nanos, line, metadata) in &rows {
                let stream = batch.stream(&Labels::from_pairs([("s", format!("{stream}"))]));
                let names: Vec<String> = metadata.iter().map(|(name, _)| format!("n{name}")).collect();
                let pairs: Vec<(&str, &[u8])> =
                    names.iter().zip(metadata).map(|(name, (_, value))| (&**name, &**value)).collect();
                // A timestamp beyond the future limit is refused; the others are the test.
                if batch.push(stream, Timestamp::from_nanos(*nanos), line, &pairs).is_ok() && nanos % 3 == 0 {
                    batch.unique_key(&format!("key {nanos}"));
                }
            }
            let batch = batch.finish();
            assert_same(&batch, &decode(&encode(&batch)).expect("valid"));
        }

        #[test]
        fn any_bytes_are_a_batch_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            let _ = decode(&bytes);
        }
    }
}
