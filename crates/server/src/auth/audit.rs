//! The audit log: who used which key, and who administered what, as a stream of a tenant of its own.
//!
//! Events wait in a bounded queue and are stored behind the requests that they are about; what finds the queue full is
//! counted, and the count is told with the next event. Nobody can push to this tenant, and only administrators read it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::{BatchBuilder, Labels, LogBatch, TenantId, Timestamp};

use super::Identity;

/// The most events that wait.
const WAITING_MAX: usize = 8192;
/// The service name of all events.
const SERVICE: &str = "timberyard-audit";

/// Events that wait to be stored.
pub struct AuditLog {
    tenant: Option<TenantId>,
    waiting: Mutex<Vec<AuditEvent>>,
    left_out: AtomicU64,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    at: Timestamp,
    /// A word such as `key_created`: the label `event`.
    word: &'static str,
    fields: Map<String, Value>,
}

impl AuditEvent {
    /// An event with nothing but its name.
    pub fn new(word: &'static str, at: Timestamp) -> Self {
        Self { at, word, fields: Map::new() }
    }

    /// With who did it, from where, and for which tenant.
    #[must_use]
    pub fn by(self, identity: &Identity) -> Self {
        let by = identity.client.as_deref().unwrap_or("anonymous");
        self.with("by", by).with("tenant", identity.tenant.as_str()).from(identity.address)
    }

    /// With an address.
    #[must_use]
    pub fn from(self, address: Option<IpAddr>) -> Self {
        match address {
            Some(address) => self.with("address", address.to_string()),
            None => self,
        }
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

impl AuditLog {
    /// A log in this tenant; events are let fall when it is `None`.
    pub fn new(tenant: Option<TenantId>) -> Self {
        Self { tenant, waiting: Mutex::default(), left_out: AtomicU64::new(0) }
    }

    /// Whether this tenant holds it.
    pub fn is_in(&self, tenant: &TenantId) -> bool {
        self.tenant.as_ref() == Some(tenant)
    }

    /// Adds an event; never waits.
    pub fn add(&self, event: AuditEvent) {
        if self.tenant.is_none() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push(event);
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events that found no place since start.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// What waits, as a batch to store; `None` when nothing does.
    pub(super) fn take(&self, now: Timestamp) -> Option<LogBatch> {
        let tenant = self.tenant.clone()?;
        let events = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if events.is_empty() {
            return None;
        }
        let mut batch = BatchBuilder::new(tenant, now, EqualEntries::Keep, &RecordLimits::default());
        let left_out = self.left_out();
        for event in events {
            let stream =
                batch.stream(&Labels::from_pairs([("service_name", SERVICE), ("event", event.word)]));
            let mut fields = Map::new();
            fields.insert("event".to_owned(), json!(event.word));
            fields.extend(event.fields);
            if left_out > 0 {
                fields.insert("events_left_out".to_owned(), json!(left_out));
            }
            let line = Value::Object(fields).to_string();
            // What is refused is longer than a line may be, which no event is.
            let _ = batch.push(stream, event.at, line.as_bytes(), &[]);
        }
        Some(batch.finish())
    }
}
