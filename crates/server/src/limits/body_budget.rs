//! A bound on the bytes of request bodies that are in memory at the same time, shared fairly between tenants.
//!
//! A tenant may grow while what it holds is at most [`SHARES`] times what is still free (the dynamic thresholds of Choudhury
//! and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998): alone it gets three quarters of
//! the budget, two get three sevenths each, and however many there are, some room is left for one that comes anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use timberyard_model::TenantId;
use timberyard_pipeline::{DrainGauge, Entered};
use tokio::time::Instant;

use super::promises::{LOOK_AGAIN_AFTER, patience};
use crate::error_response::ErrorResponse;

/// How many times what is free a tenant may hold.
const SHARES: usize = 3;

/// A bound on the bytes of request bodies that are in memory.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    held: Arc<Mutex<Held>>,
    held_bytes_max: usize,
    gauge: DrainGauge,
}

/// Who holds how much. Tenants that hold nothing are not there.
#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// Why a body cannot grow, with the bytes that all bodies hold, and those of its tenant.
#[derive(Clone, Copy, Debug)]
enum Full {
    /// No more fits.
    Budget { all: usize },
    /// The rest is for other tenants.
    Share { all: usize, own: usize },
}

/// Bytes taken from a [`BodyBudget`]; given back when dropped.
#[derive(Debug)]
pub struct HeldBytes {
    budget: BodyBudget,
    tenant: TenantId,
    bytes: usize,
    /// Bytes that the whole body will have, as far as is known.
    announced_bytes: usize,
    entered: Entered,
}

impl BodyBudget {
    /// At most `held_bytes_max` bytes at a time.
    pub fn new(held_bytes_max: usize) -> Self {
        Self { held: Arc::default(), held_bytes_max, gauge: DrainGauge::default() }
    }

    /// An empty share of the budget for a request of a tenant, whose body says that it has so many bytes; 0 when it does
    /// not say.
    pub fn share(&self, tenant: &TenantId, announced_bytes: usize) -> HeldBytes {
        let entered = self.gauge.enter(0);
        HeldBytes { budget: self.clone(), tenant: tenant.clone(), bytes: 0, announced_bytes, entered }
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
    /// Takes as many bytes as the whole body will have, for somebody who may wait for room; others take bytes as they come.
    pub(crate) async fn wait_for_whole(&mut self) -> Result<(), ErrorResponse> {
        let (patience, asked_at) = (patience(), Instant::now());
        if patience.is_zero() {
            return Ok(());
        }
        let missing = self.announced_bytes.saturating_sub(self.bytes);
        loop {
            match self.take(missing) {
                Ok(()) => return Ok(()),
                Err(_) if asked_at.elapsed() < patience => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
                Err(full) => return Err(self.refusal(full, missing)),
            }
        }
    }

    /// Takes what is missing of so many bytes.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), ErrorResponse> {
        match bytes.checked_sub(self.bytes) {
            None | Some(0) => Ok(()),
            Some(missing) => self.grow(missing),
        }
    }

    /// Takes `bytes` more, or answers that there is no room now.
    pub fn grow(&mut self, bytes: usize) -> Result<(), ErrorResponse> {
        self.take(bytes).map_err(|full| self.refusal(full, bytes))
    }

    fn take(&mut self, bytes: usize) -> Result<(), Full> {
        let limit = self.budget.held_bytes_max;
        let mut held = self.budget.held();
        let own = held.by_tenant.get(&self.tenant).copied().unwrap_or(0);
        let (all_after, own_after) = (held.bytes.saturating_add(bytes), own.saturating_add(bytes));
        if all_after > limit {
            return Err(Full::Budget { all: held.bytes });
        }
        // A tenant whose only body this is gets in while there is room at all.
        let is_first = own == self.bytes;
        if !is_first && own_after > SHARES.saturating_mul(limit - all_after) {
            return Err(Full::Share { all: held.bytes, own });
        }
        held.bytes = all_after;
        held.by_tenant.insert(self.tenant.clone(), own_after);
        drop(held);
        self.bytes += bytes;
        self.entered.grow(bytes as u64);
        Ok(())
    }

    /// The answer to a body that needs `bytes` more, with a moment at which they should be there.
    fn refusal(&mut self, full: Full, bytes: usize) -> ErrorResponse {
        let limit = self.budget.held_bytes_max;
        let whole_beside = |others: usize| others.saturating_sub(self.bytes) + self.announced_bytes;
        match full {
            Full::Budget { all } => {
                let in_the_way = (all + bytes).max(whole_beside(all)) - limit;
                let message = format!(
                    "request bodies hold {all} bytes of memory, {bytes} more would pass the limit of {limit}"
                );
                ErrorResponse::overloaded(message, self.refused(in_the_way, bytes))
            }
            Full::Share { all, own } => {
                let share = SHARES * (limit - (all + bytes));
                // What its own bodies give back counts for it and is free as well; they leave as all others do.
                let over = (own + bytes).max(whole_beside(own)) - share;
                let in_the_way = (over.div_ceil(1 + SHARES)).saturating_mul(all) / own.max(1);
                let message = format!(
                    "request bodies of tenant `{}` hold {own} of {limit} bytes of memory; the rest is for other tenants",
                    self.tenant
                );
                ErrorResponse::overloaded(message, self.refused(in_the_way, bytes))
            }
        }
    }

    /// The seconds after which as many bytes of others have been given back as are in the way. What the refused body holds
    /// is given back now, and is no measure of how fast bodies are dealt with.
    fn refused(&mut self, in_the_way: usize, more_bytes: usize) -> u64 {
        let whole = self.announced_bytes.max(self.bytes + more_bytes) as u64;
        let gauge = &self.budget.gauge;
        std::mem::replace(&mut self.entered, gauge.enter(0)).give_up();
        gauge.retry_after_leaving_seconds(in_the_way as u64, whole)
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
            let mut body = budget.share(&tenant(name), 0);
            if body.grow(1).is_err() {
                return bodies;
            }
            bodies.push(body);
        }
    }

    #[test]
    fn the_budget_for_bodies_is_given_back() {
        let budget = BodyBudget::new(10);
        let mut held = budget.share(&tenant("a"), 0);
        held.grow(6).expect("fits");
        assert_eq!(budget.share(&tenant("a"), 0).grow(5).expect_err("full").status, 429);
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
        BodyBudget::new(bytes).share(&tenant("a"), 0)
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
