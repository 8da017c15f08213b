//! The step `sample`: keeps one row in N, by a hash, so that every server and every retry keeps the same ones.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::description::SampleDescription;
use super::draft::Draft;
use super::step::{Outcome, Step};

pub(super) struct Sample {
    keep_one_in: u64,
    by: Vec<String>,
}

impl Sample {
    pub(super) fn new(description: &SampleDescription) -> Result<Self, String> {
        if description.keep_one_in == 0 {
            return Err("keep_one_in must be at least 1".to_owned());
        }
        Ok(Self { keep_one_in: description.keep_one_in, by: description.by.clone() })
    }

    /// Of the fields, where the row has any of them; else of all that tells rows apart.
    fn hash(&self, row: &Draft<'_>) -> u64 {
        let seeded = |seed: u64, bytes: &[u8]| xxh3_64_with_seed(bytes, seed);
        let fields = self.by.iter().map(|name| row.field(name));
        if fields.clone().any(|value| value.is_some()) {
            return fields.fold(0, |hash, value| seeded(hash, value.unwrap_or_default()));
        }
        let stream = row.labels().stable_hash() ^ xxh3_64(&row.timestamp().as_nanos().to_le_bytes());
        seeded(stream, row.line())
    }
}

impl Step for Sample {
    fn apply(&self, row: &mut Draft<'_>) -> Outcome {
        if self.hash(row).is_multiple_of(self.keep_one_in) { Outcome::Same } else { Outcome::Dropped }
    }
}
