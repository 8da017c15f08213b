//! A server without sockets, on a store that is a vector.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use timberyard_model::Timestamp;
use timberyard_model::scan::LogSource;
use timberyard_model::sink::Sink;
use timberyard_pipeline::{Broker, Intake, TailHub, Taken};
use timberyard_server::auth::{KeyRing, MemoryKeyFile};
use timberyard_server::operations::{OperationError, OperationFuture, RetentionPreview, StoreStatistics};
use timberyard_server::router::router;
use timberyard_server::state::{Parts, ServerState};
use timberyard_server::ui::saved_searches::{MemorySavedSearchFile, SavedSearches};
use timberyard_server::{Deletions, Operations, ServerSettings, SharedState, Subscribers};
use timberyard_testkit::memory_source::MemorySource;
use tower::ServiceExt;

use crate::deletions::TestDeletions;

/// What every test takes for now: 2026-11-01T01:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_nanos(1_793_494_800_000_000_000);

/// A server, its store, and a client for both.
pub(crate) struct TestServer {
    pub(crate) state: SharedState,
    pub(crate) store: Arc<MemorySource>,
    pub(crate) operations: Arc<TestOperations>,
    pub(crate) deletions: Arc<TestDeletions>,
    routes: Router,
}

/// Counts what is asked of it, and fails when told to.
#[derive(Default)]
pub(crate) struct TestOperations {
    pub(crate) flushed: AtomicBool,
    pub(crate) broken: AtomicBool,
}

impl Operations for TestOperations {
    fn flush(&self) -> OperationFuture<'_, ()> {
        self.flushed.store(true, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }

    fn snapshot(&self) -> OperationFuture<'_, std::path::PathBuf> {
        Box::pin(std::future::ready(Ok("/data/snapshots/1".into())))
    }

    fn preview_retention(&self, _: Timestamp) -> OperationFuture<'_, RetentionPreview> {
        Box::pin(std::future::ready(Ok(RetentionPreview::default())))
    }

    fn statistics(&self) -> StoreStatistics {
        StoreStatistics { disk_bytes: 1234, segments: 3, ..StoreStatistics::default() }
    }

    fn readiness(&self) -> Result<(), OperationError> {
        match self.broken.load(Ordering::Relaxed) {
            true => Err(OperationError::Unavailable("disk is gone".to_owned())),
            false => Ok(()),
        }
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }
}

impl TestServer {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A server with settings of its own.
    pub(crate) fn with(change: impl FnOnce(&mut ServerSettings)) -> Self {
        let mut settings = ServerSettings::default();
        change(&mut settings);
        let store = Arc::new(MemorySource::default());
        let source = Arc::clone(&store) as Arc<dyn LogSource>;
        Self::on(settings, store, source)
    }

    /// A server that reads from another source than the one it writes to.
    pub(crate) fn on(settings: ServerSettings, store: Arc<MemorySource>, source: Arc<dyn LogSource>) -> Self {
        let operations = Arc::new(TestOperations::default());
        let deletions = Arc::new(TestDeletions::default());
        let keys = KeyRing::open(Box::new(MemoryKeyFile::default()), None).expect("in memory");
        let tail_hub = TailHub::new(settings.limits.query.tails_max);
        let broker = Broker::default().require(Arc::clone(&store) as Arc<dyn Sink>, Taken::Everything);
        let state = ServerState::new(Parts {
            intake: Arc::new(Intake::new(broker, Arc::clone(&tail_hub), 64 << 20)),
            tail_hub,
            source,
            events: None,
            subscribers: Subscribers::default(),
            operations: Arc::clone(&operations) as Arc<dyn Operations>,
            deletions: Arc::clone(&deletions) as Arc<dyn Deletions>,
            keys: Arc::new(keys),
            searches: SavedSearches::open(Box::new(MemorySavedSearchFile::default())).expect("in memory"),
            provider: crate::people::client_of(&settings),
            reload: None,
            tls: None,
            clock: Arc::new(|| NOW),
            settings,
        });
        Self { routes: router(Arc::clone(&state)), state, store, operations, deletions }
    }

    /// Sends any request; `Host: localhost` is added when there is none.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let host = axum::http::HeaderValue::from_static("localhost");
        request.headers_mut().entry("host").or_insert(host);
        let response = self.routes.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], Body::empty()).await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.request(Method::POST, path, &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let request =
            headers.iter().fold(Request::builder().method(method).uri(path), |request, (name, value)| {
                request.header(*name, *value)
            });
        self.send(request.body(body.into()).expect("a request")).await
    }
}

/// Labels, line and metadata of everything in the store.
pub(crate) fn stored(server: &TestServer) -> Vec<String> {
    let entries = server.store.entries().into_iter();
    entries
        .map(|entry| {
            let metadata: Vec<String> = entry
                .metadata
                .iter()
                .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
                .collect();
            let line = String::from_utf8_lossy(&entry.line).into_owned();
            format!("{} {line} {}", entry.labels, metadata.join(" "))
        })
        .collect()
}
