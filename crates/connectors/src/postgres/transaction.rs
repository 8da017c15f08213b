//! A connection on which a transaction is open, or about to be.

use deadpool_postgres::Object;

use super::failure::PostgresError;

/// Dropped before its transaction has ended, the connection is closed, which ends it.
pub(super) struct Transaction(Option<Object>);

impl Transaction {
    /// On that connection; whoever holds it begins.
    pub(super) fn on(connection: Object) -> Self {
        Self(Some(connection))
    }

    /// The connection.
    pub(super) fn connection(&self) -> Result<&Object, PostgresError> {
        self.0.as_ref().ok_or_else(|| PostgresError::Failed("transaction has ended".to_owned()))
    }

    /// The transaction has ended, and the connection can be used again.
    pub(super) fn ended(&mut self) {
        self.0 = None;
    }

    /// Ends a transaction that has changed nothing, so that the connection can be used again.
    pub(super) async fn leave(mut self) {
        let Ok(connection) = self.connection() else { return };
        if connection.batch_execute("ROLLBACK").await.is_ok() {
            self.ended();
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}
