//! Through the real Apache Kafka: LogStream's scenario, servers with a role each, and what is killed on the way.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use timberyard_testkit::parts::clickhouse::ClickHouse;
use timberyard_testkit::parts::kafka::{KafkaBroker, PASSWORD, USER};
use timberyard_testkit::server_process::{ServerProcess, ServerSettings};

use crate::logql::entries;
use crate::start::settings;
use crate::terminal::timberyard;
use crate::tls::Authority;

/// How long what goes through a broker may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// One broker at a time: each is a Java program.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks until there is an answer.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server with a settings file and a role, in a folder of its own.
pub(crate) fn with_file(folder: &Path, role: &str, text: &str) -> ServerSettings {
    let file = folder.join(format!("{role}.yaml"));
    std::fs::write(&file, text).expect("written");
    settings().argument("--config").argument(&file.display().to_string()).argument("--role").argument(role)
}

/// Sends a line of a service; says whether that was taken.
pub(crate) fn push(server: &ServerProcess, service: &str, line: &str) -> bool {
    let body = json!([{ "source": service, "message": line }]);
    server.post("/v1/logs").json(&body).try_send().is_ok_and(|answer| answer.status == 202)
}

/// How often each line is stored.
fn stored(server: &ServerProcess) -> BTreeMap<String, usize> {
    let answer = server
        .get("/loki/api/v1/query_range")
        .query("query", r#"{service_name=~"service-.*"}"#)
        .query("limit", "5000")
        .send()
        .expect_status(200)
        .json();
    let mut lines = BTreeMap::new();
    for stream in answer["data"]["result"].as_array().expect("streams") {
        for entry in stream["values"].as_array().expect("entries") {
            *lines.entry(entry[1].as_str().expect("a line").to_owned()).or_default() += 1;
        }
    }
    lines
}

fn once(lines: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    lines.into_iter().map(|line| (line, 1)).collect()
}

pub(crate) fn ingest_file(broker: &KafkaBroker) -> String {
    format!(
        "sinks:\n  queue:\n    required: true\n    kafka: {{brokers: '{}', topic: logs, delivery_timeout_seconds: 2}}\n",
        broker.address()
    )
}

fn reading_file(broker: &KafkaBroker) -> String {
    format!(
        "inputs:\n  queue:\n    kafka: {{brokers: '{}', topics: [logs], member: store-1, \
         session_timeout_seconds: 6, batch_age_milliseconds_max: 20}}\n",
        broker.address()
    )
}

#[test]
fn logstreams_log_is_queued_goes_through_the_topic_and_is_found() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let _turn = turn();
    let broker = KafkaBroker::start(3);
    let server = settings().env("KAFKA_BROKER", broker.address()).start();
    let log = json!({ "service": "payment-service", "level": "ERROR", "message": "Payment failed",
                      "metadata": { "userId": "123", "amount": 50.00 } });
    let sent = server.post("/api/ingest").json(&log).send().expect_status(202).json();
    assert_eq!(sent["status"], "queued");
    let found = eventually("the log to come back from the topic", || {
        let asked = server.get("/api/ingest/logs").query("service", "payment-service").send();
        let answer = asked.expect_status(200).json();
        (answer["result"] == 1).then_some(answer)
    });
    assert_eq!(found["data"][0]["id"], sent["id"]);
    assert_eq!(found["data"][0]["level"], "ERROR");
    let metadata: serde_json::Value =
        serde_json::from_str(found["data"][0]["meta"].as_str().expect("text")).expect("JSON");
    assert_eq!(metadata, log["metadata"]);
    // Other systems' logs do not go through the topic.
    assert!(push(&server, "service-1", "direct"));
    assert_eq!(stored(&server), once(["direct".to_owned()]));
    let metrics = server.get("/metrics").send().expect_status(200).text();
    assert!(metrics.contains("timberyard_input_messages_total{input=\"kafka\"} 1"), "{metrics}");
}

#[test]
fn logstreams_scenario_runs_on_its_own_topic_and_its_own_table() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let _turn = turn();
    let (broker, engine) = (KafkaBroker::start(3), ClickHouse::start());
    // As LogStream's worker made it, with what that had inserted.
    engine.query(
        "CREATE TABLE default.app_logs (id UUID, service String, level String, message String, meta String, \
         timestamp DateTime64(3)) ENGINE = MergeTree() ORDER BY timestamp",
    );
    engine.query(
        "INSERT INTO default.app_logs SELECT generateUUIDv4(), 'user-service', 'INFO', 'User login successful', '{}', now64(3) - 60",
    );
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "store: {{embedded: false}}\nquery: {{source: logstream}}\nsinks:\n  logstream:\n    required: true\n    clickhouse: \
         {{url: {}, layout: logstream}}\n",
        engine.url()
    );
    let ingest =
        settings().env("KAFKA_BROKER", broker.address()).argument("--role").argument("ingest").start();
    // Under a name it takes its own place again, for which a nameless one waits until the group has given it up.
    let input = format!(
        "inputs: {{kafka: {{kafka: {{brokers: '{}', topics: [app-logs], format: logstream, member: worker-1}}}}}}\n",
        broker.address()
    );
    let mut worker = with_file(folder.path(), "worker", &(text.clone() + &input))
        .env("KAFKA_BROKER", broker.address())
        .start();
    let reader = with_file(folder.path(), "all", &text).start();
    let log = |message: &str| {
        json!({ "service": "payment-service", "level": "ERROR", "message": message,
                "metadata": { "userId": "123", "amount": 50.00 } })
    };
    let send = |message: &str| {
        ingest.post("/api/ingest").json(&log(message)).send().expect_status(202).json()["id"].clone()
    };
    let mut ids = vec![send("Payment failed")];
    let count = |expected: &str| {
        let rows = engine
            .query("SELECT count(), uniqExact(id) FROM default.app_logs WHERE service = 'payment-service'");
        (rows == expected).then_some(())
    };
    eventually("the first log to be in the table", || count("1\t1"));
    // Killed while it reads: what it had inserted and not committed is known by its ids.
    for number in 0..60 {
        ids.push(send(&format!("Payment {number}")));
        if number == 30 {
            worker.kill();
            worker.start_again();
        }
    }
    eventually("all of them, each once", || count("61\t61"));
    let found = reader.get("/api/ingest/logs?service=payment-service&level=ERROR&limit=100").send();
    let found = found.expect_status(200).json();
    assert_eq!(found["result"], 61);
    let data = found["data"].as_array().expect("an array");
    assert!(ids.iter().all(|id| data.iter().any(|log| log["id"] == *id)), "{found}");
    let meta: serde_json::Value =
        serde_json::from_str(data[0]["meta"].as_str().expect("text")).expect("JSON");
    assert_eq!(meta, log("")["metadata"]);
    let old = reader.get("/api/ingest/logs?service=user-service").send().expect_status(200).json();
    assert_eq!(old["data"][0]["message"], "User login successful");
    let lines =
        entries(&reader, r#"{service="payment-service", level="ERROR"} |= "failed" | metadata=~".*123.*""#);
    assert_eq!(lines.len(), 1);
}

#[test]
fn brokers_that_want_tls_and_a_password_get_both() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let _turn = turn();
    let authority = Authority::new();
    authority.issue("broker");
    let read = |file: &str| std::fs::read_to_string(authority.text(file)).expect("issued");
    let broker = KafkaBroker::start_with_tls(1, &(read("broker.key") + &read("broker.pem")));
    let folder = tempfile::tempdir().expect("a folder");
    let connection = |password: &str| {
        format!(
            "brokers: '{}', security: {{tls: true, ca_file: {}, sasl: PLAIN, user: {USER}, password: {password}}}",
            broker.secure_address(),
            authority.text("root.pem")
        )
    };
    let sink = |password: &str| {
        format!("sinks: {{queue: {{required: true, kafka: {{{}, topic: logs}}}}}}\n", connection(password))
    };
    let config = folder.path().join("check.yaml");
    let check = |password: &str| {
        std::fs::write(&config, sink(password)).expect("written");
        timberyard(&["config", "check", "--connect", "--config", config.to_str().expect("text")])
    };
    assert!(check(PASSWORD).succeeded().text().contains("sink `queue`: "));
    let refused = check("wrong").failed().all();
    assert!(refused.to_lowercase().contains("authentication"), "{refused}");

    let ingest = with_file(folder.path(), "ingest", &sink(PASSWORD)).start();
    let input = format!("inputs: {{queue: {{kafka: {{{}, topics: [logs]}}}}}}\n", connection(PASSWORD));
    let reader = with_file(folder.path(), "all", &input).start();
    assert!(push(&ingest, "service-1", "over TLS"));
    eventually("the line to come through the topic", || {
        (stored(&reader) == once(["over TLS".to_owned()])).then_some(())
    });
}

#[test]
fn a_reader_that_is_killed_again_and_again_stores_every_line_once() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let _turn = turn();
    let broker = KafkaBroker::start(3);
    let folder = tempfile::tempdir().expect("a folder");
    let ingest = with_file(folder.path(), "ingest", &ingest_file(&broker)).start();
    let refused = ingest.get("/loki/api/v1/labels").send();
    assert_eq!(refused.status, 503, "{}", refused.text());
    let mut reader = with_file(folder.path(), "all", &reading_file(&broker)).start();
    let lines: Vec<String> = (0..300).map(|number| format!("line {number:04}")).collect();
    for (number, line) in lines.iter().enumerate() {
        assert!(push(&ingest, &format!("service-{}", number % 7), line));
        if number % 100 == 60 {
            reader.kill();
            reader.start_again();
        }
    }
    eventually("all lines", || (stored(&reader).len() == lines.len()).then_some(()));
    assert_eq!(stored(&reader), once(lines));
}

#[test]
fn what_is_taken_while_the_broker_is_away_is_there_when_it_is_back() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let _turn = turn();
    let mut broker = KafkaBroker::start(3);
    let folder = tempfile::tempdir().expect("a folder");
    let mut ingest = with_file(folder.path(), "ingest", &ingest_file(&broker)).start();
    let reader = with_file(folder.path(), "all", &reading_file(&broker)).start();
    let lines: Vec<String> = (0..60).map(|number| format!("line {number:04}")).collect();
    let send = |server: &ServerProcess, lines: &[String]| {
        for (number, line) in lines.iter().enumerate() {
            assert!(push(server, &format!("service-{}", number % 3), line), "{line}");
        }
    };
    send(&ingest, &lines[..20]);
    broker.kill();
    send(&ingest, &lines[20..40]);
    // What was acknowledged outlives the server that did it.
    ingest.kill();
    ingest.start_again();
    send(&ingest, &lines[40..]);
    broker.start_again();
    eventually("all lines", || (stored(&reader).len() == lines.len()).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(stored(&reader), once(lines));
}

#[test]
fn without_its_brokers_a_server_is_ready_until_the_spool_is_full() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let _turn = turn();
    let mut broker = KafkaBroker::start(1);
    let folder = tempfile::tempdir().expect("a folder");
    let file = format!("{}    spool_bytes_max: 4096\n", ingest_file(&broker));
    let ingest = with_file(folder.path(), "ingest", &file).start();
    let is_up = |up: u8| {
        eventually("the metric", || {
            let metrics = ingest.get("/metrics").send().expect_status(200).text();
            metrics.contains(&format!("timberyard_sink_up{{sink=\"queue\"}} {up}\n")).then_some(())
        });
    };
    is_up(1);
    broker.kill();
    is_up(0);
    assert!(push(&ingest, "service-1", "on disk"));
    assert_eq!(ingest.get("/ready").send().status, 200, "there is room on disk");
    eventually("a full spool", || (!push(&ingest, "service-1", &noise(2_000))).then_some(()));
    let refused = ingest.get("/ready").send().expect_status(503).text();
    assert!(refused.contains("sink `queue`: Kafka") && refused.contains("its spool is full"), "{refused}");
    broker.start_again();
    is_up(1);
    eventually("room again", || (ingest.get("/ready").send().status == 200).then_some(()));
}

/// Text that no compression makes small.
pub(crate) fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    };
    std::iter::repeat_with(&mut next).take(bytes / 8).collect()
}

#[test]
fn a_worker_writes_to_its_sinks_and_serves_nothing_else() {
    if KafkaBroker::is_left_out() {
        return;
    }
    let _turn = turn();
    let broker = KafkaBroker::start(1);
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    let text = format!(
        "{}{}  archive:\n    files: {{dir: '{}'}}\n",
        reading_file(&broker),
        ingest_file(&broker),
        files.display()
    );
    let ingest = with_file(folder.path(), "ingest", &text).start();
    let worker = with_file(folder.path(), "worker", &text).start();
    assert!(push(&ingest, "service-1", "through the worker"));
    eventually("a file with the line", || {
        let has_line =
            |path: &Path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("through the worker"));
        // A folder a tenant, a file a session.
        let tenants = std::fs::read_dir(&files).ok()?.flatten();
        let mut sessions =
            tenants.filter_map(|tenant| std::fs::read_dir(tenant.path()).ok()).flatten().flatten();
        sessions.any(|session| has_line(&session.path())).then_some(())
    });
    assert_eq!(worker.get("/metrics").send().status, 200);
    assert_eq!(worker.get("/health").send().status, 200);
    assert_eq!(worker.get("/loki/api/v1/labels").send().status, 404);
    assert!(!push(&worker, "service-1", "nobody sends to a worker"));
}
