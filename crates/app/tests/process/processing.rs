//! Steps of processing through the binary: what the guide shows, each way in, and rules read again.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::{ServerProcess, free_address};
use timberyard_testkit::websocket::WebSocket;

use crate::clock::now;
use crate::logql::{Entry, entries, lines, push};
use crate::start::{configured, server_configured};

/// One example of the guide: settings, and lines with what becomes of them.
struct Example {
    settings: String,
    lines: Vec<(String, String)>,
}

/// The blocks of settings, each with the block of lines that follows.
fn examples(page: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    for block in page.split("```yaml\n").skip(1) {
        let (settings, rest) = block.split_once("```\n").expect("an end");
        let (_, rest) = rest.split_once("```text\n").expect("lines after settings");
        let (text, _) = rest.split_once("```").expect("an end");
        let mut pairs = text.lines();
        let mut lines = Vec::new();
        while let (Some(line), Some(left)) = (pairs.next(), pairs.next()) {
            lines.push((line.to_owned(), left.strip_prefix("→ ").expect("an arrow").to_owned()));
        }
        examples.push(Example { settings: settings.to_owned(), lines });
    }
    examples
}

/// A stored row as the guide shows it: the line, and what it has besides what was sent and the server adds.
fn shown(entry: &Entry) -> String {
    let known =
        ["app", "env", "service_name", "detected_level", "ingested_node_id", "received_at", "client_ip"];
    let labels = entry.labels.as_object().expect("labels").iter();
    let own = labels.filter(|(name, _)| !known.contains(&name.as_str()));
    let mut own: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
    own.sort();
    match own.is_empty() {
        true => entry.line.clone(),
        false => format!("{} | {}", entry.line, own.join(" ")),
    }
}

/// The value of a line of the metrics page.
#[track_caller]
fn metric(server: &ServerProcess, name: &str) -> f64 {
    let page = server.get("/metrics").send().expect_status(200).text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().expect("a number")
}

#[test]
fn every_example_of_the_guide_does_what_is_printed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/processing.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let examples = examples(&page);
    assert_eq!(examples.len(), 7);
    for Example { settings, lines } in examples {
        let server = server_configured(&settings);
        for (number, (line, left)) in lines.iter().enumerate() {
            push(&server, &json!({ "app": "shop", "env": "prod" }), &[(now() + number as i64, line)]);
            let stored = entries(&server, r#"{app="shop"}"#);
            let expected = lines.iter().take(number + 1).filter(|(_, left)| left != "(dropped)").count();
            assert_eq!(stored.len(), expected, "{settings}{line}");
            if left != "(dropped)" {
                assert!(stored.iter().any(|entry| shown(entry) == *left), "{line} → {left}: {stored:?}");
            }
        }
    }
}

#[test]
fn each_way_in_has_the_steps_of_its_rules_and_tails_see_what_is_left() {
    let address = free_address();
    let server = server_configured(&format!(
        "syslog:\n  tcp: {address}\nprocessing:\n  - name: all\n    steps:\n      - redact: {{rules: [email]}}\n  \
         - sources: [syslog, otlp]\n    steps:\n      - drop: {{line: noise}}\n"
    ));
    let path = "/loki/api/v1/tail?query=%7Bapp%3D%22shop%22%7D";
    let mut tail = WebSocket::connect(server.address(), path, &[]).expect("accepted");
    push(&server, &json!({ "app": "shop" }), &[(now(), "noise of a@b.org")]);
    let seen = tail.find("the line", |message| {
        let text = message.to_string();
        text.contains("noise of").then_some(text)
    });
    assert!(seen.contains("noise of <email>"), "{seen}");
    let record = |text: &str| json!({ "timeUnixNano": now().to_string(), "body": { "stringValue": text } });
    let otlp = json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "pay" } }] },
        "scopeLogs": [{ "logRecords": [record("noise"), record("from x@y.org")] }],
    }] });
    server.post("/v1/logs").json(&otlp).send().expect_status(200);
    assert_eq!(lines(&server, r#"{service_name="pay"}"#), ["from <email>"]);
    let (host, port) = address.split_once(':').expect("an address with a port");
    for message in ["noise", "mail to q@r.org"] {
        let sent = Command::new("logger")
            .args(["--server", host, "--port", port, "--tcp", "--rfc5424", "--tag", "daemon", message])
            .status();
        assert!(sent.expect("logger is there").success());
    }
    let stored = eventually("syslog", || {
        Some(lines(&server, r#"{service_name="daemon"}"#)).filter(|lines| !lines.is_empty())
    });
    assert_eq!(stored, ["mail to <email>"]);
    eventually("the other message is counted", || {
        (metric(&server, r#"timberyard_step_rows_dropped_total{step="2/1/drop"}"#) == 2.0).then_some(())
    });
    assert_eq!(metric(&server, r#"timberyard_step_rows_changed_total{step="all/1/redact"}"#), 3.0);
    assert_eq!(metric(&server, "timberyard_rows_dropped_by_processing_total"), 2.0);
    assert_eq!(metric(&server, "timberyard_rows_accepted_total"), 5.0);
}

#[test]
fn rules_are_read_again_outlive_a_crash_and_mistakes_change_nothing() {
    let rule = |mark: &str| {
        let pattern = format!("{{name: x, regex: secret, mark: '{mark}'}}");
        format!("processing:\n  - steps:\n      - redact: {{patterns: [{pattern}]}}\n")
    };
    let (settings, file) = configured(&rule("one"));
    let mut server = settings.start();
    push(&server, &json!({ "app": "shop" }), &[(now(), "a secret")]);
    std::fs::write(file.path(), rule("two")).expect("written");
    let answer = server.post("/admin/reload").send().expect_status(200).json();
    assert_eq!(answer["at_next_start"], json!([]));
    push(&server, &json!({ "app": "shop" }), &[(now(), "a secret")]);
    std::fs::write(file.path(), "processing:\n  - steps:\n      - redact: {rules: [cards]}\n")
        .expect("written");
    let wrong = server.post("/admin/reload").send().expect_status(422).json();
    let message = wrong["message"].as_str().expect("a text");
    assert!(message.contains(":1: `processing` has a rule 1, step 1 (redact)"), "{message}");
    push(&server, &json!({ "app": "shop" }), &[(now(), "a secret")]);
    std::fs::write(file.path(), rule("three")).expect("written");
    server.kill();
    server.start_again();
    let mut stored = lines(&server, r#"{app="shop"}"#);
    stored.sort();
    assert_eq!(stored, ["a one", "a two", "a two"]);
}
