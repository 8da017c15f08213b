//! What goes wrong with a PostgreSQL, and what a sender or a reader is to do about it.

use timberyard_model::scan::ScanError;
use timberyard_model::sink::SinkError;
use tokio_postgres::error::SqlState;

/// Why a statement did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostgresError {
    /// No connection, or it was lost. Another attempt may succeed.
    #[error("{0}")]
    Unreachable(String),
    /// Too many want a connection.
    #[error("{0}")]
    Busy(String),
    /// The disk of the database is full.
    #[error("PostgreSQL: {0}")]
    Full(String),
    /// The statement can never succeed with these values.
    #[error("PostgreSQL cannot store this: {0}")]
    Refused(String),
    /// The server, or what is in its database, is not what the statements are written for.
    #[error("{0}")]
    Unsuitable(String),
    /// Two transactions stood in each other's way. Another attempt will succeed.
    #[error("PostgreSQL: {0}")]
    Conflict(String),
    /// The statement was called off.
    #[error("PostgreSQL: {0}")]
    CalledOff(String),
    /// Anything else that the server says.
    #[error("PostgreSQL: {0}")]
    Failed(String),
}

impl PostgresError {
    /// The same, naming the server where it is about reaching it.
    pub(super) fn at(self, address: &str) -> Self {
        match self {
            Self::Unreachable(reason) => {
                Self::Unreachable(format!("PostgreSQL at {address} cannot be reached: {reason}"))
            }
            other => other,
        }
    }

    /// Whether the same may succeed in a moment.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Conflict(_))
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Unreachable(with_cause(&error));
        };
        let reason = format!("{} ({})", said.message(), said.code().code());
        let code = said.code();
        match code.code().get(..2).unwrap_or_default() {
            // Connections, shutting down, too many clients.
            "08" | "57" if *code != SqlState::QUERY_CANCELED => Self::Unreachable(reason),
            "57" => Self::CalledOff(reason),
            "40" | "55" => Self::Conflict(reason),
            "53" if *code == SqlState::DISK_FULL => Self::Full(reason),
            "53" => Self::Unreachable(reason),
            "22" | "54" | "21" => Self::Refused(reason),
            // No such table, column, schema: migrations are missing.
            "42" | "3F" if is_about_what_is_there(code) => {
                Self::Unsuitable(format!("PostgreSQL: {reason}: run `timberyard migrate up`"))
            }
            "28" | "3D" => Self::Unsuitable(format!("PostgreSQL: {reason}")),
            _ => Self::Failed(reason),
        }
    }
}

fn is_about_what_is_there(code: &SqlState) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::INVALID_SCHEMA_NAME].contains(code)
}

/// An error with what caused it: the outer one alone says little.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl From<PostgresError> for SinkError {
    fn from(error: PostgresError) -> Self {
        let reason = error.to_string();
        match error {
            PostgresError::Full(_) => Self::Full(reason),
            PostgresError::Busy(_) | PostgresError::Conflict(_) => {
                Self::Overloaded { reason, retry_after_seconds: 1 }
            }
            PostgresError::Refused(_) => Self::TooLarge(reason),
            _ => Self::Unavailable(reason),
        }
    }
}

impl From<PostgresError> for ScanError {
    fn from(error: PostgresError) -> Self {
        let reason = error.to_string();
        match error {
            PostgresError::Unreachable(_) | PostgresError::Busy(_) | PostgresError::Unsuitable(_) => {
                Self::Unavailable(reason)
            }
            _ => Self::Failed(reason),
        }
    }
}
