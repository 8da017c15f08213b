//! The labels of streams, by the hash that rows have of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use timberyard_model::label_values::LabelCollector;
use timberyard_model::scan::ScanError;
use timberyard_model::time::TimeRange;
use timberyard_model::{Labels, TenantId};

use super::connection::Connection;
use super::relation::Relation;
use super::row_binary::{RowReadError, RowReader};
use super::statement::Statement;

/// Streams whose labels are kept from one query to the next.
const KEPT_MAX: usize = 100_000;
/// Streams asked for at once.
const ASKED_MAX: usize = 10_000;
/// What an answer about so many may hold, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Labels that were seen. A hash stands for the same labels always, so nothing in it is ever out of date.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamLabels(Arc<Mutex<HashMap<u64, Labels>>>);

/// Reads a map of labels.
pub(super) fn read_labels(reader: &mut RowReader<'_>) -> Result<Labels, RowReadError> {
    let mut pairs = Vec::new();
    reader.map_into(&mut pairs)?;
    let text =
        |value| std::str::from_utf8(value).map_err(|_| RowReadError::Malformed("a label that is not UTF-8"));
    let pairs: Vec<(&str, &str)> =
        pairs.into_iter().map(|(name, value)| Ok((name, text(value)?))).collect::<Result<_, _>>()?;
    Ok(Labels::from_pairs(pairs))
}

/// An answer that cannot be read, as a query says it.
pub(super) fn unreadable(error: RowReadError) -> ScanError {
    ScanError::Failed(format!("clickhouse answered what cannot be read: {error}"))
}

impl StreamLabels {
    /// The labels of these streams of a tenant, of which each has a row in the range.
    pub(super) async fn of(
        &self,
        connection: &Connection,
        relation: &Relation,
        (tenant, range): (&TenantId, TimeRange),
        streams: &[u64],
    ) -> Result<HashMap<u64, Labels>, ScanError> {
        let mut found = HashMap::with_capacity(streams.len());
        let mut missing = Vec::new();
        {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for stream in streams {
                match kept.get(stream) {
                    Some(labels) => drop(found.insert(*stream, labels.clone())),
                    None => missing.push(*stream),
                }
            }
        }
        for asked_for in missing.chunks(ASKED_MAX) {
            let mut asked = Statement::new("SELECT stream, any(labels) FROM ");
            asked.append(&relation.streams(range));
            asked.append(&relation.streams_where(tenant, range));
            asked.push(" AND has(").uints(asked_for.to_vec()).push(", stream) GROUP BY stream");
            let answer = connection.fetch(&asked, ANSWER_BYTES_MAX).await?;
            let mut reader = RowReader::new(&answer);
            while !reader.is_at_end() {
                let stream = reader.u64().map_err(unreadable)?;
                found.insert(stream, read_labels(&mut reader).map_err(unreadable)?);
            }
        }
        if let Some(stream) = missing.iter().find(|stream| !found.contains_key(stream)) {
            return Err(ScanError::Failed(format!(
                "the table of streams has no labels of stream {stream}, which has rows"
            )));
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + missing.len() > KEPT_MAX {
            kept.clear();
        }
        kept.extend(missing.iter().filter_map(|stream| Some((*stream, found.get(stream)?.clone()))));
        Ok(found)
    }
}

/// Takes names and values of labels from an answer that has one of each a row.
pub(super) fn collect_labels(answer: &[u8], collector: &mut LabelCollector<'_>) -> Result<(), ScanError> {
    let mut reader = RowReader::new(answer);
    while !reader.is_at_end() {
        let name = reader.name().map_err(unreadable)?;
        let value = reader.name().map_err(unreadable)?;
        // An empty label is an absent one.
        if !value.is_empty() {
            collector.add(name, value)?;
        }
    }
    Ok(())
}
