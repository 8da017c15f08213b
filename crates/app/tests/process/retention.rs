//! How long logs are kept, and what is said about it before.

use serde_json::json;
use timberyard_testkit::loki_push::{PushEntry, snappy_push_request};

use crate::clock::{HOUR, now};
use crate::logql::{entries_between, push, try_push};
use crate::start::server_with;
use crate::terminal::timberyard;

const RULES: &str = r#"[{selector: '{env="dev"}', priority: 1, period: 24h}]"#;

#[test]
fn streams_go_by_their_own_rule_and_the_preview_says_so() {
    let mut server = server_with(&[
        ("TIMBERYARD_STORAGE_RETENTION_DAYS", "30"),
        ("TIMBERYARD_STORAGE_RETENTION_STREAMS", RULES),
    ]);
    let time = now() - 2 * HOUR;
    for env in ["dev", "prod"] {
        push(&server, &json!({ "app": "shop", "env": env }), &[(time, "one"), (time + 1, "two")]);
    }
    server.post("/flush").send().expect_status(204);
    let found = |server: &_| entries_between(server, r#"{app="shop"}"#, now() - 72 * HOUR, now()).len();
    assert_eq!(found(&server), 4);
    let url = server.url("");
    let of_server = |arguments: &[&str]| {
        timberyard(&[&["retention", "preview", "--url", &url], arguments].concat()).succeeded().text()
    };
    assert!(of_server(&[]).contains("total"), "nothing yet");
    assert!(!of_server(&[]).contains("env="));
    let preview = of_server(&["--after", "3d"]);
    let line = preview.lines().find(|line| line.contains(r#"{env="dev"}"#)).expect(&preview);
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[..5], ["default", r#"{env="dev"}"#, "0", "1", "2"], "{preview}");

    server.terminate();
    let directory = server.data_dir().display().to_string();
    let offline = timberyard(&["retention", "preview", "--data-dir", &directory, "--after", "40d", "--json"])
        .succeeded()
        .text();
    assert_eq!(offline.trim(), r#"{"freed":[],"segments_damaged":0}"#, "no rule is set here");
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a temporary file");
    std::fs::write(file.path(), format!("storage: {{retention_days: 1, retention_streams: {RULES}}}"))
        .expect("written");
    let config = file.path().display().to_string();
    let arguments = ["retention", "preview", "--config", &config, "--data-dir", &directory, "--after", "3d"];
    let preview = timberyard(&arguments).succeeded().text();
    assert!(preview.lines().any(|line| line.starts_with("default  age")), "{preview}");
    let total = preview.lines().find(|line| line.starts_with("total")).expect(&preview);
    assert_eq!(total.split_whitespace().nth(1), Some("4"), "{preview}");
}

#[test]
fn what_is_older_than_all_that_is_kept_is_refused_and_its_neighbours_are_taken() {
    let mut server = server_with(&[("TIMBERYARD_STORAGE_RETENTION_DAYS", "2")]);
    let (young, old) = (now() - HOUR, now() - 72 * HOUR);
    let refused = try_push(&server, &json!({ "app": "shop" }), &[(old, "old"), (young, "young")]);
    let refused = refused.expect_status(400).text();
    assert!(
        refused.contains("has timestamp too old: ") && refused.contains("oldest acceptable"),
        "{refused}"
    );
    let line = PushEntry { timestamp_ns: old, line: b"old", metadata: &[] };
    let body = snappy_push_request(&[("{app=\"snappy\"}", vec![line])]);
    let protobuf =
        server.post("/loki/api/v1/push").header("Content-Type", "application/x-protobuf").body(body);
    protobuf.send().expect_status(400);
    let entry = json!([{ "timestamp": old / 1_000_000, "service": "go", "message": "old" }]);
    let refused = server.post("/v1/logs").json(&entry).send().expect_status(400).text();
    assert!(refused.contains("is too old, logs are kept from"), "{refused}");
    for _ in 0..2 {
        let found = entries_between(&server, r#"{service_name=~".+"}"#, old - HOUR, now());
        assert_eq!(found.iter().map(|entry| &*entry.line).collect::<Vec<_>>(), ["young"]);
        server.kill();
        server.start_again();
    }
}
