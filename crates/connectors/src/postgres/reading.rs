//! Reading for callers that block: waiting with an eye on whether anybody still waits for the answer.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::Object;
use timberyard_model::Cancellation;
use timberyard_model::scan::ScanError;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::failure::PostgresError;
use super::pool::PostgresPool;
use super::transaction::Transaction;

/// How often it is looked at whether an answer is still wanted.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Begins what sees one state of the database, and changes nothing.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A pool, and the runtime that its connections live on. Its methods block: not to be called on that runtime's own
/// threads.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) pool: PostgresPool,
    pub(super) runtime: Handle,
}

/// A statement's values, each with its type: a statement is sent with them, without being prepared before.
#[derive(Default)]
pub(super) struct Values(Vec<(Box<dyn ToSql + Sync + Send>, Type)>);

impl Values {
    /// Adds a value, and gives what stands for it in the statement.
    pub(super) fn add(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> String {
        self.0.push((Box::new(value), kind));
        format!("${}", self.0.len())
    }

    /// Adds a text without NUL.
    pub(super) fn text(&mut self, value: &str) -> String {
        self.add(value.replace('\0', "\u{fffd}"), Type::TEXT)
    }

    /// Adds a number.
    pub(super) fn number(&mut self, value: i64) -> String {
        self.add(value, Type::INT8)
    }
}

/// The rows that a statement answers.
pub(super) async fn query(
    connection: &Object,
    statement: &str,
    values: &Values,
) -> Result<Vec<Row>, PostgresError> {
    let values: Vec<(&(dyn ToSql + Sync), Type)> =
        values.0.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
    Ok(connection.query_typed(statement, &values).await?)
}

impl Reader {
    /// Waits for something, as long as it is wanted.
    pub(super) fn wait<T>(
        &self,
        cancellation: &Cancellation,
        work: impl Future<Output = Result<T, PostgresError>>,
    ) -> Result<T, ScanError> {
        self.runtime.block_on(async {
            let mut work = pin!(work);
            loop {
                if let Some(reason) = cancellation.reason() {
                    return Err(ScanError::Cancelled(reason));
                }
                if let Ok(done) = timeout(LOOK_INTERVAL, &mut work).await {
                    return done.map_err(ScanError::from);
                }
            }
        })
    }

    /// Begins a transaction that sees one state of the database.
    pub(super) fn begin(&self, cancellation: &Cancellation) -> Result<Transaction, ScanError> {
        self.wait(cancellation, async {
            let transaction = Transaction::on(self.pool.get().await?);
            transaction.connection()?.batch_execute(BEGIN).await?;
            Ok(transaction)
        })
    }

    /// Waits for a statement; called off, it is ended in the server too.
    pub(super) fn query(
        &self,
        transaction: &Transaction,
        cancellation: &Cancellation,
        statement: &str,
        values: &Values,
    ) -> Result<Vec<Row>, ScanError> {
        let connection = transaction.connection()?;
        let answer = self.wait(cancellation, query(connection, statement, values));
        if matches!(answer, Err(ScanError::Cancelled(_))) {
            self.runtime.spawn(self.pool.call_off(connection));
        }
        answer
    }

    /// Gives a transaction's connection back, in the background.
    pub(super) fn leave(&self, transaction: Transaction) {
        self.runtime.spawn(async move {
            // What takes longer than that is closed.
            let _ = timeout(Duration::from_secs(1), transaction.leave()).await;
        });
    }
}
