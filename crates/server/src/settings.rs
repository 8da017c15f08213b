//! What the server is told at start. `app` fills this from files, environment and flags.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::{Limits, TenantId};
use timberyard_wire::LabelAttributes;

use crate::auth::AuthSettings;
use crate::client_address::AddressBlock;

/// Everything that the server can be told.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Who may do what.
    pub auth: AuthSettings,
    /// Origins whose pages may read answers, such as `https://logs.example.org`; `*` for all. No CORS
    /// header is sent when empty.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<AddressBlock>,
    /// The name of this node, given to rows as `ingested_node_id`.
    pub node_id: Arc<str>,
    /// Whether streams of Loki's and LogPulse's pushes that have no `service_name` get one from Loki's list.
    pub discover_service_name: bool,
    /// Whether records get `detected_level` as structured metadata.
    pub detect_level: bool,
    /// Whether plain log queries of Loki's API lack entries on the hour that Loki does not find.
    pub split_gaps: bool,
    /// Which attributes of OTLP's resources become labels.
    pub label_attributes: LabelAttributes,
    /// Whether a query may name several tenants (`X-Scope-OrgID: a|b`).
    pub multi_tenant_queries: bool,
    /// Bounds on requests, records, queries and rates at start; `ServerState::limits` has those in force.
    pub limits: Limits,
    /// The same for single tenants.
    pub tenant_limits: BTreeMap<TenantId, Limits>,
    /// Bounds on what goes on at the same time.
    pub load: LoadLimits,
    /// Whether nothing but health, readiness and metrics is served: nobody sends to it, and nobody asks it.
    pub operations_only: bool,
}

/// Bounds on what goes on at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadLimits {
    /// Open connections; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Requests of one HTTP/2 connection at a time; further ones are refused, to be sent again.
    pub streams_max: usize,
    /// Requests being answered, WebSockets not counted; further ones get 503.
    pub requests_max: usize,
    /// Bytes of request bodies held in memory; what does not fit gets 429.
    pub body_bytes_max: usize,
    /// Queries running.
    pub queries_max: usize,
    /// Queries waiting for one that runs to end; further ones get 429.
    pub queries_waiting_max: usize,
    /// Seconds for the head of a request to arrive once it has begun, and for the first one of a connection.
    pub stall_seconds_max: u64,
    /// Seconds that a connection may wait for its next request.
    pub idle_seconds_max: u64,
    /// Seconds after which a reader that takes nothing of what is written to it is given up.
    pub unread_seconds_max: u64,
    /// Seconds that requests have to end when the server stops.
    pub drain_seconds_max: u64,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            streams_max: 100,
            requests_max: 1024,
            body_bytes_max: 512 << 20,
            queries_max: std::thread::available_parallelism().map_or(4, |cores| cores.get() * 2),
            queries_waiting_max: 256,
            stall_seconds_max: 30,
            idle_seconds_max: 120,
            unread_seconds_max: 120,
            drain_seconds_max: 10,
        }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            auth: AuthSettings::default(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            node_id: "timberyard-0".into(),
            discover_service_name: true,
            detect_level: true,
            split_gaps: true,
            label_attributes: LabelAttributes::loki().clone(),
            multi_tenant_queries: true,
            limits: Limits::default(),
            tenant_limits: BTreeMap::new(),
            load: LoadLimits::default(),
            operations_only: false,
        }
    }
}
