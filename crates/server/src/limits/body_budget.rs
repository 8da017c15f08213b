//! A bound on the bytes of request bodies that are in memory at the same time, shared fairly between tenants.
//!
//! A tenant may grow while what it holds is at most [`SHARES`] times what is still free (the dynamic thresholds of Choudhury
//! and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998): alone it gets three quarters of
//! the budget, two get three sevenths each, and however many there are, some room is left for one that comes anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use timberyard_model::TenantId;

use super::RETRY_AFTER_SECONDS;
use crate::error_response::ErrorResponse;

/// How many times what is free a tenant may hold.
const SHARES: usize = 3;

/// A bound on the bytes of request bodies that are in memory.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    held: Arc<Mutex<Held>>,
    held_bytes_max: usize,
}

/// Who holds how much. Tenants that hold nothing are not there.
#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// Bytes taken from a [`BodyBudget`]; given back when dropped.
#[derive(Debug)]
pub struct HeldBytes {
    budget: BodyBudget,
    tenant: TenantId,
    bytes: usize,
}

impl BodyBudget {
    /// At most `held_bytes_max` bytes at a time.
    pub fn new(held_bytes_max: usize) -> Self {
        Self { held: Arc::default(), held_bytes_max }
    }

    /// An empty share of the budget for a request of a tenant.
    pub fn share(&self, tenant: &TenantId) -> HeldBytes {
        HeldBytes { budget: self.clone(), tenant: tenant.clone(), bytes: 0 }
    }

    /// Bytes held now.
    pub fn held_bytes(&self) -> usize {
        self.held().bytes
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Numbers are whole whoever panicked.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldBytes {
    /// Takes `bytes` more, or answers that there is no room now.
    pub fn grow(&mut self, bytes: usize) -> Result<(), ErrorResponse> {
        let limit = self.budget.held_bytes_max;
        let mut held = self.budget.held();
        let own = held.by_tenant.get(&self.tenant).copied().unwrap_or(0);
        let (all_after, own_after) = (held.bytes.saturating_add(bytes), own.saturating_add(bytes));
        if all_after > limit {
            let held = held.bytes;
            return Err(ErrorResponse::overloaded(
                format!(
                    "request bodies hold {held} bytes of memory, {bytes} more would pass the limit of {limit}"
                ),
                RETRY_AFTER_SECONDS,
            ));
        }
        // A tenant whose only body this is gets in while there is room at all.
        let is_first = own == self.bytes;
        if !is_first && own_after > SHARES.saturating_mul(limit - all_after) {
            return Err(ErrorResponse::overloaded(
                format!(
                    "request bodies of tenant `{}` hold {own} of {limit} bytes of memory; the rest is for other tenants",
                    self.tenant
                ),
                RETRY_AFTER_SECONDS,
            ));
        }
        held.bytes = all_after;
        held.by_tenant.insert(self.tenant.clone(), own_after);
        drop(held);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.budget.held();
        held.bytes -= self.bytes;
        if let Some(own) = held.by_tenant.get_mut(&self.tenant) {
            *own -= self.bytes;
            if *own == 0 {
                held.by_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("valid")
    }

    /// Bodies of 1 byte until no more are taken.
    fn fill(budget: &BodyBudget, name: &str) -> Vec<HeldBytes> {
        let mut bodies = Vec::new();
        loop {
            let mut body = budget.share(&tenant(name));
            if body.grow(1).is_err() {
                return bodies;
            }
            bodies.push(body);
        }
    }

    #[test]
    fn the_budget_for_bodies_is_given_back() {
        let budget = BodyBudget::new(10);
        let mut held = budget.share(&tenant("a"));
        held.grow(6).expect("fits");
        assert_eq!(budget.share(&tenant("a")).grow(5).expect_err("full").status, 429);
        drop(held);
        assert_eq!(budget.held_bytes(), 0);
        assert!(budget.held().by_tenant.is_empty());
    }

    #[test]
    fn one_body_may_be_as_large_as_the_budget() {
        budget_of_one(10).grow(10).expect("fits");
        assert!(budget_of_one(10).grow(11).is_err());
    }

    fn budget_of_one(bytes: usize) -> HeldBytes {
        BodyBudget::new(bytes).share(&tenant("a"))
    }

    #[test]
    fn no_tenant_can_fill_the_budget_so_that_another_finds_no_room() {
        let budget = BodyBudget::new(700);
        let first = fill(&budget, "first");
        assert_eq!(first.len(), 525, "three quarters");
        let second = fill(&budget, "second");
        assert!(second.len() > 100, "{}", second.len());
        let third = fill(&budget, "third");
        assert!(!third.is_empty(), "and there is room for a third");
        drop(first);
        assert!(fill(&budget, "second").len() > 100, "what one gives back others may have");
    }
}
