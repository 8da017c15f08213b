//! What the write-ahead log keeps of a record: the body as it came where that stands for the batch, else the batch; before
//! it what the batch was read from, where that is known.

use timberyard_model::LogBatch;
use timberyard_model::ingest_record::IngestRecord;

use crate::error::DecodeError;
use crate::{batch_record, origin_record, received_record};

/// The payload of a log record.
pub fn encode(record: &IngestRecord) -> Vec<u8> {
    let batch = &record.batch;
    let stored = match &record.received {
        Some(received) => received_record::encode(received, &batch.tenant, batch.received_at),
        None => batch_record::encode(batch),
    };
    if batch.origins.is_empty() {
        return stored;
    }
    let mut out = origin_record::encode(&batch.origins);
    out.extend_from_slice(&stored);
    out
}

/// The batch of a payload, of any kind.
pub fn decode(payload: &[u8]) -> Result<LogBatch, DecodeError> {
    match payload.first() {
        Some(&origin_record::VERSION) => origin_record::decode(payload, decode_rows),
        _ => decode_rows(payload),
    }
}

fn decode_rows(payload: &[u8]) -> Result<LogBatch, DecodeError> {
    match payload.first() {
        Some(&received_record::VERSION) => received_record::decode(payload),
        _ => batch_record::decode(payload),
    }
}
