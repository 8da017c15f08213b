//! Sends one request after another, each until a server has taken or refused it.
//!
//! A request whose fate is unknown stays with its server for a while, since another one would store it a second time; one that was
//! certainly not taken goes to the next server at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use timberyard_model::origin::OriginEnd;
use timberyard_wire::loki_push_encode::CONTENT_TYPE;
use timberyard_wire::origin_header;

use crate::backoff::Backoff;
use crate::batch::Shipment;
use crate::metrics::AgentMetrics;
use crate::transport::{Answer, Transport};

const PATH: &str = "/loki/api/v1/push";
/// How long a request whose fate is unknown stays with its server, when there are others.
const FATE_UNKNOWN_MAX: Duration = Duration::from_secs(60);
/// After how long the preferred server is tried again.
const PREFERRED_AGAIN: Duration = Duration::from_secs(60);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is stored.
    Stored,
    /// Some of it was stored before: up to where.
    StoredInPart(Vec<OriginEnd>),
    /// It will never be taken as it is.
    Refused(String),
    /// The agent stops.
    GivenUp,
}

/// Sends requests to the first server that takes them.
pub(crate) struct Shipper {
    servers: Vec<Box<dyn Transport>>,
    current: usize,
    away_since: Option<Instant>,
    metrics: Arc<AgentMetrics>,
    stopping: Arc<AtomicBool>,
}

/// What is to be done next.
enum Step {
    Done(Outcome),
    /// The same server again.
    Again(Option<Duration>, String),
    /// Any server: nothing was stored.
    Elsewhere(Option<Duration>, String),
}

impl Shipper {
    pub(crate) fn new(
        servers: Vec<Box<dyn Transport>>,
        metrics: Arc<AgentMetrics>,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        Self { servers, current: 0, away_since: None, metrics, stopping }
    }

    /// Sends it; returns when its fate is known, or the agent stops.
    pub(crate) fn send(&mut self, shipment: &Shipment) -> Outcome {
        let origins = origin_header::write_ranges(&shipment.origins);
        let headers = [("Content-Type", CONTENT_TYPE), (origin_header::ORIGIN, &*origins)];
        let mut backoff = Backoff::new();
        let mut unknown_since = None;
        if self.away_since.is_some_and(|since| since.elapsed() > PREFERRED_AGAIN) {
            (self.current, self.away_since) = (0, None);
        }
        loop {
            let Some(server) = self.servers.get(self.current) else { return Outcome::GivenUp };
            let step = match server.post(PATH, &headers, &shipment.body) {
                Ok(answer) => self.judge(&answer, shipment),
                Err(error) if error.not_sent => Step::Elsewhere(None, error.reason),
                Err(error) => Step::Again(None, error.reason),
            };
            let (asked, problem, stays) = match step {
                Step::Done(outcome) => {
                    self.metrics.reachable.set(1);
                    return outcome;
                }
                Step::Again(asked, problem) => {
                    let since = *unknown_since.get_or_insert_with(Instant::now);
                    (asked, problem, since.elapsed() < FATE_UNKNOWN_MAX)
                }
                // Its fate is still unknown where an earlier try got no answer.
                Step::Elsewhere(asked, problem) => {
                    let stays =
                        unknown_since.is_some_and(|since: Instant| since.elapsed() < FATE_UNKNOWN_MAX);
                    (asked, problem, stays)
                }
            };
            self.metrics.reachable.set(0);
            self.metrics.retries.add(1);
            let address = server.address();
            let wait = if !stays && self.servers.len() > 1 && self.current + 1 < self.servers.len() {
                self.current += 1;
                self.away_since = Some(Instant::now());
                Duration::ZERO
            } else {
                if !stays && self.servers.len() > 1 {
                    self.current = 0;
                }
                backoff.next_random(asked)
            };
            tracing::warn!(
                server = address,
                problem,
                wait_ms = wait.as_millis() as u64,
                "request is tried again"
            );
            let until = Instant::now() + wait;
            loop {
                if self.stopping.load(Ordering::Relaxed) {
                    return Outcome::GivenUp;
                }
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                std::thread::sleep(left.min(Duration::from_millis(100)));
            }
        }
    }

    fn judge(&self, answer: &Answer, shipment: &Shipment) -> Step {
        let ends = answer.stored.as_deref().and_then(|text| origin_header::read_ends(text).ok());
        match (answer.status, ends) {
            (200..300, _) => {
                if answer.duplicate {
                    self.metrics.duplicates.add(1);
                }
                self.metrics.lines_stored.add(shipment.rows);
                Step::Done(Outcome::Stored)
            }
            (409, Some(ends)) => Step::Done(Outcome::StoredInPart(ends)),
            // What was not refused is stored.
            (400, Some(_)) => {
                tracing::warn!(problem = answer.problem, "the server refused some lines");
                self.metrics.lines_refused.add(1);
                self.metrics.lines_stored.add(shipment.rows);
                Step::Done(Outcome::Stored)
            }
            (400 | 413 | 422, _) => Step::Done(Outcome::Refused(answer.problem.clone())),
            _ => Step::Elsewhere(answer.retry_after, answer.problem.clone()),
        }
    }
}
