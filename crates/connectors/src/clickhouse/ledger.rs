//! What must not be stored twice: stretches of origins and unique keys, judged before rows are inserted.
//!
//! The table behind it is filled by the engine itself from the rows of an insert, so whoever asks for an insert and dies leaves
//! rows and ledger, or neither. Batches of one process are judged one group after the other; of several processes that store
//! stretches of one origin at the same moment, as no agent and no group of Kafka's consumers does, both may.

use std::collections::{HashMap, HashSet};

use timberyard_model::origin::{AlreadyStored, OriginName};
use timberyard_model::sink::SinkError;
use timberyard_model::{LogBatch, TenantId};

use super::connection::{ClickHouseError, Connection};
use super::row_binary::{RowReadError, RowReader};
use super::schema::Schema;
use super::statement::Statement;

/// Names asked for at once.
const NAMES_MAX: usize = 5_000;
/// An answer of so many names is smaller, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What is known of names that a group of batches has.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    ends: HashMap<(TenantId, Box<str>), u64>,
    keys: HashSet<(TenantId, Box<str>)>,
}

/// Whether a batch has to be judged.
pub(super) fn is_guarded(batch: &LogBatch) -> bool {
    !batch.origins.is_empty() || !batch.unique_keys.is_empty()
}

impl Ledger {
    /// Reads what is known of the names of these batches.
    pub(super) async fn read<'b>(
        connection: &Connection,
        schema: &Schema,
        batches: impl Iterator<Item = &'b LogBatch>,
    ) -> Result<Self, ClickHouseError> {
        let mut wanted: HashMap<(&TenantId, &str), Vec<&str>> = HashMap::new();
        for batch in batches {
            let origins = batch.origins.iter().map(|origin| ("origin", origin.name.as_str()));
            let keys = batch.unique_keys.iter().map(|key| ("key", &*key.key));
            for (kind, name) in origins.chain(keys) {
                wanted.entry((&batch.tenant, kind)).or_default().push(name);
            }
        }
        let mut ledger = Self::default();
        for ((tenant, kind), names) in wanted {
            for names in names.chunks(NAMES_MAX) {
                let mut asked = Statement::new(format!(
                    "SELECT name, max(position) FROM {} WHERE tenant = ",
                    schema.ledger()
                ));
                asked.text(tenant.as_str()).push(" AND kind = ").text(kind).push(" AND has(");
                asked.texts(names.iter().copied()).push(", name) GROUP BY name");
                let answer = connection.fetch(&asked, ANSWER_BYTES_MAX).await?;
                ledger
                    .take(tenant, kind, &answer)
                    .map_err(|error| ClickHouseError::Malformed(error.to_string()))?;
            }
        }
        Ok(ledger)
    }

    fn take(&mut self, tenant: &TenantId, kind: &str, answer: &[u8]) -> Result<(), RowReadError> {
        let mut reader = RowReader::new(answer);
        while !reader.is_at_end() {
            let (name, position) = ((tenant.clone(), reader.name()?.into()), reader.u64()?);
            if kind == "key" {
                self.keys.insert(name);
            } else {
                self.ends.insert(name, position);
            }
        }
        Ok(())
    }

    /// Whether a batch may be stored, and if so takes note of it for those behind it.
    pub(super) fn admit(&mut self, batch: &LogBatch) -> Result<(), SinkError> {
        let named = |name: &str| (batch.tenant.clone(), Box::from(name));
        let end_of = |name: &OriginName| self.ends.get(&named(name.as_str())).copied();
        if let Some(stored) = AlreadyStored::of(&batch.origins, end_of) {
            return Err(SinkError::AlreadyStored(stored));
        }
        let mut own = HashSet::new();
        for unique in &batch.unique_keys {
            let key = named(&unique.key);
            if self.keys.contains(&key) || !own.insert(key) {
                return Err(SinkError::Duplicate { key: unique.key.clone(), row: unique.row });
            }
        }
        self.keys.extend(own);
        self.ends.extend(batch.origins.iter().map(|origin| (named(origin.name.as_str()), origin.to)));
        Ok(())
    }
}
