//! ClickHouse behind Kafka and behind servers, when a part dies or the network breaks: no row is lost and none is doubled.
//!
//! What brokers and PostgreSQL do is in `kafka` and `postgres`.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;
use timberyard_testkit::cutting_relay::CuttingRelay;
use timberyard_testkit::http::Answer;
use timberyard_testkit::parts::clickhouse::ClickHouse;
use timberyard_testkit::parts::kafka::KafkaBroker;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::now;
use crate::kafka::{eventually, ingest_file, noise, push, turn, with_file};
use crate::start::server_configured;

fn is_torture() -> bool {
    std::env::var_os("TIMBERYARD_TORTURE").is_some()
}

/// How long ClickHouse is away.
fn outage() -> Duration {
    match is_torture() {
        true => Duration::from_secs(60),
        false => Duration::from_millis(1500),
    }
}

/// A broker for the tests of this file, which do it no harm; it ends with this process.
fn shared_broker() -> &'static KafkaBroker {
    static BROKER: OnceLock<KafkaBroker> = OnceLock::new();
    BROKER.get_or_init(|| KafkaBroker::start(2))
}

/// A server that takes logs for a topic, one that brings them into ClickHouse, and what lies between that and its engine.
struct Chain {
    engine: ClickHouse,
    relay: CuttingRelay,
    ingest: ServerProcess,
    worker: ServerProcess,
    sent: usize,
    _folder: tempfile::TempDir,
}

impl Chain {
    /// `insert_timeout_ms` is how long the worker waits for an answer to an insert before it sends it again.
    fn start(topic: &str, insert_timeout_ms: u32) -> Self {
        let (broker, engine) = (shared_broker(), ClickHouse::start());
        let relay = relay_to(&engine);
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "{}  warehouse: {{required: true, clickhouse: {{url: 'http://127.0.0.1:{}', insert_timeout_ms: {insert_timeout_ms}}}}}\n\
             inputs:\n  queue:\n    kafka: {{brokers: '{}', topics: [{topic}], group: {topic}, member: {topic}, \
             session_timeout_seconds: 6, batch_age_milliseconds_max: 20}}\n",
            ingest_file(broker).replace("topic: logs", &format!("topic: {topic}")),
            relay.port(),
            broker.address(),
        );
        let ingest = with_file(folder.path(), "ingest", &text).start();
        let worker = with_file(folder.path(), "worker", &text).start();
        Self { engine, relay, ingest, worker, sent: 0, _folder: folder }
    }

    /// Sends so many lines more, each of which is acknowledged.
    fn send(&mut self, lines: usize) {
        for number in self.sent..self.sent + lines {
            let service = format!("service-{}", number % 5);
            assert!(push(&self.ingest, &service, &format!("line {number}")), "line {number} is acknowledged");
        }
        self.sent += lines;
    }

    fn stored(&self) -> Option<(usize, usize)> {
        stored(&self.engine)
    }

    /// Waits until everything is there, and looks whether anything is there twice.
    #[track_caller]
    fn finish(&self) {
        eventually("all lines", || self.stored().filter(|(_, lines)| *lines >= self.sent));
        assert_eq!(self.stored(), Some((self.sent, self.sent)), "rows, and different lines");
    }
}

fn relay_to(engine: &ClickHouse) -> CuttingRelay {
    let port = engine.address().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    CuttingRelay::to(port.expect("an address with a port"))
}

/// How many rows there are, and how many different lines; nothing while there is no table.
fn stored(engine: &ClickHouse) -> Option<(usize, usize)> {
    if engine.query("SELECT count() FROM system.tables WHERE name = 'logs'") == "0" {
        return None;
    }
    let answer = engine.query("SELECT count(), uniqExact(line) FROM default.logs FINAL");
    let (rows, lines) = answer.split_once('\t').expect("two numbers");
    Some((rows.parse().expect("a number"), lines.parse().expect("a number")))
}

#[test]
fn a_worker_that_is_killed_between_insert_and_commit_writes_nothing_twice() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let _turn = turn();
    // Lines come in several inserts, and the second of a partition waits until the first, whose answer is held, is given up.
    let mut chain = Chain::start("killed", 1000);
    chain.send(10);
    chain.finish();
    let rounds = if is_torture() { 5 } else { 1 };
    for _ in 0..rounds {
        // That rows are inserted is not heard by the worker, so it commits nothing.
        chain.relay.hold_answers_to(Some("INSERT"));
        chain.send(20);
        chain.finish();
        chain.worker.kill();
        chain.relay.hold_answers_to(None);
        chain.worker.start_again();
        chain.send(10);
        chain.finish();
    }
    let metrics = chain.worker.get("/metrics").send().expect_status(200).text();
    let repeated = metrics.lines().find(|line| line.starts_with("timberyard_input_repeated_total{"));
    assert!(repeated.is_some_and(|line| !line.ends_with(" 0")), "nothing was read again: {metrics}");
}

#[test]
fn a_worker_waits_for_clickhouse_and_goes_on_where_it_was() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let _turn = turn();
    let mut chain = Chain::start("away", 60_000);
    chain.send(30);
    chain.engine.kill();
    chain.send(30);
    std::thread::sleep(outage());
    assert_eq!(chain.worker.get("/ready").send().status, 503);
    assert_eq!(chain.ingest.get("/ready").send().status, 200);
    chain.engine.start_again();
    chain.send(30);
    chain.finish();
}

/// A server whose only store is behind a relay.
fn server_behind(relay: &CuttingRelay) -> ServerProcess {
    server_configured(&format!(
        "store: {{embedded: false}}\nquery: {{source: warehouse}}\nsinks:\n  \
         warehouse: {{required: true, clickhouse: {{url: 'http://127.0.0.1:{}', batch_age_ms: 1}}}}\n",
        relay.port()
    ))
}

/// Sends lines of Loki's as one push.
fn try_send(server: &ServerProcess, lines: Range<usize>, filling: &str) -> Result<Answer, String> {
    let time = now().to_string();
    let values: Vec<_> = lines.map(|number| json!([time, format!("line {number} {filling}")])).collect();
    let body = json!({ "streams": [{ "stream": { "app": "cut" }, "values": values }] });
    server.post("/loki/api/v1/push").json(&body).try_send()
}

#[test]
fn a_sender_that_repeats_what_was_refused_while_clickhouse_was_away_has_every_line_once() {
    let mut engine = ClickHouse::start();
    let relay = relay_to(&engine);
    let server = server_behind(&relay);
    let is_taken = |server: &ServerProcess, lines: Range<usize>| {
        try_send(server, lines, "").is_ok_and(|answer| answer.status == 204)
    };
    assert!(is_taken(&server, 0..10));
    engine.kill();
    let refused = try_send(&server, 10..20, "").expect("answered");
    assert_eq!(refused.status, 503, "{}", refused.text());
    std::thread::sleep(outage());
    engine.start_again();
    eventually("the lines to be taken", || is_taken(&server, 10..20).then_some(()));
    assert_eq!(stored(&engine), Some((20, 20)));
}

#[test]
fn a_network_that_is_cut_half_way_through_batches_loses_and_doubles_nothing() {
    let engine = ClickHouse::start();
    let relay = relay_to(&engine);
    let server = server_behind(&relay);
    let filling = noise(400);
    let mut sent = 0;
    for bytes in (0..60_000).step_by(6_000) {
        match bytes % 12_000 {
            0 => relay.cut_to_server_after(bytes),
            _ => relay.cut_to_client_after(bytes % 200),
        }
        let lines = sent..sent + 100;
        eventually("the push to be taken", || {
            let taken = try_send(&server, lines.clone(), &filling);
            taken.is_ok_and(|answer| answer.status == 204).then_some(())
        });
        sent += 100;
    }
    relay.spare();
    assert_eq!(stored(&engine), Some((sent, sent)));
}
