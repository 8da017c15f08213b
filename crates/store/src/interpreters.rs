//! What the store keeps without understanding it, and who does.

use std::sync::Arc;

use timberyard_model::LogBatch;
use timberyard_model::row_condition::{ConditionLanguage, NoConditions};

/// Turns the payload of a log record back into the batch it came with. It must give the same
/// rows in the same order whatever the settings are today.
pub type DecodeRecord = Arc<dyn Fn(&[u8]) -> Result<LogBatch, String> + Send + Sync>;

/// Those who understand. Given to a store when it is opened.
#[derive(Clone)]
pub struct Interpreters {
    /// Understands payloads of log records.
    pub decode: DecodeRecord,
    /// Understands conditions of deletions. A deletion whose condition it does not understand hides nothing and waits.
    pub conditions: Arc<dyn ConditionLanguage>,
}

impl Interpreters {
    /// Log records are understood, conditions are not.
    pub fn of_records(decode: impl Fn(&[u8]) -> Result<LogBatch, String> + Send + Sync + 'static) -> Self {
        Self { decode: Arc::new(decode), conditions: Arc::new(NoConditions) }
    }
}
