//! `GET /stream`: LogPulse's live stream over a WebSocket.
//!
//! The query parameters are label equalities. The server says `connected`, then `log` for each new row; the
//! client may send another `filter`. What a slow reader missed is counted and told as `missed`.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use serde_json::{Map, Value, json};
use timberyard_model::RowRef;
use timberyard_model::labels::is_label_name;
use timberyard_model::matcher::{LabelMatcher, accepts_all};
use timberyard_pipeline::{TailEvent, TailSubscription};
use timberyard_wire::logpulse::{Log, LogIds};

use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::socket::{Ended, Happening, Session, open};
use crate::state::SharedState;

/// The most labels of a filter.
const LABELS_MAX: usize = 64;

/// 101, or 429 when as many tails as allowed are there.
pub async fn get(
    State(state): State<SharedState>,
    identity: Identity,
    upgrade: WebSocketUpgrade,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let pairs = form.pairs().iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    let mut filter = Filter::new(pairs.collect())
        .map_err(|message| ErrorResponse::bad_request("invalid_filter", message))?;
    filter.matchers = identity.with_own_labels(filter.matchers);
    let tail = state
        .tail_hub
        .subscribe(identity.tenant.clone(), filter.matchers.clone(), identity.limits.query.tails_max)
        .map_err(|error| ErrorResponse::overloaded(error.to_string(), 1))?;
    let stream = Stream { identity, filter, tail };
    Ok(open(&state, upgrade, move |session| stream.run(session)))
}

/// Labels that rows must have.
struct Filter {
    labels: Map<String, Value>,
    matchers: Vec<LabelMatcher>,
}

impl Filter {
    /// Values must be texts; an empty one asks for nothing.
    fn new(labels: Map<String, Value>) -> Result<Self, String> {
        if labels.len() > LABELS_MAX {
            return Err(format!("filter has {} labels, limit is {LABELS_MAX}", labels.len()));
        }
        let mut matchers = Vec::new();
        for (name, value) in &labels {
            if !is_label_name(name) {
                return Err(format!("`{name}` is not a label name"));
            }
            match value.as_str() {
                Some("") => {}
                Some(value) => matchers.push(LabelMatcher::equal(name, value)),
                None => return Err(format!("label `{name}` must be a string")),
            }
        }
        Ok(Self { labels, matchers })
    }

    /// From `{"type":"filter","labels":{…}}`.
    fn from_message(text: &str) -> Result<Self, String> {
        let message: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        if message["type"] != "filter" {
            return Err("expected a message of type `filter`".to_owned());
        }
        match &message["labels"] {
            Value::Object(labels) => Self::new(labels.clone()),
            Value::Null => Self::new(Map::new()),
            _ => Err("labels must be an object".to_owned()),
        }
    }
}

struct Stream {
    identity: Identity,
    filter: Filter,
    tail: TailSubscription,
}

impl Stream {
    async fn run(mut self, mut session: Session) -> Result<(), Ended> {
        session.send(json!({ "type": "connected", "filter": self.filter.labels }).to_string()).await?;
        loop {
            match session.next(self.tail.next()).await? {
                Happening::Text(text) => self.take_message(&mut session, &text).await?,
                Happening::Event(Some(event)) => self.show(&mut session, &event).await?,
                Happening::Event(None) => return Ok(()),
            }
        }
    }

    async fn take_message(&mut self, session: &mut Session, text: &str) -> Result<(), Ended> {
        match Filter::from_message(text) {
            Ok(mut filter) => {
                filter.matchers = self.identity.with_own_labels(filter.matchers);
                self.tail.set_matchers(filter.matchers.clone());
                self.filter = filter;
                let answer = json!({ "type": "filter_updated", "filter": self.filter.labels });
                session.send(answer.to_string()).await
            }
            Err(message) => session.send(json!({ "type": "error", "message": message }).to_string()).await,
        }
    }

    async fn show(&mut self, session: &mut Session, event: &TailEvent) -> Result<(), Ended> {
        // Equal rows of one batch get ids of their own; remembering more would grow without end.
        let mut ids = LogIds::default();
        let rows = &event.batch.rows;
        let wanted: Vec<bool> =
            rows.streams().iter().map(|labels| accepts_all(&self.filter.matchers, labels)).collect();
        for row in rows.iter() {
            if wanted.get(row.stream_index()).is_some_and(|wanted| *wanted) {
                session.send(log_message(row, &mut ids)).await?;
            }
        }
        let missed = event.missed_rows + self.tail.take_missed_rows();
        if missed > 0 {
            session.send(json!({ "type": "missed", "count": missed }).to_string()).await?;
        }
        Ok(())
    }
}

/// `{"type":"log","data":{…}}`
fn log_message(row: RowRef<'_>, ids: &mut LogIds) -> String {
    let mut message = br#"{"type":"log","data":"#.to_vec();
    Log::of_row(row, ids).write(&mut message);
    message.push(b'}');
    // The writer replaces what is not UTF-8.
    String::from_utf8_lossy(&message).into_owned()
}
