//! The label sets of a segment's streams, put together one by one as they are asked for, for as long as one
//! reader holds the table.

use std::sync::{Arc, OnceLock};

use timberyard_model::Labels;

use super::label_index::LabelIndex;

/// Streams that get their places together.
const CHUNK_STREAMS: usize = 256;

type Chunk = Box<[OnceLock<Labels>]>;

/// A reader's label sets. Sorted; a stream's number is its place.
pub(crate) struct StreamTable {
    labels: Arc<LabelIndex>,
    chunks: Box<[OnceLock<Chunk>]>,
}

impl StreamTable {
    pub(super) fn new(labels: Arc<LabelIndex>) -> Self {
        let chunks = labels.streams().div_ceil(CHUNK_STREAMS);
        Self { labels, chunks: (0..chunks).map(|_| OnceLock::new()).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.streams()
    }

    pub(crate) fn get(&self, stream: usize) -> Option<&Labels> {
        if stream >= self.len() {
            return None;
        }
        let chunk = self.chunks.get(stream / CHUNK_STREAMS)?;
        let chunk = chunk.get_or_init(|| (0..CHUNK_STREAMS).map(|_| OnceLock::new()).collect());
        let labels = chunk.get(stream % CHUNK_STREAMS)?;
        Some(labels.get_or_init(|| self.labels.labels_of(stream)))
    }
}
