//! What all handlers share.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use timberyard_model::Cancellation;
use timberyard_model::scan::LogSource;
use timberyard_model::sink::SinkError;
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{IngestRecord, LogBatch, Surface, Timestamp};
use timberyard_pipeline::{Intake, Receipt, TailHub, WayIn};
use timberyard_wire::{DecodeContext, Decoded};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::gate::forbidden;
use crate::auth::{
    AuditLog, Authenticator, FailedAttempts, Identity, KeyRing, Oidc, ProviderClient, Tickets,
};
use crate::deletions::Deletions;
use crate::error_response::ErrorResponse;
use crate::events::Events;
use crate::ingest::event_numbers::EventNumbers;
use crate::inputs::Inputs;
use crate::limits::{BodyBudget, Promises, QueryGate, RateGate, RequestGate, TenantLimits};
use crate::metrics::Metrics;
use crate::operations::Operations;
use crate::reload::Reload;
use crate::settings::ServerSettings;
use crate::subscribers::Subscribers;
use crate::ui::saved_searches::SavedSearches;

/// The state, as handlers get it.
pub type SharedState = Arc<ServerState>;

/// Tells the time; handed in, so that tests can fake it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the server is built on.
pub struct Parts {
    /// The one door in.
    pub intake: Arc<Intake>,
    /// Where live tails listen.
    pub tail_hub: Arc<TailHub>,
    /// Where queries read.
    pub source: Arc<dyn LogSource>,
    /// Where pages of events are found, where a store does that by itself.
    pub events: Option<Events>,
    /// Stores that can be asked besides.
    pub subscribers: Subscribers,
    /// The store as an operator sees it.
    pub operations: Arc<dyn Operations>,
    /// Deletions in the store.
    pub deletions: Arc<dyn Deletions>,
    /// The stored keys.
    pub keys: Arc<KeyRing>,
    /// Searches that people saved.
    pub searches: SavedSearches,
    /// Talks to the OpenID provider, where one is configured.
    pub provider: Option<Arc<dyn ProviderClient>>,
    /// Where settings are read again; nowhere when `None`.
    pub reload: Option<Arc<dyn Reload>>,
    /// Certificates, where TLS is spoken.
    pub tls: Option<Arc<ServerConfig>>,
    /// What time it is.
    pub clock: Clock,
    /// What the server was told.
    pub settings: ServerSettings,
}

/// Everything that handlers share. Built once by [`ServerState::new`].
pub struct ServerState {
    /// The one door in.
    pub intake: Arc<Intake>,
    /// Where live tails listen.
    pub tail_hub: Arc<TailHub>,
    /// Where queries read.
    pub source: Arc<dyn LogSource>,
    /// Where pages of events are found, where a store does that by itself.
    pub events: Option<Events>,
    /// Stores that can be asked besides.
    pub subscribers: Subscribers,
    /// The store as an operator sees it.
    pub operations: Arc<dyn Operations>,
    /// Deletions in the store.
    pub deletions: Arc<dyn Deletions>,
    /// What the server was told.
    pub settings: ServerSettings,
    /// Checks keys.
    pub authenticator: Authenticator,
    /// People instead of keys.
    pub(crate) oidc: Option<Oidc>,
    /// The stored keys.
    pub keys: Arc<KeyRing>,
    /// Searches that people saved.
    pub(crate) searches: SavedSearches,
    /// Who used which key, and administered what.
    pub audit: AuditLog,
    /// Tickets for WebSockets.
    pub tickets: Tickets,
    /// Certificates for connections to come, where TLS is spoken.
    pub(crate) tls: Option<ArcSwap<ServerConfig>>,
    /// Where settings are read again.
    pub(crate) reload: Option<Arc<dyn Reload>>,
    pub(crate) failed_attempts: FailedAttempts,
    /// What everybody has used of their rates.
    pub(crate) rate_gate: RateGate,
    /// The limits of each tenant.
    pub limits: ArcSwap<TenantLimits>,
    /// Bounds the memory of request bodies.
    pub body_budget: BodyBudget,
    /// Who was refused for want of room, and told to come back.
    pub(crate) promises: Promises,
    /// Bounds the requests being answered.
    pub request_gate: RequestGate,
    /// The same for calls that push batch after batch, each of which goes on for long.
    pub(crate) push_gate: RequestGate,
    /// Bounds the queries running, and runs them.
    pub query_gate: QueryGate,
    /// When the server started.
    pub started_at: Timestamp,
    /// Raised when the server stops: open WebSockets end.
    pub stopping: CancellationToken,
    /// Places for open connections, of HTTP and of syslog.
    pub(crate) connections: Arc<Semaphore>,
    /// Open WebSockets, so that stopping can wait for them.
    pub sockets: TaskTracker,
    /// Numbers analytics events.
    pub event_numbers: EventNumbers,
    /// What is read without being sent, once that has begun.
    pub inputs: OnceLock<Arc<dyn Inputs>>,
    /// What happened since start.
    pub metrics: Metrics,
    started: Instant,
    clock: Clock,
}

impl ServerState {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> SharedState {
        let Parts {
            intake,
            tail_hub,
            source,
            events,
            subscribers,
            operations,
            deletions,
            keys,
            searches,
            provider,
            reload,
            tls,
            clock,
            settings,
        } = parts;
        let (load, auth) = (&settings.load, &settings.auth);
        Arc::new(Self {
            oidc: auth.oidc.clone().zip(provider).map(|(settings, client)| Oidc::new(settings, client)),
            authenticator: Authenticator::new(auth, Arc::clone(&keys)),
            audit: AuditLog::new(auth.audit_tenant.clone().filter(|_| auth.enabled)),
            tickets: Tickets::default(),
            failed_attempts: FailedAttempts::new(auth.failures_per_minute, clock().as_nanos() as u64),
            rate_gate: RateGate::default(),
            keys,
            searches,
            reload,
            tls: tls.map(ArcSwap::new),
            started: Instant::now(),
            body_budget: BodyBudget::new(load.body_bytes_max),
            promises: Promises::default(),
            request_gate: RequestGate::new(load.requests_max),
            push_gate: RequestGate::new(load.requests_max),
            query_gate: QueryGate::new(load.queries_max, load.queries_waiting_max),
            limits: ArcSwap::from_pointee(TenantLimits::new(
                settings.limits.clone(),
                settings.tenant_limits.clone(),
            )),
            started_at: clock(),
            stopping: CancellationToken::new(),
            connections: Arc::new(Semaphore::new(settings.load.connections_max)),
            sockets: TaskTracker::new(),
            event_numbers: EventNumbers::default(),
            inputs: OnceLock::new(),
            metrics: Metrics::default(),
            intake,
            tail_hub,
            source,
            events,
            subscribers,
            operations,
            deletions,
            settings,
            clock,
        })
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The time since the server started, by a clock that never goes backwards.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What a decoder is told about a request; `client_ip` is the text of a [`crate::client_address::ClientAddress`].
    pub fn decode_context<'a>(
        &'a self,
        identity: &'a Identity,
        client_ip: Option<&'a str>,
    ) -> DecodeContext<'a> {
        DecodeContext {
            tenant: &identity.tenant,
            received_at: self.now(),
            client_ip,
            node_id: &self.settings.node_id,
            limits: &identity.limits,
            discover_service_name: self.settings.discover_service_name,
            detect_level: self.settings.detect_level,
            label_attributes: &self.settings.label_attributes,
        }
    }

    /// Reads for somebody: on a thread of its own, with a place among the queries that run, from a source that shows
    /// what they may see. The work is handed a flag as [`QueryGate::run`] has it.
    pub async fn read<T, W>(self: &Arc<Self>, identity: &Identity, work: W) -> Result<T, ErrorResponse>
    where
        T: Send + 'static,
        W: FnOnce(&dyn LogSource, Cancellation) -> Result<T, ErrorResponse> + Send + 'static,
    {
        self.read_from(&self.source, identity, work).await
    }

    /// The same from another source than the one that answers queries.
    pub async fn read_from<T, W>(
        &self,
        source: &Arc<dyn LogSource>,
        identity: &Identity,
        work: W,
    ) -> Result<T, ErrorResponse>
    where
        T: Send + 'static,
        W: FnOnce(&dyn LogSource, Cancellation) -> Result<T, ErrorResponse> + Send + 'static,
    {
        let source = identity.visible(source);
        let timeout_seconds = identity.limits.query.timeout_seconds;
        self.query_gate
            .run(&identity.tenant, timeout_seconds, move |cancellation| work(&*source, cancellation))
            .await
    }

    /// Nanoseconds since the server started; never negative.
    pub fn uptime_nanos(&self) -> i64 {
        self.now().as_nanos().saturating_sub(self.started_at.as_nanos()).max(0)
    }

    /// Whether somebody may write this batch: for its tenant, and to all of its streams.
    pub fn check_write(&self, identity: &Identity, batch: &LogBatch) -> Result<(), ErrorResponse> {
        let tenant = &batch.tenant;
        if self.audit.is_in(tenant) {
            return Err(forbidden(format!(
                "tenant `{tenant}` holds the audit log, which nobody can write to"
            )));
        }
        if *tenant != identity.tenant && !identity.tenants.allows(tenant) {
            return Err(forbidden(format!("this key may not write for tenant `{tenant}`")));
        }
        let Some(labels) = &identity.labels else { return Ok(()) };
        match batch.rows.streams().iter().find(|stream| !labels.accept(stream)) {
            Some(stream) => Err(forbidden(format!("this key may write to {labels} only, not to {stream}"))),
            None => Ok(()),
        }
    }

    /// Stores what was decoded, if anything was. Then 400 if records were refused, which tells why.
    pub async fn submit_decoded(
        &self,
        identity: &Identity,
        surface: Surface,
        decoded: Decoded,
    ) -> Result<(), ErrorResponse> {
        let Decoded { batch, rejected } = decoded;
        if !batch.rows.is_empty() {
            self.submit(identity, surface, batch).await?;
        }
        match rejected.is_empty() {
            true => Ok(()),
            false => Err(ErrorResponse::bad_request("entries_rejected", rejected.grouped())),
        }
    }

    /// Processes and stores a batch of somebody who may write it, and counts it. `Ok` means that what processing leaves of
    /// it is durable.
    pub async fn submit(
        &self,
        identity: &Identity,
        surface: Surface,
        record: impl Into<IngestRecord>,
    ) -> Result<Receipt, ErrorResponse> {
        self.submit_for_outcome(identity, surface, record).await?.map_err(ErrorResponse::from)
    }

    /// The same, for a caller who answers in its own way when the batch is not taken.
    pub async fn submit_for_outcome(
        &self,
        identity: &Identity,
        surface: Surface,
        record: impl Into<IngestRecord>,
    ) -> Result<Result<Receipt, SinkError>, ErrorResponse> {
        let record = record.into();
        self.check_write(identity, &record.batch)?;
        let (tenant, now) = (&record.batch.tenant, self.elapsed());
        let limits = match *tenant == identity.tenant {
            true => Arc::clone(&identity.limits),
            // Its own tenant was asked about before the body was read.
            false => {
                let limits = Arc::clone(self.limits.load().of(tenant));
                self.rate_gate.check_bytes(tenant, &limits, now)?;
                limits
            }
        };
        self.rate_gate.count_bytes(tenant, &limits, record.batch.rows.bytes(), now);
        let way_in = WayIn { surface, limits: limits.record.clone(), patience: crate::limits::patience() };
        let stored = self.intake.submit_from(way_in, record).await;
        let second = self.now().as_nanos().div_euclid(NANOS_PER_SECOND);
        self.metrics.count_batch(stored.as_ref().ok().map(|receipt| receipt.rows), second);
        // What is there already is the sender's doing, not the store's.
        if stored
            .as_ref()
            .is_err_and(|error| !matches!(error, SinkError::Duplicate { .. } | SinkError::AlreadyStored(_)))
        {
            self.metrics.count_store_error();
        }
        Ok(stored)
    }
}
