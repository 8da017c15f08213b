//! A batch on its way from the door to the sinks.

use std::sync::Arc;

use crate::batch::LogBatch;
use crate::limits::Limits;

/// A batch, with the body it was decoded from where that body alone gives the batch again.
///
/// A sink that keeps records for replay may keep the body instead of the batch: it is compressed already. Whoever
/// changes the batch leaves the body behind.
#[derive(Clone, Debug)]
pub struct IngestRecord {
    /// The rows.
    pub batch: Arc<LogBatch>,
    /// What they were decoded from.
    pub received: Option<Arc<ReceivedBody>>,
}

/// A request's body as it came, with every setting that had a say in decoding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedBody {
    /// Which decoder reads it.
    pub format: ReceivedFormat,
    /// The bytes that the decoder was given.
    pub bytes: Box<[u8]>,
    /// The limits at that time: they decide which records are refused.
    pub limits: Limits,
    /// Whether a service name was discovered.
    pub discover_service_name: bool,
    /// Whether levels were detected.
    pub detect_level: bool,
}

/// Formats whose bodies stand for their batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedFormat {
    /// Loki's push as protobuf in a Snappy block.
    LokiPushProto,
}

impl IngestRecord {
    /// Memory that it holds until every sink has it, with what a log keeps of it: the body, or the rows once more.
    pub fn held_bytes(&self) -> usize {
        let rows = self.batch.rows.bytes();
        rows.saturating_add(self.received.as_ref().map_or(rows, |received| received.bytes.len()))
    }
}

impl From<LogBatch> for IngestRecord {
    fn from(batch: LogBatch) -> Self {
        Self { batch: Arc::new(batch), received: None }
    }
}

impl From<(LogBatch, ReceivedBody)> for IngestRecord {
    fn from((batch, received): (LogBatch, ReceivedBody)) -> Self {
        Self { batch: Arc::new(batch), received: Some(Arc::new(received)) }
    }
}
