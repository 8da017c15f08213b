//! Deterministic log lines: the same count always gives the same bytes.
//!
//! `micro` is JSON and logfmt of microservices with unique hex ids, `nginx` is the combined access log.
//! Timestamps advance by jittered nanoseconds over six hours that end at a fixed point.

use std::fmt;
use std::fmt::Write as _;

use fastrand::Rng;

/// The first timestamp, in nanoseconds: 2026-11-01T00:00:00Z.
pub(crate) const START_NS: i64 = 1_793_491_200_000_000_000;
/// How long the lines span, in nanoseconds.
pub(crate) const SPAN_NS: i64 = 6 * 3600 * 1_000_000_000;

const MICRO_APPS: usize = 40;
const MICRO_PODS: usize = 4;
const NGINX_HOSTS: usize = 10;

/// A kind of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// JSON and logfmt of microservices.
    Micro,
    /// Combined access log.
    Nginx,
}

/// One line on its way to the server.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) stream: usize,
    pub(crate) timestamp_ns: i64,
    pub(crate) text: String,
}

impl Workload {
    pub(crate) const ALL: [Self; 2] = [Self::Micro, Self::Nginx];

    /// The labels of every stream, as LogQL text.
    pub(crate) fn streams(self) -> Vec<String> {
        match self {
            Self::Micro => (0..MICRO_APPS * MICRO_PODS)
                .map(|i| {
                    let (app, pod) = (i / MICRO_PODS, i % MICRO_PODS);
                    format!("{{app=\"app-{app:02}\", env=\"prod\", pod=\"app-{app:02}-{pod}\"}}")
                })
                .collect(),
            Self::Nginx => {
                (0..NGINX_HOSTS).map(|i| format!("{{job=\"nginx\", host=\"edge-{i:02}\"}}")).collect()
            }
        }
    }

    /// The lines, one after the other in the order of time.
    pub(crate) fn lines(self, count: usize) -> impl Iterator<Item = Line> {
        let mut rng = Rng::with_seed(0x7157_BEA2_D000 + self as u64);
        let streams = self.streams().len();
        let step = SPAN_NS / count.max(1) as i64;
        (0..count).map(move |i| {
            let timestamp_ns = START_NS + i as i64 * step + rng.i64(0..step.max(1));
            // A few streams are busy and most are quiet, as in life.
            let stream = (rng.f64() * rng.f64() * streams as f64) as usize;
            let text = match self {
                Self::Micro => micro_line(&mut rng, stream, timestamp_ns),
                Self::Nginx => nginx_line(&mut rng, timestamp_ns),
            };
            Line { stream, timestamp_ns, text }
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Micro => "micro",
            Self::Nginx => "nginx",
        })
    }
}

const ROUTES: [&str; 8] = [
    "/api/orders",
    "/api/users",
    "/api/cart/items",
    "/api/search",
    "/healthz",
    "/api/pay",
    "/api/login",
    "/api/stock",
];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const STATUS: [u16; 10] = [200, 200, 200, 200, 200, 201, 204, 304, 404, 500];
const EVENTS: [&str; 8] = [
    "request completed",
    "cache miss, reading from database",
    "queued message for delivery",
    "connection to upstream was reset, trying again",
    "user session refreshed",
    "slow query detected",
    "payment authorised by provider",
    "feature flag evaluated",
];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 Version/17.6 Safari/605.1.15",
    "curl/8.9.1",
    "kube-probe/1.31",
];

fn pick<'a, T: ?Sized>(rng: &mut Rng, from: &[&'a T]) -> &'a T {
    from[rng.usize(0..from.len())]
}

fn micro_line(rng: &mut Rng, stream: usize, timestamp_ns: i64) -> String {
    let level = ["info", "info", "info", "info", "debug", "debug", "warn", "error"][rng.usize(0..8)];
    let (trace, span) = (rng.u128(..), rng.u64(..));
    let (event, route, method) = (pick(rng, &EVENTS), pick(rng, &ROUTES), pick(rng, &METHODS));
    let status = STATUS[rng.usize(0..STATUS.len())];
    let duration_us = 100 + (rng.f64().powi(4) * 2_000_000.0) as u32;
    let mut text = String::with_capacity(320);
    // Half of the applications write JSON, the others logfmt.
    let written = if (stream / MICRO_PODS).is_multiple_of(2) {
        write!(
            text,
            "{{\"ts\":\"{}\",\"level\":\"{level}\",\"msg\":\"{event}\",\"trace_id\":\"{trace:032x}\",\
             \"span_id\":\"{span:016x}\",\"method\":\"{method}\",\"path\":\"{route}/{}\",\"status\":{status},\
             \"duration_ms\":{}.{:03},\"user_id\":{}}}",
            clock(timestamp_ns),
            rng.u32(1..50_000),
            duration_us / 1000,
            duration_us % 1000,
            rng.u32(1..900_000)
        )
    } else {
        write!(
            text,
            "ts={} level={level} msg=\"{event}\" trace_id={trace:032x} span_id={span:016x} method={method} \
             path={route}/{} status={status} duration={}.{:03}ms bytes={}",
            clock(timestamp_ns),
            rng.u32(1..50_000),
            duration_us / 1000,
            duration_us % 1000,
            rng.u32(80..40_000)
        )
    };
    debug_assert!(written.is_ok());
    text
}

fn nginx_line(rng: &mut Rng, timestamp_ns: i64) -> String {
    let (route, method, agent) = (pick(rng, &ROUTES), pick(rng, &METHODS), pick(rng, &AGENTS));
    let status = STATUS[rng.usize(0..STATUS.len())];
    let second = clock(timestamp_ns);
    format!(
        "{}.{}.{}.{} - - [{} +0000] \"{method} {route}/{}?page={} HTTP/1.1\" {status} {} \"-\" \"{agent}\"",
        rng.u8(1..220),
        rng.u8(..),
        rng.u8(..),
        rng.u8(1..),
        &second[..19],
        rng.u32(1..50_000),
        rng.u8(1..20),
        rng.u32(120..80_000)
    )
}

/// The time of day, with milliseconds; all lines are of one day.
fn clock(timestamp_ns: i64) -> String {
    let ms = (timestamp_ns - START_NS) / 1_000_000;
    let (s, m, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    format!("2026-11-01T{h:02}:{:02}:{:02}.{:03}Z", m % 60, s % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_count_gives_the_same_lines() {
        let texts = |w: Workload| w.lines(100).map(|l| l.text).collect::<Vec<_>>();
        for workload in Workload::ALL {
            assert_eq!(texts(workload), texts(workload));
        }
    }
}
