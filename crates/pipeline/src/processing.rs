//! The rules in force, which can be replaced while batches come in.

use std::sync::{Arc, PoisonError, RwLock};

use crate::process::counters::CountersByStep;
use crate::process::rules::Rules;

/// Which rules batches are processed by.
#[derive(Default)]
pub struct Processing {
    rules: RwLock<Arc<Rules>>,
}

impl Processing {
    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other rules in force for batches to come. Steps that keep their names go on counting.
    pub fn replace(&self, rules: Rules) {
        let mut in_force = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let counting = rules.counting_on(&in_force.counters());
        *in_force = Arc::new(counting);
    }

    /// What each step in force did.
    pub fn counters(&self) -> CountersByStep {
        self.rules().counters()
    }
}
