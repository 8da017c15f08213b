//! A bound on the bytes of request bodies that are in memory at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::RETRY_AFTER_SECONDS;
use crate::error_response::ErrorResponse;

/// A bound on the bytes of request bodies that are in memory.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    held_bytes: Arc<AtomicUsize>,
    held_bytes_max: usize,
}

/// Bytes taken from a [`BodyBudget`]; given back when dropped.
#[derive(Debug)]
pub struct HeldBytes {
    budget: BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    /// At most `held_bytes_max` bytes at a time.
    pub fn new(held_bytes_max: usize) -> Self {
        Self { held_bytes: Arc::default(), held_bytes_max }
    }

    /// An empty share of the budget.
    pub fn share(&self) -> HeldBytes {
        HeldBytes { budget: self.clone(), bytes: 0 }
    }

    /// Bytes held now.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }
}

impl HeldBytes {
    /// Takes `bytes` more, or answers that there is no room now.
    pub fn grow(&mut self, bytes: usize) -> Result<(), ErrorResponse> {
        let limit = self.budget.held_bytes_max;
        let grown = self.budget.held_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
            held.checked_add(bytes).filter(|held| *held <= limit)
        });
        match grown {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(held) => Err(ErrorResponse::overloaded(
                format!(
                    "request bodies hold {held} bytes of memory, {bytes} more would pass the limit of {limit}"
                ),
                RETRY_AFTER_SECONDS,
            )),
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.budget.held_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_for_bodies_is_given_back() {
        let budget = BodyBudget::new(10);
        let mut held = budget.share();
        held.grow(6).expect("fits");
        assert_eq!(budget.share().grow(5).expect_err("full").status, 429);
        drop(held);
        assert_eq!(budget.held_bytes(), 0);
    }
}
