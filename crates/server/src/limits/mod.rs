//! Bounds on what goes on at the same time (bytes of bodies, requests, queries), and the limits of each tenant.
//!
//! What passes a bound is answered with 429 or 503 and a time to come back; nothing waits without end.

mod body_budget;
mod query_gate;
mod request_gate;
mod tenant_limits;

pub use body_budget::{BodyBudget, HeldBytes};
pub use query_gate::QueryGate;
pub use request_gate::{RequestGate, bound_requests, bound_seconds};
pub use tenant_limits::TenantLimits;

/// Seconds after which a client refused here is told to come back.
const RETRY_AFTER_SECONDS: u64 = 1;
