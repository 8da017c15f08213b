//! The newest queries that took long, for whoever asks why. Bounded, in memory, gone with the process.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use timberyard_model::TenantId;

/// From which time on a query is slow.
const SLOW_MILLIS_MIN: u128 = 500;
/// How many are kept.
const KEPT_MAX: usize = 100;
/// The longest text of a query that is kept, in bytes.
const QUERY_BYTES_MAX: usize = 4096;

/// A query that took long.
#[derive(Clone, Debug, Serialize)]
pub struct SlowQuery {
    /// As the parser prints it; cut off when it is very long.
    pub query: String,
    /// Whose logs were asked for.
    pub tenant: String,
    /// Whose key asked.
    pub client: Option<String>,
    /// When it was done, RFC 3339.
    pub at: String,
    /// How long it ran, without waiting for its turn.
    pub seconds: f64,
    /// Bytes of lines that it looked at.
    pub bytes: u64,
    /// Rows that it worked on.
    pub rows: u64,
}

/// The newest slow queries.
#[derive(Debug, Default)]
pub struct SlowQueries(Mutex<VecDeque<SlowQuery>>);

impl SlowQueries {
    /// Whether a query of this length is worth to be kept.
    pub fn is_slow(took: Duration) -> bool {
        took.as_millis() >= SLOW_MILLIS_MIN
    }

    /// Keeps one, and forgets the oldest when there are too many.
    pub fn add(&self, mut query: SlowQuery) {
        if let Some((end, _)) = query.query.char_indices().find(|(at, _)| *at >= QUERY_BYTES_MAX) {
            query.query.truncate(end);
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(query);
    }

    /// Those of tenants that one may see, the newest first.
    pub fn list(&self, may_see: impl Fn(&TenantId) -> bool) -> Vec<SlowQuery> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shown = |query: &&SlowQuery| TenantId::new(&query.tenant).is_ok_and(|tenant| may_see(&tenant));
        kept.iter().rev().filter(is_shown).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str, tenant: &str) -> SlowQuery {
        SlowQuery {
            query: text.to_owned(),
            tenant: tenant.to_owned(),
            client: None,
            at: String::new(),
            seconds: 1.0,
            bytes: 0,
            rows: 0,
        }
    }

    #[test]
    fn the_newest_are_kept_and_shown_to_who_may_see_their_tenant() {
        let slow = SlowQueries::default();
        for number in 0..150 {
            slow.add(query(&format!("q{number}"), if number % 2 == 0 { "acme" } else { "bravo" }));
        }
        let shown = slow.list(|tenant| tenant.as_str() == "acme");
        assert_eq!(shown.len(), KEPT_MAX / 2);
        assert_eq!(shown[0].query, "q148");
    }

    #[test]
    fn a_very_long_query_is_cut_between_characters() {
        let slow = SlowQueries::default();
        slow.add(query(&"é".repeat(5000), "t"));
        assert_eq!(slow.list(|_| true)[0].query.len(), QUERY_BYTES_MAX);
    }
}
