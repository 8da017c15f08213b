//! One ClickHouse server as sinks and sources share it: settings, connections, and tables that are made once.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::connection::{ClickHouseError, Connection};
use super::relation::Relation;
use super::row_binary::{RowReadError, RowReader};
use super::schema::{Schema, SchemaStep};
use super::settings::ClickHouseSettings;
use super::statement::Statement;

/// The oldest version whose tables can hold what these do.
const VERSION_LEAST: (u32, u32) = (24, 8);
/// Answers to questions about the server are short.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A server that is known by its settings. Nothing is connected before it is asked something.
pub struct ClickHouseServer {
    pub(super) settings: ClickHouseSettings,
    pub(super) connection: Connection,
    pub(super) schema: Schema,
    /// Known once tables are there.
    relation: OnceCell<Relation>,
    expected_relation: Relation,
}

impl ClickHouseServer {
    /// The server of these settings.
    ///
    /// # Errors
    /// What is wrong with them, beginning with the setting's name.
    pub fn new(settings: ClickHouseSettings) -> Result<Arc<Self>, String> {
        settings.check()?;
        let (connection, schema) = (Connection::new(&settings)?, Schema::new(&settings));
        let (relation, expected_relation) = (OnceCell::new(), schema.expected_relation());
        Ok(Arc::new(Self { settings, connection, schema, relation, expected_relation }))
    }

    /// Makes tables once, when that is wanted, and gives what is read from.
    pub(super) async fn make_ready(&self) -> Result<&Relation, ClickHouseError> {
        let make = || async {
            if self.settings.create {
                self.migrate().await?;
            }
            self.schema.relation(&self.connection).await
        };
        self.relation.get_or_try_init(make).await
    }

    /// What is read from, as far as that is known.
    pub(super) fn relation(&self) -> &Relation {
        self.relation.get().unwrap_or(&self.expected_relation)
    }

    /// Asks it for next to nothing.
    pub(super) async fn ping(&self) -> Result<(), ClickHouseError> {
        self.connection.execute(&Statement::new("SELECT 1")).await
    }

    /// Takes the steps that are missing, and gives their names.
    ///
    /// # Errors
    /// The first statement that failed; those before it stay.
    pub async fn migrate(&self) -> Result<Vec<&'static str>, ClickHouseError> {
        let taken = self.schema.bring_up_to_date(&self.connection).await?;
        for step in &taken {
            tracing::info!(step, table = self.settings.table(), "made tables in ClickHouse");
        }
        Ok(taken)
    }

    /// All steps, each with whether the server has seen it.
    ///
    /// # Errors
    /// That the server cannot be asked.
    pub async fn steps(&self) -> Result<Vec<(SchemaStep, bool)>, ClickHouseError> {
        let applied = self.schema.applied(&self.connection).await?;
        let seen = |step: SchemaStep| {
            let is_applied = applied.contains(&step.version);
            (step, is_applied)
        };
        Ok(self.schema.steps().into_iter().map(seen).collect())
    }

    /// Asks the server what it is, and whether the table is there.
    ///
    /// # Errors
    /// What is wrong, and what to do about it.
    pub async fn connect_check(&self) -> Result<String, String> {
        let ClickHouseSettings { url, user, database, create, .. } = &self.settings;
        let version = match self.text_of(&Statement::new("SELECT version()")).await {
            Ok(version) => version,
            Err(error) => {
                let advice = match error.code() {
                    Some(AUTHENTICATION_FAILED) => format!("; check user `{user}` and password"),
                    None => format!("; is there a server at {url}?"),
                    Some(_) => String::new(),
                };
                return Err(format!("{error}{advice}"));
            }
        };
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if found < VERSION_LEAST {
            let (major, minor) = VERSION_LEAST;
            return Err(format!(
                "ClickHouse {version} at {url} is too old: {major}.{minor} or newer is needed"
            ));
        }
        let table = self.settings.table();
        let columns = self.schema.columns(&self.connection).await.map_err(|error| error.to_string())?;
        if !columns.is_empty() {
            self.schema.check_columns(&columns)?;
            return Ok(format!("ClickHouse {version}, table {database}.{table}, {} columns", columns.len()));
        }
        if *create {
            return Ok(format!("ClickHouse {version}, table {database}.{table} will be made"));
        }
        Err(format!(
            "ClickHouse {version} at {url} has no table {database}.{table}; run `timberyard migrate up`, or set \
             `create: true`"
        ))
    }

    async fn text_of(&self, asked: &Statement) -> Result<String, ClickHouseError> {
        let answer = self.connection.fetch(asked, ANSWER_BYTES_MAX).await?;
        let malformed = |error: RowReadError| ClickHouseError::Malformed(error.to_string());
        Ok(RowReader::new(&answer).name().map_err(malformed)?.to_owned())
    }
}

const AUTHENTICATION_FAILED: u32 = 516;
