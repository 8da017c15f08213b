//! What a batch was read from, before the record of the batch itself, in the payload of a write-ahead-log record.
//!
//! The bytes are drawn in `docs/format/origin-record.md`. One record holds both, so that they are durable together.

use std::collections::BTreeSet;

use timberyard_model::LogBatch;
use timberyard_model::batch::EqualEntries;
use timberyard_model::origin::{BATCH_ORIGINS_MAX, OriginName, OriginRange};

use crate::byte_reader::{ByteReader, write_counted, write_varint};
use crate::error::DecodeError;

/// The format's version, the first byte of a record. Versions 1 and 2 are the [batch record](crate::batch_record) and the
/// [received record](crate::received_record), one of which follows.
pub const VERSION: u8 = 3;

/// The beginning of a record: the origins. The record of the batch is to be written behind it.
pub fn encode(origins: &[OriginRange]) -> Vec<u8> {
    let mut out = vec![VERSION];
    write_varint(&mut out, origins.len() as u64);
    for OriginRange { name, from, to } in origins {
        write_counted(&mut out, name.as_str().as_bytes());
        write_varint(&mut out, *from);
        write_varint(&mut out, to.saturating_sub(*from));
    }
    out
}

/// The batch of a record; `inner` reads the record that follows the origins.
pub fn decode(
    record: &[u8],
    inner: impl FnOnce(&[u8]) -> Result<LogBatch, DecodeError>,
) -> Result<LogBatch, DecodeError> {
    let mut reader = ByteReader::new(record, 0);
    let version = reader.byte()?;
    if version != VERSION {
        return Err(reader.error(format!("record of origins has version {version}, not {VERSION}")));
    }
    let count = reader.varint()?;
    if count == 0 || count > BATCH_ORIGINS_MAX as u64 {
        return Err(reader.error(format!("batch has {count} origins, it must be 1 to {BATCH_ORIGINS_MAX}")));
    }
    let mut origins = Vec::new();
    for _ in 0..count {
        let name = OriginName::new(reader.text()?).map_err(|error| reader.error(error.to_string()))?;
        let (from, bytes) = (reader.varint()?, reader.varint()?);
        let to = from.checked_add(bytes).filter(|to| *to > from);
        let to = to.ok_or_else(|| reader.error(format!("{bytes} bytes from {from} on are no stretch")))?;
        origins.push(OriginRange { name, from, to });
    }
    if origins.iter().map(|origin| &origin.name).collect::<BTreeSet<_>>().len() != origins.len() {
        return Err(reader.error("an origin is named twice"));
    }
    let rest = reader.rest();
    if rest.first() == Some(&VERSION) {
        return Err(reader.error("a record of origins holds another"));
    }
    Ok(with_origins(inner(rest)?, origins))
}

/// The batch as one that was read from these origins: equal entries of it are two, since it cannot come twice.
pub fn with_origins(batch: LogBatch, origins: Vec<OriginRange>) -> LogBatch {
    match origins.is_empty() {
        true => batch,
        false => LogBatch { origins, equal_entries: EqualEntries::Keep, ..batch },
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::ingest_record::IngestRecord;

    use super::*;
    use crate::test_context::{TestContext, rows_of};
    use crate::{log_record, loki_push_json, loki_push_proto};

    const PUSH: &[u8] =
        br#"{"streams":[{"stream":{"app":"api"},"values":[["1793534400000000000","same"],["1793534400000000000","same"]]}]}"#;

    fn origins() -> Vec<OriginRange> {
        let range = |name, from, to| OriginRange { name: OriginName::new(name).expect("valid"), from, to };
        vec![range("host-1/a", 0, 10), range("host-1/b", 1 << 40, (1 << 40) + 1)]
    }

    /// Two entries that are equal, as a batch and with the body that they came in.
    fn records() -> [IngestRecord; 2] {
        let owned = TestContext::new();
        let context = owned.context();
        let batch = with_origins(loki_push_json::decode(PUSH, &context).expect("valid").batch, origins());
        let mut body = crate::loki_push_encode::PushEncoder::new(batch.rows.get(0).labels());
        for row in batch.rows.iter() {
            body.push(row.timestamp(), row.line());
        }
        let body = body.finish().expect("small");
        let decoded = loki_push_proto::decode(&body, &context).expect("valid");
        let received = loki_push_proto::received(&body, &context);
        [batch.into(), (with_origins(decoded.batch, origins()), received).into()]
    }

    #[test]
    fn batches_come_back_with_their_origins_and_equal_entries_apart() {
        for record in records() {
            let payload = log_record::encode(&record);
            assert_eq!(payload[0], VERSION);
            let batch = log_record::decode(&payload).expect("valid");
            assert_eq!((&batch.origins, batch.equal_entries), (&origins(), EqualEntries::Keep));
            assert_eq!((rows_of(&batch).len(), &batch.tenant), (2, &record.batch.tenant));
        }
    }

    #[test]
    fn records_of_version_3_are_read_for_ever() {
        let fixture = include_bytes!("../fixtures/origin-record-v3.bin");
        let batch = log_record::decode(fixture).expect("valid");
        let [record, _] = records();
        assert_eq!((&batch.origins, rows_of(&batch)), (&origins(), rows_of(&record.batch)));
        assert_eq!(log_record::encode(&record), fixture, "a change of the bytes needs a new version");
    }

    #[test]
    fn a_damaged_record_is_an_error_or_another_batch() {
        let [record, _] = records();
        let payload = log_record::encode(&record);
        for length in 0..payload.len() {
            assert!(log_record::decode(&payload[..length]).is_err(), "cut to {length}");
        }
        for at in 0..payload.len() {
            for bit in 0..8 {
                let mut damaged = payload.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(batch) = log_record::decode(&damaged) {
                    rows_of(&batch);
                }
            }
        }
        let nested = [encode(&origins()), payload].concat();
        assert!(log_record::decode(&nested).is_err());
        let twice = encode(&[&origins()[..], &origins()[..1]].concat());
        let error = decode(&twice, |_| unreachable!("refused before")).expect_err("refused").to_string();
        assert!(error.contains("an origin is named twice"), "{error}");
    }
}
