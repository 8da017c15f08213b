//! What a decoder is told besides the body, and what it gives back.

use timberyard_model::batch::{EqualEntries, LogBatch};
use timberyard_model::{BatchBuilder, Limits, TenantId, Timestamp};

use crate::label_attributes::LabelAttributes;

/// Everything about a request that does not stand in its body.
#[derive(Clone, Copy, Debug)]
pub struct DecodeContext<'a> {
    /// Whose records these are.
    pub tenant: &'a TenantId,
    /// When the request came: the time of records without one, and what "in the future" is measured from.
    pub received_at: Timestamp,
    /// The sender's address, when it is known and trusted.
    pub client_ip: Option<&'a str>,
    /// The name of this node, for `ingested_node_id`.
    pub node_id: &'a str,
    /// Bounds on the body and on each record.
    pub limits: &'a Limits,
    /// Whether streams without `service_name` get one from Loki's discovery list.
    pub discover_service_name: bool,
    /// Whether records get `detected_level` as structured metadata.
    pub detect_level: bool,
    /// Which attributes of OTLP's resources become labels.
    pub label_attributes: &'a LabelAttributes,
}

impl DecodeContext<'_> {
    /// An empty batch for this request.
    pub fn batch(&self, equal_entries: EqualEntries) -> BatchBuilder {
        BatchBuilder::new(self.tenant.clone(), self.received_at, equal_entries, &self.limits.record)
    }
}

/// What a body held.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The records that were taken.
    pub batch: LogBatch,
    /// The records that were refused while their neighbours were taken.
    pub rejected: Rejections,
}

/// One record, or all records of one stream, that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The record's position in the body, from 0; for a refused stream, the position of its first record.
    pub index: u64,
    /// Why, in words for the sender.
    pub reason: String,
}

/// Refused records: all are counted, the first few are described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// How many records were refused.
    pub count: u64,
    /// The first of them, at most [`Rejections::DESCRIBED_MAX`].
    pub described: Vec<Rejection>,
    /// Bytes of all reasons that are kept.
    reason_bytes: usize,
}

impl Rejections {
    /// How many refusals are described; a body of nothing but bad records must not become a reply of megabytes.
    pub const DESCRIBED_MAX: usize = 100;
    /// Bytes of descriptions after which the rest is only counted.
    pub const DESCRIBED_BYTES_MAX: usize = 64 << 10;

    /// Counts a refused record, and describes it if there is room.
    pub fn add(&mut self, index: u64, reason: impl FnOnce() -> String) {
        self.count += 1;
        if self.described.len() < Self::DESCRIBED_MAX && self.reason_bytes < Self::DESCRIBED_BYTES_MAX {
            let reason = reason();
            self.reason_bytes += reason.len();
            self.described.push(Rejection { index, reason });
        }
    }

    /// All reasons in one text, equal ones told once with their number, as Loki does it.
    pub fn grouped(&self) -> String {
        let mut groups: Vec<(&str, u64)> = Vec::new();
        for rejection in &self.described {
            match groups.iter_mut().find(|(reason, _)| *reason == rejection.reason) {
                Some((_, count)) => *count += 1,
                None => groups.push((&rejection.reason, 1)),
            }
        }
        let text = match groups.as_slice() {
            [(reason, 1)] => (*reason).to_owned(),
            groups => {
                let groups: Vec<_> =
                    groups.iter().map(|(reason, count)| format!("{count} errors like: {reason}")).collect();
                groups.join("; ")
            }
        };
        match self.described.len() {
            Self::DESCRIBED_MAX.. => format!("{text}; {} records refused in all", self.count),
            _ => text,
        }
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_refusals_are_counted_and_the_first_described() {
        let mut rejections = Rejections::default();
        assert!(rejections.is_empty());
        for index in 0..1000 {
            rejections.add(index, || format!("record {index}"));
        }
        assert_eq!(rejections.count, 1000);
        assert_eq!(rejections.described.len(), Rejections::DESCRIBED_MAX);
        assert_eq!(rejections.described[7], Rejection { index: 7, reason: "record 7".to_owned() });
        assert!(rejections.grouped().ends_with("; 1000 records refused in all"));
        let mut long = Rejections::default();
        for index in 0..10 {
            long.add(index, || "x".repeat(40_000));
        }
        assert_eq!((long.count, long.described.len()), (10, 2));
    }

    #[test]
    fn equal_reasons_are_told_once() {
        let mut rejections = Rejections::default();
        rejections.add(0, || "too long".to_owned());
        assert_eq!(rejections.grouped(), "too long");
        rejections.add(1, || "too new".to_owned());
        rejections.add(2, || "too long".to_owned());
        assert_eq!(rejections.grouped(), "2 errors like: too long; 1 errors like: too new");
    }
}
