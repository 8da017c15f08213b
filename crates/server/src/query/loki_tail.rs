//! `/loki/api/v1/tail`: lines over a WebSocket, those of the past first, then each as it is stored.
//!
//! The tail listens before it reads the past, so that nothing falls between the two; what comes both
//! ways is shown once. A slow reader misses lines and is told how many; it holds up nobody. Beyond Loki's API a client may
//! ask for cursors (`cursor=`), with which another connection goes on where this one was.

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
use timberyard_logql::syntax::Expression;
use timberyard_logql::{
    LinePosition, Page, QueryExtras, QueryRequest, QueryValue, Streams, TailFilter, syntax,
};
use timberyard_model::scan::Direction;
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{Cancellation, Labels, Timestamp};
use timberyard_pipeline::{TailEvent, TailSubscription};
use timberyard_wire::loki_query_json::LabelEncoding;
use timberyard_wire::query_cursor::query_hash;
use timberyard_wire::tail_cursor::TailCursor;
use tokio::time::Instant;

use super::loki_reply::{label_encoding, tail_message};
use super::run;
use super::tail_position::{ShownLines, TailPosition};
use crate::auth::Identity;
use crate::body::INLINE_BYTES_MAX;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::socket::{self, Ended, Happening, Session};
use crate::state::SharedState;

/// How long after the past was shown a line of it may still come a second time.
const OVERLAP: Duration = Duration::from_secs(10);

/// The most lines of the past that are remembered for that.
const OVERLAP_LINES_MAX: usize = 100_000;

/// The most batches that go into one message.
const BATCHES_MAX: usize = 64;

/// Lines of the past that a tail reads at once when it goes on.
const PAGE_LINES: usize = 1000;

/// How often the past is read again because more came meanwhile than the tail's queue holds.
const ROUNDS_MAX: usize = 8;

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
    let mut expression = syntax::parse(form.parameters().get("query"), limits)?;
    if let Expression::Logs(logs) = &mut expression {
        logs.selector.matchers = identity.with_own_labels(std::mem::take(&mut logs.selector.matchers));
    }
    let parameters = form.parameters().tail_query(now)?;
    let filter = Arc::new(TailFilter::new(&expression)?);
    let query = query_hash(&identity.tenant, &expression.to_string());
    let wants_cursor = form.get("cursor").is_some();
    let seen = seen(form.get("cursor").unwrap_or(""), query)?;
    let upgrade = upgrade.map_err(|error| {
        let message = format!("this is a WebSocket: {}", error.body_text());
        ErrorResponse::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message)
    })?;
    let matchers = filter.matchers().to_vec();
    let subscription =
        state.tail_hub.subscribe(identity.tenant.clone(), matchers, limits.tails_max).map_err(|full| {
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
        extras: QueryExtras::default(),
        now,
        cancellation: Cancellation::default(),
    };
    let tail = Tail {
        state: Arc::clone(&state),
        identity,
        // A page cannot set headers on a WebSocket.
        encoding: form
            .get("encoding_flags")
            .map_or_else(|| label_encoding(&headers), LabelEncoding::from_flags),
        filter,
        subscription,
        delay: Duration::from_secs(parameters.delay_seconds.into()),
        shown: HashMap::new(),
        shown_until: Instant::now() + OVERLAP,
        query,
        position: seen.clone().unwrap_or_else(|| TailPosition::new(past.start)),
        wants_cursor,
    };
    Ok(socket::open(&state, upgrade, move |session| tail.run(session, past, seen)))
}

/// What the client of a cursor has seen; `None` for a new one.
fn seen(cursor: &str, query: u64) -> Result<Option<TailPosition>, ErrorResponse> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let refuse = |message: String| ErrorResponse::bad_request("invalid_cursor", message);
    let seen = TailCursor::decode(cursor).map_err(|error| refuse(error.to_string()))?;
    if seen.query != query {
        return Err(refuse("cursor is of another query; leave it empty to begin anew".to_owned()));
    }
    Ok(Some(TailPosition::of(&seen)))
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
    /// The hash of the query.
    query: u64,
    position: TailPosition,
    wants_cursor: bool,
}

/// Why there is nothing more to show.
enum Over {
    /// The session has ended.
    Session,
    /// The past cannot be read.
    Failed(ErrorResponse),
}

impl From<Ended> for Over {
    fn from(_: Ended) -> Self {
        Self::Session
    }
}

impl From<ErrorResponse> for Over {
    fn from(error: ErrorResponse) -> Self {
        Self::Failed(error)
    }
}

impl Tail {
    async fn run(
        mut self,
        mut session: Session,
        past: QueryRequest,
        seen: Option<TailPosition>,
    ) -> Result<(), Ended> {
        let begun = match seen {
            Some(seen) => self.go_on(&mut session, past, seen).await,
            None => self.show_past(&mut session, past).await,
        };
        match begun {
            Ok(()) => self.shown_until = Instant::now() + OVERLAP,
            Err(Over::Session) => return Err(Ended),
            Err(Over::Failed(error)) => {
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

    /// Shows the newest lines of the past.
    async fn show_past(&mut self, session: &mut Session, past: QueryRequest) -> Result<(), Over> {
        let limit = past.limit;
        let mut streams = read(&self.state, &self.identity, past).await?.0;
        streams.direction = Direction::Forward;
        for stream in &mut streams.streams {
            stream.entries.reverse();
        }
        if streams.len() >= limit {
            // Who asks for the newest lines has no wish for older ones.
            let times =
                streams.streams.iter().flat_map(|stream| &stream.entries).map(|entry| entry.timestamp);
            self.position.set_floor(times.min().unwrap_or(Timestamp::MAX));
        }
        self.remember(&streams);
        self.position.note(&streams);
        Ok(self.send(session, &streams, 0, self.wants_cursor).await?)
    }

    /// Shows everything that came since the client's cursor, oldest first.
    async fn go_on(
        &mut self,
        session: &mut Session,
        past: QueryRequest,
        seen: TailPosition,
    ) -> Result<(), Over> {
        let mut seen = seen;
        for _ in 0..ROUNDS_MAX {
            let mut page = QueryRequest {
                start: seen.start(),
                end: self.state.now().saturating_add_nanos(NANOS_PER_SECOND),
                limit: PAGE_LINES,
                direction: Direction::Forward,
                ..past.clone()
            };
            let mut shown = ShownLines::new(seen);
            let mut after = None;
            loop {
                page.extras.page = Some(Page { after });
                let (mut streams, last) = read(&self.state, &self.identity, page.clone()).await?;
                self.remember(&streams);
                shown.leave_out(&mut streams);
                self.position.note(&streams);
                self.send(session, &streams, 0, true).await?;
                after = last;
                if after.is_none() {
                    break;
                }
            }
            // What did not fit into the queue meanwhile is in the store.
            if self.subscription.take_missed_rows() == 0 {
                break;
            }
            seen = self.position.clone();
        }
        Ok(())
    }

    /// Takes note of lines of the past, which may come again as new ones.
    fn remember(&mut self, streams: &Streams) {
        if self.shown.len() > OVERLAP_LINES_MAX {
            self.shown.clear();
        }
        for stream in &streams.streams {
            for entry in &stream.entries {
                *self.shown.entry(hash_of(&stream.stream, entry)).or_default() += 1;
            }
        }
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
        self.position.note(&streams);
        self.send(session, &streams, missed, false).await
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

    /// Sends lines; without any, only what was missed or, `always`, that there are none.
    async fn send(
        &self,
        session: &mut Session,
        streams: &Streams,
        missed: u64,
        always: bool,
    ) -> Result<(), Ended> {
        if streams.is_empty() && missed == 0 && !always {
            return Ok(());
        }
        let now = self.state.now();
        let cursor = self.wants_cursor.then(|| self.position.cursor(self.query).encode());
        session.send(tail_message(&self.state, streams, self.encoding, missed, now, cursor.as_deref())).await
    }
}

/// The lines of a log query, and where the next page of them begins.
async fn read(
    state: &SharedState,
    identity: &Identity,
    request: QueryRequest,
) -> Result<(Streams, Option<LinePosition>), ErrorResponse> {
    let direction = request.direction;
    let result = run::query(state, identity, request).await?;
    match result.value {
        QueryValue::Streams(streams) => Ok((streams, result.last)),
        // Metric queries are not tailed.
        QueryValue::Matrix(_) | QueryValue::Vector(_) | QueryValue::Scalar { .. } => {
            Ok((Streams { direction, streams: Vec::new() }, None))
        }
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
