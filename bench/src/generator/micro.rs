//! Lines of a company's services: JSON, logfmt and plain text, unique trace ids, a few stack traces.
//!
//! 34 applications of five namespaces with five pods each; a few applications write most lines. The JSON of one
//! namespace has `status` and `duration_ms`, the logfmt of another `duration`, so that fields can be asked for.

use std::fmt::Write as _;

use fastrand::Rng;

use super::draw::{Skewed, duration_ms, pick};
use super::phrase::Phrase;
use super::stack_trace::Frames;
use super::{Generator, NEEDLE, Place, RARE_WORD, StreamLabels};

/// An id of 32 hex digits that stands in [`APP_NEEDLE_LINES`] lines of [`APP_OF_NEEDLE`].
pub(crate) const APP_NEEDLE: &str = "5d0e93b7a16c48f2b9437ec85da0f162";
/// How many lines hold [`APP_NEEDLE`].
pub(crate) const APP_NEEDLE_LINES: usize = 3;
/// The application of [`APP_NEEDLE`].
pub(crate) const APP_OF_NEEDLE: &str = "ledger";

const PODS: usize = 5;
/// Traces that are under way at the same time.
const OPEN_TRACES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Logfmt,
    Plain,
}

const NAMESPACES: [(&str, Format, &[&str]); 5] = [
    (
        "shop",
        Format::Json,
        &[
            "storefront",
            "basket",
            "catalogue",
            "till",
            "orders",
            "prices",
            "reviews",
            "stock",
            "parcels",
            "deals",
        ],
    ),
    ("search", Format::Json, &["query", "indexer", "completion", "ranking", "crawler", "facets"]),
    (
        "payments",
        Format::Logfmt,
        &["payment-api", "ledger", "fraud", "invoices", "refunds", "wallet", "exchange", "settlement"],
    ),
    (
        "platform",
        Format::Logfmt,
        &["gateway", "identity", "accounts", "sessions", "mail", "jobs", "switches"],
    ),
    ("infra", Format::Plain, &["ingress", "resolver", "node-agent"]),
];

/// What goes well.
const GOOD: [&str; 36] = [
    "request served in {n} ms, {n} bytes",
    "cache hit for item:{n}, {s} s to live",
    "cache miss for item:{n}, asking shard {s}",
    "connection pool grown to {s}, {s} idle",
    "connection taken from {ip}",
    "connection closed by peer after {n} s and {s} requests",
    "slow statement took {n} ms over {n} rows",
    "calling upstream again, attempt {s}, after {n} ms",
    "token of client {n} renewed for {n} s",
    "offset {n} of partition {s} committed",
    "switch <N> evaluated to variant {s}",
    "limiter let {n} of {n} tokens pass",
    "collector paused {n} us, heap {n} MiB",
    "settings of revision {n} loaded in {n} ms",
    "lease renewed for term {n} by node {s}",
    "handshake done in {n} us with suite {s}",
    "batch of {n} events written in {n} ms",
    "hook delivered to endpoint {n}, {s} tries",
    "lookup of svc-<N>.prod.svc.cluster.local took {n} us",
    "probe answered in {n} us, sequence {n}",
    "scrape of {n} series took {n} ms",
    "queue <q> holds {n} of {n}",
    "lock on <o> {n} taken after {n} us",
    "<o> {n} <v>",
    "<o> {n} <v> for customer {n}",
    "<q> <o> {n} <v> in {n} us",
    "<v> {n} of {n} <o>s",
    "<o> {n} <v>, <o> {n} <v>",
    "order {n} moved to state <N>",
    "price list {n} <v>, {n} rows",
    "message {uuid} <v> by <o> {s}",
    "page {n} rendered with {s} fragments",
    "<o> <N> <v> on <q> <o> {s}",
    "user u-{n} <v> <o> {x}",
    "stream {x} <v>, window {n}",
    "job <N> ran for {n} ms, next run in {n} s",
];

/// What goes wrong.
const BAD: [&str; 14] = [
    "upstream error: connection refused by {ip}:8080",
    "gave up after {n} ms waiting for shard {s}",
    "deadline exceeded calling ledger shard {s} after {n} ms",
    "no lock on <o> {n} within {n} ms",
    "broken pipe, {n} bytes unsent to client {n}",
    "circuit open for upstream {s}, {n} failures",
    "unexpected end of body at {n} of {n} bytes",
    "duplicate key breaks unique constraint orders_{s}, row {n}",
    "handler {s} recovered from a panic, task {n}",
    "role {s} may not read object {n}",
    "too many open files, limit {n}, in use {n}",
    "checksum of block {n} is {x}, not {x}",
    "<q> <o> {n} could not be <v>",
    "<o> {n} lost its <o> {s}",
];

const METHODS: [&str; 20] = [
    "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST",
    "POST", "POST", "POST", "PUT", "PUT", "DELETE",
];
const PATHS: [&str; 12] = [
    "/api/v1/orders/{n}",
    "/api/v1/accounts/{n}/profile",
    "/api/v1/baskets/{n}/items",
    "/api/v2/articles/{n}",
    "/api/v2/articles/{n}/reviews",
    "/api/v1/search?q=term{n}",
    "/api/v1/payments/{n}/capture",
    "/internal/sync/{n}",
    "/api/v1/sessions/{x}",
    "/api/v1/invoices/{n}.pdf",
    "/static/img/{n}.webp",
    "/api/v3/suggestions/{n}",
];
const GOOD_STATUS: [u16; 12] = [200, 200, 200, 200, 200, 200, 200, 200, 200, 201, 204, 304];
const WARN_STATUS: [u16; 5] = [400, 404, 404, 429, 409];
const ERROR_STATUS: [u16; 5] = [500, 502, 503, 504, 500];
/// How the same trouble is spelled by different services.
const OUT_OF_MEMORY: [&str; 4] = ["OutOfMemory", "outofmemory", "OUTOFMEMORY", "outOfMemory"];

struct App {
    name: &'static str,
    namespace: &'static str,
    format: Format,
}

/// What the formats have in common.
struct Event<'a> {
    level: &'static str,
    message: &'a str,
    path: &'a str,
    method: &'static str,
    status: u16,
    duration_ms: f64,
    trace: &'a str,
    user: usize,
    source: u8,
    source_line: u16,
}

pub(super) struct Micro {
    rng: Rng,
    apps: Vec<App>,
    popularity: Skewed,
    users: Skewed,
    good: Vec<Phrase>,
    bad: Vec<Phrase>,
    paths: Vec<Phrase>,
    traces: Vec<String>,
    frames: Frames,
    message: String,
    path: String,
}

impl Micro {
    pub(super) fn new(mut rng: Rng) -> Self {
        // The first of each namespace are the most popular, then the second of each, and so on.
        let most = NAMESPACES.iter().map(|(_, _, names)| names.len()).max().unwrap_or_default();
        let apps: Vec<App> = (0..most)
            .flat_map(|rank| {
                NAMESPACES.iter().map(move |(namespace, format, names)| (namespace, format, names.get(rank)))
            })
            .filter_map(|(namespace, format, name)| Some(App { name: name?, namespace, format: *format }))
            .collect();
        let settle = |written: &[&str], times: usize, rng: &mut Rng| -> Vec<Phrase> {
            (0..times)
                .flat_map(|_| written.iter().map(|w| Phrase::settle(w, rng)).collect::<Vec<_>>())
                .collect()
        };
        let good = settle(&GOOD, 5, &mut rng);
        let bad = settle(&BAD, 3, &mut rng);
        let paths = settle(&PATHS, 1, &mut rng);
        let traces = (0..OPEN_TRACES).map(|_| format!("{:032x}", rng.u128(..))).collect();
        let frames = Frames::new(&mut rng, 300);
        Self {
            popularity: Skewed::new(apps.len(), 1.05),
            users: Skewed::new(100_000, 1.1),
            rng,
            apps,
            good,
            bad,
            paths,
            traces,
            frames,
            message: String::new(),
            path: String::new(),
        }
    }

    fn trace(&mut self, place: Place) -> String {
        let place_in_ring = self.rng.usize(0..OPEN_TRACES);
        if self.rng.u8(0..100) < 35 {
            self.traces[place_in_ring] = format!("{:032x}", self.rng.u128(..));
        }
        if place.has_needle() {
            NEEDLE.to_owned()
        } else if has_app_needle(place) {
            APP_NEEDLE.to_owned()
        } else {
            self.traces[place_in_ring].clone()
        }
    }
}

/// Three places, each right behind one of [`NEEDLE`].
fn has_app_needle(place: Place) -> bool {
    let Some(before) = place.index.checked_sub(1) else { return false };
    let behind = Place { index: before, ..place };
    behind.has_needle() && before / (place.count / super::NEEDLE_LINES) < APP_NEEDLE_LINES
}

/// One of five thousand lines speaks of a lack of memory, each in another spelling.
fn out_of_memory(place: Place) -> Option<&'static str> {
    (place.index % 5_000 == 1_237).then(|| OUT_OF_MEMORY[place.index / 5_000 % OUT_OF_MEMORY.len()])
}

impl Generator for Micro {
    fn streams(&self) -> Vec<StreamLabels> {
        self.apps
            .iter()
            .flat_map(|app| {
                (0..PODS).map(|pod| {
                    vec![
                        ("app", app.name.to_owned()),
                        ("namespace", app.namespace.to_owned()),
                        ("pod", format!("{}-{pod}", app.name)),
                    ]
                })
            })
            .collect()
    }

    fn write(&mut self, place: Place, text: &mut String) -> usize {
        let trace = self.trace(place);
        let rng = &mut self.rng;
        let app = if has_app_needle(place) {
            self.apps.iter().position(|app| app.name == APP_OF_NEEDLE).unwrap_or_default()
        } else {
            self.popularity.draw(rng)
        };
        let level = match rng.u8(0..100) {
            0..78 => "info",
            78..90 => "debug",
            90..96 => "warn",
            _ => "error",
        };
        let trouble = level == "error" || (level == "warn" && rng.bool());
        let said = if trouble { &self.bad } else { &self.good };
        self.message.clear();
        said[rng.usize(0..said.len())].say(rng, &mut self.message);
        if place.has_rare_word() {
            let _ = write!(self.message, " {RARE_WORD}");
        }
        if let Some(spelled) = out_of_memory(place) {
            let _ = write!(self.message, " reason {spelled}");
        }
        self.path.clear();
        self.paths[rng.usize(0..self.paths.len())].say(rng, &mut self.path);
        let event = Event {
            level,
            message: &self.message,
            path: &self.path,
            method: pick(rng, &METHODS),
            status: match level {
                "error" => ERROR_STATUS[rng.usize(0..ERROR_STATUS.len())],
                "warn" => WARN_STATUS[rng.usize(0..WARN_STATUS.len())],
                _ => GOOD_STATUS[rng.usize(0..GOOD_STATUS.len())],
            },
            duration_ms: duration_ms(rng),
            trace: &trace,
            user: self.users.draw(rng),
            source: rng.u8(0..31),
            source_line: rng.u16(1..700),
        };
        let with_stack = level == "error" && rng.u8(0..50) == 0;
        let format = self.apps[app].format;
        event.write(format, place, text);
        if with_stack && format != Format::Plain {
            let mut stack = String::new();
            self.frames.write_trace(rng, &mut stack);
            match format {
                Format::Json => {
                    text.pop();
                    let _ = write!(text, ",\"stack\":{}}}", serde_json::Value::String(stack));
                }
                _ => {
                    text.push('\n');
                    text.push_str(&stack);
                }
            }
        }
        app * PODS + rng.usize(0..PODS)
    }
}

impl Event<'_> {
    fn write(&self, format: Format, place: Place, text: &mut String) {
        let Self { level, message, path, method, status, duration_ms, trace, user, source, source_line } =
            self;
        let time = place.time_of_day();
        let written = match format {
            Format::Json => write!(
                text,
                "{{\"ts\":\"2026-11-01T{time}.{:03}Z\",\"level\":\"{level}\",\"msg\":\"{message}\",\
                 \"method\":\"{method}\",\"path\":\"{path}\",\"status\":{status},\"duration_ms\":{duration_ms},\
                 \"trace_id\":\"{trace}\",\"user_id\":\"u-{user}\",\"caller\":\"handler_{source}.rs:{source_line}\"}}",
                place.millisecond()
            ),
            Format::Logfmt => write!(
                text,
                "ts=2026-11-01T{time}.{:03}Z level={level} caller=server_{source}.go:{source_line} \
                 msg=\"{message}\" method={method} path={path} status={status} duration={duration_ms}ms \
                 trace_id={trace} user_id=u-{user}",
                place.millisecond()
            ),
            Format::Plain => write!(
                text,
                "{}1101 {time}.{:06} {:7} control_{source}.go:{source_line}] {message} trace={trace}",
                &level[..1].to_uppercase(),
                place.microsecond(),
                user % 40_000
            ),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
}
