//! What the server asks of the store about deletions; `app` implements it.

use std::future::Future;
use std::pin::Pin;

use timberyard_model::{RowSelector, TenantId, TimeRange, Timestamp};

use crate::error_response::ErrorResponse;
use crate::operations::{OperationError, OperationFuture};

/// What comes of calling a deletion off, or asking for one.
pub type DeletionFuture<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Deletions of one store, tenant by tenant. Whoever calls has made sure that the tenant may be asked about.
pub trait Deletions: Send + Sync {
    /// Hides the rows that are there, durably, and names the deletion.
    fn delete(&self, wanted: WantedDeletion, now: Timestamp) -> DeletionFuture<'_, String, DeleteError>;

    /// Those of a tenant, the oldest first.
    fn list(&self, tenant: TenantId) -> OperationFuture<'_, Vec<Deletion>>;

    /// Shows the rows of a deletion again, durably.
    fn cancel(&self, wanted: WantedCancellation, now: Timestamp) -> DeletionFuture<'_, (), CancelError>;
}

/// A deletion that somebody asks for.
#[derive(Clone, Debug)]
pub struct WantedDeletion {
    /// Whose rows.
    pub tenant: TenantId,
    /// Which of them.
    pub selector: RowSelector,
    /// What was asked, for showing only.
    pub query: String,
}

/// A deletion that somebody wants to call off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedCancellation {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub id: String,
    /// Whether it is to be called off although some rows may be gone.
    pub force: bool,
}

/// A deletion that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Its name.
    pub id: String,
    /// What was asked.
    pub query: String,
    /// The times it is about.
    pub range: TimeRange,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Whether no file holds a row of it any more.
    pub is_carried_out: bool,
    /// Why the store does not understand it, when it does not: it hides nothing then, and waits.
    pub problem: Option<String>,
}

/// Why rows are not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    /// The request is more than the store takes.
    #[error("{0}")]
    Refused(String),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] OperationError),
}

/// Why a deletion is not called off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// The tenant has none of that name.
    #[error("there is no such deletion")]
    NotFound,
    /// Its rows are gone.
    #[error("the deletion has been carried out")]
    CarriedOut,
    /// It may be under way.
    #[error("the deletion is more than {period_seconds} seconds old")]
    Late {
        /// How long it could be called off, in seconds.
        period_seconds: u64,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] OperationError),
}

impl From<DeleteError> for ErrorResponse {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Refused(message) => Self::bad_request("invalid_deletion", message),
            DeleteError::Store(error) => error.into(),
        }
    }
}
