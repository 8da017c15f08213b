//! Writes to another system's table, which knows nothing of rows that are there already.
//!
//! Where the table has ids, whoever is not sure asks for them first: after a start and after a failure, when an insert is sent again,
//! and when the rows were read from somewhere. Without ids there is ClickHouse's own memory of inserts, for an insert that is sent again;
//! rows that a process had written when it was killed may come twice.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use timberyard_model::LogBatch;
use timberyard_model::sink::SinkError;
use uuid::Uuid;

use super::adopted::{AdoptedRows, AdoptedTable, check};
use super::connection::ClickHouseError;
use super::row_binary::RowReader;
use super::sink::{Outgoing, Shared, WRITES_AT_ONCE, Waiting, answer_all, token};

/// Ids asked for at once.
const IDS_MAX: usize = 5_000;
/// An answer of so many ids is smaller, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl Shared {
    /// Stores a group and answers everybody in it.
    pub(super) async fn store_in(&self, table: &AdoptedTable, group: Vec<Waiting>) {
        let mut admitted = Vec::with_capacity(group.len());
        for waiting in group {
            match self.refuse(table, &waiting.batch) {
                Ok(()) => admitted.push(waiting),
                Err(refused) => answer_all(vec![waiting], &Err(refused)),
            }
        }
        if admitted.is_empty() {
            return;
        }
        let hashes = self.begin(&admitted);
        let mut rows = AdoptedRows::default();
        for (waiting, hash) in admitted.iter().zip(&hashes) {
            rows.push(table, &waiting.batch, *hash);
        }
        let are_repeated = admitted.iter().any(|waiting| !waiting.batch.origins.is_empty())
            || self.unsure.load(Ordering::Relaxed) > 0;
        let outgoing = Outgoing::Adopted { table, rows: &rows, are_repeated };
        let outcome = self.send(&table.insert_sql(), token(&hashes), &outgoing).await;
        let unsure = match outcome {
            Ok(()) => self.unsure.load(Ordering::Relaxed).saturating_sub(admitted.len()),
            Err(_) => WRITES_AT_ONCE,
        };
        self.unsure.store(unsure, Ordering::Relaxed);
        self.finish(admitted, hashes, outcome);
    }

    /// The bytes to send, the first time or again.
    pub(super) async fn rows_of(
        &self,
        outgoing: &Outgoing<'_>,
        is_again: bool,
    ) -> Result<Bytes, ClickHouseError> {
        match outgoing {
            Outgoing::Own(rows) => Ok(rows.clone()),
            Outgoing::Adopted { table, rows, are_repeated } if is_again || *are_repeated => {
                Ok(rows.without(&self.known(table, rows).await?))
            }
            Outgoing::Adopted { rows, .. } => Ok(rows.without(&HashSet::new())),
        }
    }

    fn refuse(&self, table: &AdoptedTable, batch: &LogBatch) -> Result<(), SinkError> {
        if !batch.unique_keys.is_empty() && !self.is_copy {
            return Err(SinkError::TooLarge(
                "a table of another system cannot tell which event ids are taken: let events go to another sink"
                    .to_owned(),
            ));
        }
        check(table, batch)
    }

    /// Which rows are in the table already.
    async fn known(
        &self,
        table: &AdoptedTable,
        rows: &AdoptedRows,
    ) -> Result<HashSet<Uuid>, ClickHouseError> {
        let (ids, mut known) = (rows.ids().collect::<Vec<Uuid>>(), HashSet::new());
        let Some(bounds) = rows.time_bounds() else { return Ok(known) };
        for ids in ids.chunks(IDS_MAX) {
            let Some(asked) = table.known_ids(ids, bounds) else { break };
            let answer = self.server.connection.fetch(&asked, ANSWER_BYTES_MAX).await?;
            let mut reader = RowReader::new(&answer);
            while !reader.is_at_end() {
                let id = reader.name().map_err(|error| ClickHouseError::Malformed(error.to_string()))?;
                known.extend(Uuid::parse_str(id));
            }
        }
        Ok(known)
    }
}
