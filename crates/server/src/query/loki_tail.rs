//! `/loki/api/v1/tail`: lines over a WebSocket, those of the past first, then each as it is stored.
//!
//! The tail listens before it reads the past, so that nothing falls between the two; what comes both
//! ways is shown once. A slow reader misses lines and is told how many; it holds up nobody.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::FutureExt;
use timberyard_logql::result::{Entry, StreamResult};
use timberyard_logql::{QueryRequest, QueryValue, Streams, TailFilter, syntax};
use timberyard_model::scan::Direction;
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{Cancellation, Labels};
use timberyard_pipeline::{TailEvent, TailSubscription};
use timberyard_wire::loki_query_json::LabelEncoding;
use tokio::time::Instant;

use super::form::Form;
use super::loki_reply::{label_encoding, tail_message};
use super::run;
use crate::auth::Identity;
use crate::body::INLINE_BYTES_MAX;
use crate::error_response::ErrorResponse;
use crate::socket::{self, Ended, Happening, Session};
use crate::state::SharedState;

/// How long after the start a line of the past may still come a second time.
const OVERLAP: Duration = Duration::from_secs(10);

/// The most batches that go into one message.
const BATCHES_MAX: usize = 64;

/// 101 when the query can be tailed and there is a place for one more.
pub async fn get(
    State(state): State<SharedState>,
    identity: Identity,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let limits = &identity.limits.query;
    let now = state.now();
    // In Loki's order: what is wrong with the query is told first.
    let expression = syntax::parse(form.parameters().get("query"), limits)?;
    let parameters = form.parameters().tail_query(now)?;
    let filter = Arc::new(TailFilter::new(&expression)?);
    let upgrade = upgrade.map_err(|error| {
        let message = format!("this is a WebSocket: {}", error.body_text());
        ErrorResponse::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message)
    })?;
    let matchers = filter.matchers().to_vec();
    let subscription = state.tail_hub.subscribe(identity.tenant.clone(), matchers).map_err(|full| {
        ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tails", full.to_string())
    })?;
    let past = QueryRequest {
        tenant: identity.tenant.clone(),
        expression,
        start: parameters.start,
        end: now.saturating_add_nanos(NANOS_PER_SECOND),
        step_ns: NANOS_PER_SECOND,
        interval_ns: 0,
        limit: (parameters.limit as usize).min(limits.entries_max),
        direction: Direction::Backward,
        now,
        cancellation: Cancellation::default(),
    };
    let tail = Tail {
        state: Arc::clone(&state),
        identity,
        encoding: label_encoding(&headers),
        filter,
        subscription,
        delay: Duration::from_secs(parameters.delay_seconds.into()),
        shown: HashMap::new(),
        shown_until: Instant::now() + OVERLAP,
    };
    Ok(socket::open(&state, upgrade, move |session| tail.run(session, past)))
}

/// One client that tails.
struct Tail {
    state: SharedState,
    identity: Identity,
    encoding: LabelEncoding,
    filter: Arc<TailFilter>,
    subscription: TailSubscription,
    delay: Duration,
    /// Lines of the past, by hash, and how often each was shown.
    shown: HashMap<u64, u32>,
    shown_until: Instant,
}

impl Tail {
    async fn run(mut self, mut session: Session, past: QueryRequest) -> Result<(), Ended> {
        match run::query(&self.state, &self.identity, past).await {
            Ok(result) => {
                if let QueryValue::Streams(streams) = result.value {
                    self.show_past(&mut session, streams).await?;
                }
            }
            Err(error) => {
                session.close(close_code::ERROR, &error.message).await;
                return Ok(());
            }
        }
        loop {
            match session.next(self.subscription.next()).await? {
                Happening::Event(Some(event)) => {
                    self.wait_for_the_slow(&mut session).await?;
                    self.show(&mut session, event).await?;
                }
                Happening::Event(None) => {
                    session.close(close_code::AWAY, "server is stopping").await;
                    return Ok(());
                }
                // Loki's tail takes nothing from its client.
                Happening::Text(_) => {}
            }
        }
    }

    async fn show_past(&mut self, session: &mut Session, mut streams: Streams) -> Result<(), Ended> {
        streams.direction = Direction::Forward;
        for stream in &mut streams.streams {
            stream.entries.reverse();
            for entry in &stream.entries {
                *self.shown.entry(hash_of(&stream.stream, entry)).or_default() += 1;
            }
        }
        self.send(session, &streams, 0).await
    }

    /// Gives senders `delay_for` seconds to catch up; what comes meanwhile waits in the subscription.
    async fn wait_for_the_slow(&self, session: &mut Session) -> Result<(), Ended> {
        if self.delay.is_zero() {
            return Ok(());
        }
        let over = tokio::time::sleep(self.delay);
        let mut over = std::pin::pin!(over);
        while let Happening::Text(_) = session.next(&mut over).await? {}
        Ok(())
    }

    /// Shows the event and what else is there already, in the order of time.
    async fn show(&mut self, session: &mut Session, event: TailEvent) -> Result<(), Ended> {
        let mut events = vec![event];
        while events.len() < BATCHES_MAX {
            match self.subscription.next().now_or_never() {
                Some(Some(event)) => events.push(event),
                Some(None) | None => break,
            }
        }
        let told: u64 = events.iter().map(|event| event.missed_rows).sum();
        // Rows that were missed after the last one that came would otherwise wait for a next one to be told.
        let missed = told + self.subscription.take_missed_rows();
        let streams = self.filtered(events).await;
        if streams.is_empty() && missed == 0 {
            return Ok(());
        }
        self.send(session, &streams, missed).await
    }

    async fn filtered(&mut self, events: Vec<TailEvent>) -> Streams {
        let bytes: usize = events.iter().map(|event| event.batch.rows.bytes()).sum();
        let filter = Arc::clone(&self.filter);
        let work = move || merged(events.iter().map(|event| filter.process(&event.batch)));
        let mut streams = if bytes <= INLINE_BYTES_MAX {
            work()
        } else {
            // A panic in a filter ends this tail's message, not the server.
            tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| merged([]))
        };
        self.leave_out_shown(&mut streams);
        streams
    }

    fn leave_out_shown(&mut self, streams: &mut Streams) {
        if Instant::now() > self.shown_until {
            self.shown.clear();
        }
        if self.shown.is_empty() {
            return;
        }
        for stream in &mut streams.streams {
            let labels = &stream.stream;
            stream.entries.retain(|entry| match self.shown.get_mut(&hash_of(labels, entry)) {
                Some(times) if *times > 0 => {
                    *times -= 1;
                    false
                }
                _ => true,
            });
        }
        streams.streams.retain(|stream| !stream.entries.is_empty());
    }

    async fn send(&self, session: &mut Session, streams: &Streams, missed: u64) -> Result<(), Ended> {
        if streams.is_empty() && missed == 0 {
            return Ok(());
        }
        let now = self.state.now();
        session.send(tail_message(&self.state, streams, self.encoding, missed, now)).await
    }
}

/// The lines of several batches as one answer, oldest first.
fn merged(parts: impl IntoIterator<Item = Streams>) -> Streams {
    let mut groups: BTreeMap<Labels, Vec<Entry>> = BTreeMap::new();
    for stream in parts.into_iter().flat_map(|part| part.streams) {
        groups.entry(stream.stream).or_default().extend(stream.entries);
    }
    let streams = groups.into_iter().map(|(stream, mut entries)| {
        entries.sort_by_key(|entry| entry.timestamp);
        StreamResult { stream, entries }
    });
    Streams { direction: Direction::Forward, streams: streams.collect() }
}

fn hash_of(stream: &Labels, entry: &Entry) -> u64 {
    let mut hasher = DefaultHasher::new();
    (entry.timestamp, &entry.line, entry.labels(stream).stable_hash()).hash(&mut hasher);
    hasher.finish()
}
