//! A record of the formats whose records bring names and values of their own: complete with its service, and added.

use std::borrow::Cow;

use timberyard_model::Timestamp;

use crate::context::DecodeContext;
use crate::record_batch::{Record, RecordBatch};
use crate::service_name::{DISCOVERY_LABELS, SERVICE_NAME, UNKNOWN_SERVICE};

/// A record whose names and values were put together from what was sent.
pub(crate) struct MappedRecord<'a> {
    /// Labels, in any order; empty ones are left out, of equal names the last counts.
    pub(crate) labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(crate) metadata: Vec<(Cow<'a, str>, &'a [u8])>,
    pub(crate) timestamp: Timestamp,
    pub(crate) line: &'a [u8],
    /// The service, when no label names it.
    pub(crate) service: Option<&'a str>,
}

impl MappedRecord<'_> {
    /// Adds the record, under the time it was received where its own is out of bounds: for senders that would not hear of a
    /// refusal.
    pub(crate) fn push_at_any_time(
        mut self,
        context: &DecodeContext<'_>,
        batch: &mut RecordBatch,
    ) -> Result<(), String> {
        self.complete(context)?;
        self.push_at(self.timestamp, batch).or_else(|_| self.push_at(context.received_at, batch))
    }

    /// Adds the record, or says why it is refused.
    pub(crate) fn push(mut self, context: &DecodeContext<'_>, batch: &mut RecordBatch) -> Result<(), String> {
        self.complete(context)?;
        self.push_at(self.timestamp, batch)
    }

    /// Checks the labels and names the service, where that is wanted.
    fn complete(&mut self, context: &DecodeContext<'_>) -> Result<(), String> {
        let limit = context.limits.record.label_value_bytes_max;
        if let Some((name, value)) = self.labels.iter().find(|(_, value)| value.len() > limit) {
            return Err(format!("label `{name}` is {} bytes, limit is {limit}", value.len()));
        }
        if context.discover_service_name {
            add_service_name(&mut self.labels, self.service.filter(|service| !service.is_empty()));
        }
        Ok(())
    }

    fn push_at(&self, timestamp: Timestamp, batch: &mut RecordBatch) -> Result<(), String> {
        let record = Record { labels: &self.labels, timestamp, line: self.line, metadata: &self.metadata };
        batch.push(&record).map_err(|error| error.to_string())
    }
}

/// Names the service of labels that do not: by Loki's list, else by `otherwise`.
fn add_service_name<'a>(labels: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>, otherwise: Option<&'a str>) {
    if labels.iter().any(|(name, value)| name == SERVICE_NAME && !value.is_empty()) {
        return;
    }
    // The best of Loki's list, found in one walk over the few labels.
    let rank = |name: &str| DISCOVERY_LABELS.iter().position(|known| *known == name);
    let ranked = labels.iter().filter(|(_, value)| !value.is_empty());
    let ranked = ranked.filter_map(|(name, value)| Some((rank(name)?, value)));
    let service = match ranked.min_by_key(|(rank, _)| *rank) {
        Some((_, value)) => value.clone(),
        None => Cow::Borrowed(otherwise.unwrap_or(UNKNOWN_SERVICE)),
    };
    labels.push((Cow::Borrowed(SERVICE_NAME), service));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_its_own_label_then_by_lokis_list_then_by_what_is_at_hand() {
        type Case = (&'static [(&'static str, &'static str)], Option<&'static str>, &'static str);
        let cases: [Case; 4] = [
            (&[("service_name", "own"), ("app", "a")], Some("x"), "own"),
            (&[("job", "j"), ("app", "a")], Some("x"), "a"),
            (&[("env", "e")], Some("x"), "x"),
            (&[("service_name", "")], None, UNKNOWN_SERVICE),
        ];
        for (labels, otherwise, expected) in cases {
            let pairs = labels.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)));
            let mut labels: Vec<_> = pairs.collect();
            add_service_name(&mut labels, otherwise);
            let last = labels.iter().rev().find(|pair| pair.0 == SERVICE_NAME);
            assert_eq!(last.map(|pair| &*pair.1), Some(expected));
        }
    }
}
