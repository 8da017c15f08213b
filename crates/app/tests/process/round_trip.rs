//! What comes in through one surface is visible through every other one, with its message intact.

use serde_json::{Value, json};
use timberyard_testkit::http::Answer;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{now, rfc3339};
use crate::logql::{array, entries};
use crate::start::server;

/// A way in: its name, and how it sends one message for a service.
type WayIn = (&'static str, fn(&ServerProcess, &str, &str) -> Answer);

/// A way out: its name, and whether it shows a message.
type WayOut = (&'static str, fn(&ServerProcess, &str) -> bool);

const WAYS_IN: [WayIn; 6] = [
    ("Logtopus", |server, service, message| {
        server.post("/v1/logs").json(&json!([{ "source": service, "message": message }])).send()
    }),
    ("LogPulse", |server, service, message| {
        let entries = json!([{ "ts": rfc3339(now()), "line": message }]);
        let body = json!({ "streams": [{ "labels": { "service": service }, "entries": entries }] });
        server.post("/ingest").json(&body).send()
    }),
    ("LogStream", |server, service, message| {
        let body = json!({ "service": service, "level": "INFO", "message": message });
        server.post("/api/ingest").json(&body).send()
    }),
    ("Change66", |server, service, message| {
        let body = json!({ "event_id": service, "event_type": "behavioral", "event_name": "n",
                           "properties": { "text": message } });
        server.post("/api/v1/ingest").json(&body).send()
    }),
    ("log-go", |server, service, message| {
        let body = json!([{ "timestamp": now() / 1_000_000, "service": service, "message": message }]);
        server.post("/v1/logs").json(&body).send()
    }),
    ("Loki", |server, service, message| {
        let values = json!([[now().to_string(), message]]);
        let body = json!({ "streams": [{ "stream": { "service": service }, "values": values }] });
        server.post("/loki/api/v1/push").json(&body).send()
    }),
];

const WAYS_OUT: [WayOut; 7] = [
    ("Logtopus' GET /v1/logs", |server, message| {
        let answer = server.get("/v1/logs").query("limit", "100").send().expect_status(200).json();
        array(&answer).iter().any(|entry| holds(&entry["message"], message))
    }),
    ("LogPulse's GET /query", |server, message| {
        let request = server.get("/query").query("query", r#"{service_name=~".+"}"#);
        let answer = request.send().expect_status(200).json();
        array(&answer["logs"]).iter().any(|entry| holds(&entry["message"], message))
    }),
    ("LogStream's GET /api/ingest/logs", |server, message| {
        let answer = server.get("/api/ingest/logs").send().expect_status(200).json();
        array(&answer["data"]).iter().any(|entry| holds(&entry["message"], message))
    }),
    ("Change66's GET /api/v1/logs/filter", |server, message| {
        let answer = server.get("/api/v1/logs/filter").send().expect_status(200).json();
        array(&answer["data"]["logs"]).iter().any(|event| holds_anywhere(event, message))
    }),
    ("Change66's GET /api/v1/logs/recent", |server, message| {
        let answer = server.get("/api/v1/logs/recent").send().expect_status(200).json();
        array(&answer["data"]).iter().any(|event| holds_anywhere(event, message))
    }),
    ("log-go's GET /v1/logs?service=", |server, message| {
        let services = server.get("/loki/api/v1/label/service_name/values").send().expect_status(200).json();
        array(&services["data"]).iter().any(|service| {
            let request = server.get("/v1/logs").query("service", service.as_str().expect("a name"));
            let answer = request.send().expect_status(200).json();
            array(&answer).iter().any(|entry| holds(&entry["message"], message))
        })
    }),
    ("Loki's query_range", |server, message| {
        entries(server, r#"{service_name=~".+"}"#)
            .iter()
            .any(|entry| holds(&Value::String(entry.line.clone()), message))
    }),
];

/// Whether it is the message, or an event of Change66 that holds the message.
fn holds(line: &Value, message: &str) -> bool {
    let line = line.as_str().expect("a text");
    line == message
        || serde_json::from_str::<Value>(line).is_ok_and(|event| event["properties"]["text"] == message)
}

fn holds_anywhere(value: &Value, message: &str) -> bool {
    match value {
        Value::String(_) => holds(value, message),
        Value::Array(items) => items.iter().any(|item| holds_anywhere(item, message)),
        Value::Object(fields) => fields.values().any(|field| holds_anywhere(field, message)),
        _ => false,
    }
}

#[test]
fn an_event_of_every_surface_is_visible_through_every_other_one() {
    let server = server();
    // Characters that something between here and there might escape, cut or normalise.
    let message_of =
        |name: &str| format!("{name} says \"hé\\llo\" <b>&amp;</b> \t%20 \u{1f980} {{\"a\":1}} end ");
    for (name, send) in WAYS_IN {
        let answer = send(&server, &format!("service-of-{name}"), &message_of(name));
        assert!((200..300).contains(&answer.status), "{name}: {} {}", answer.status, answer.text());
    }
    let check = |when: &str| {
        let mut unseen = Vec::new();
        for (way_in, _) in WAYS_IN {
            for (way_out, shows) in WAYS_OUT {
                if !shows(&server, &message_of(way_in)) {
                    unseen.push(format!("{way_in} through {way_out}"));
                }
            }
        }
        assert!(unseen.is_empty(), "{when}, not seen: {unseen:#?}");
    };
    check("from memory");
    server.post("/flush").send();
    check("from segments");
}
