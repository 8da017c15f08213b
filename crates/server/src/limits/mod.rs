//! Bounds on what goes on at the same time (bytes of bodies, requests, queries) and over time (rates), and the limits of
//! each tenant.
//!
//! What passes a bound is answered with 429 or 503 and a time to come back; nothing waits without end.

mod body_budget;
mod buckets;
mod fair_places;
mod promises;
mod query_gate;
mod rate_limits;
mod request_gate;
mod tenant_limits;

pub use body_budget::{BodyBudget, HeldBytes};
pub use buckets::{Buckets, Rate, Standing};
pub(crate) use promises::patience;
pub use promises::{Promises, keep_promises};
pub use query_gate::QueryGate;
pub use rate_limits::{RateGate, bound_rates};
pub(crate) use request_gate::RequestPlace;
pub use request_gate::{RequestGate, bound_requests, bound_seconds};
pub use tenant_limits::TenantLimits;
