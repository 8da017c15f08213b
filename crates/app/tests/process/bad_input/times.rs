//! Times far from now.

use serde_json::json;
use timberyard_testkit::http::Answer;
use timberyard_testkit::loki_push::{PushEntry, snappy_push_request};
use timberyard_testkit::server_process::ServerProcess;

use super::push_protobuf;
use crate::clock::{HOUR, SECOND, now, rfc3339};
use crate::logql::try_push;
use crate::start::server;

/// A surface, and how it sends one entry of a time.
type Send = (&'static str, fn(&ServerProcess, i64) -> Answer);

#[test]
fn any_past_is_taken_and_the_future_beyond_ten_minutes_is_not() {
    let server = server();
    let sends: [Send; 6] = [
        ("Logtopus", |server, time| {
            server
                .post("/v1/logs")
                .json(&json!([{ "message": "t", "source": "far", "time": rfc3339(time) }]))
                .send()
        }),
        ("LogPulse", |server, time| {
            let entries = json!([{ "ts": rfc3339(time), "line": "t" }]);
            server
                .post("/ingest")
                .json(&json!({ "streams": [{ "labels": { "service": "far" }, "entries": entries }] }))
                .send()
        }),
        ("log-go", |server, time| {
            let body = json!([{ "timestamp": time / 1_000_000, "service": "far", "message": "t" }]);
            server.post("/v1/logs").json(&body).send()
        }),
        ("Change66", |server, time| {
            let body = json!({ "event_id": format!("far-{time}"), "event_type": "error", "event_name": "n",
                               "timestamp": rfc3339(time) });
            server.post("/api/v1/ingest").json(&body).send()
        }),
        ("Loki", |server, time| try_push(server, &json!({ "service": "far" }), &[(time, "t")])),
        ("Loki protobuf", |server, time| {
            let entry = PushEntry { timestamp_ns: time, line: b"t", metadata: &[] };
            push_protobuf(server, snappy_push_request(&[("{service=\"far\"}", vec![entry])]))
        }),
    ];
    let day = 24 * HOUR;
    for (surface, send) in sends {
        for past in [SECOND, 946_684_800 * SECOND, now() - 400 * day, now() - day, now() + 540 * SECOND] {
            let answer = send(&server, past);
            assert!(
                (200..300).contains(&answer.status),
                "{surface} {past}: {} {}",
                answer.status,
                answer.text()
            );
        }
        for future in [now() + 660 * SECOND, now() + 400 * day, 7_000_000_000 * SECOND] {
            let answer = send(&server, future);
            assert_eq!(answer.status, 400, "{surface} {future}: {}", answer.text());
        }
    }
    for time in ["9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01", ""] {
        let entries = json!([{ "ts": time, "line": "t" }]);
        let body = json!({ "streams": [{ "labels": { "service": "far" }, "entries": entries }] });
        assert_eq!(server.post("/ingest").json(&body).send().status, 400, "{time}");
    }
    for time in ["", "x", "1.5", "99999999999999999999999", "-99999999999999999999999"] {
        let body = json!({ "streams": [{ "stream": { "a": "b" }, "values": [[time, "t"]] }] });
        assert_eq!(server.post("/loki/api/v1/push").json(&body).send().status, 400, "{time}");
    }
}
