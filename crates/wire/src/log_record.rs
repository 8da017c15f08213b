//! What the write-ahead log keeps of a record: the body as it came where that stands for the batch, else the batch.

use timberyard_model::LogBatch;
use timberyard_model::ingest_record::IngestRecord;

use crate::error::DecodeError;
use crate::{batch_record, received_record};

/// The payload of a log record.
pub fn encode(record: &IngestRecord) -> Vec<u8> {
    match &record.received {
        Some(received) => received_record::encode(received, &record.batch.tenant, record.batch.received_at),
        None => batch_record::encode(&record.batch),
    }
}

/// The batch of a payload, of either kind.
pub fn decode(payload: &[u8]) -> Result<LogBatch, DecodeError> {
    match payload.first() {
        Some(&received_record::VERSION) => received_record::decode(payload),
        _ => batch_record::decode(payload),
    }
}
