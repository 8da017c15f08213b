//! Loki's API, as its clients and Grafana's data source speak it.

use serde_json::{Value, json};
use timberyard_testkit::http::Answer;
use timberyard_testkit::loki_push::{PushEntry, snappy_push_request};
use timberyard_testkit::server_process::ServerProcess;
use timberyard_testkit::websocket::WebSocket;

use crate::clock::{HOUR, SECOND, now};
use crate::logql::{array, count, entries, entries_of, lines, push, texts, try_push};
use crate::start::server;

/// What holds whatever the store is.
pub(crate) const OVER_ANY_STORE: &[fn()] = &[
    json_values_of_two_and_three_elements_are_taken,
    snappy_protobuf_is_taken_with_and_without_headers,
    json_may_come_compressed_with_gzip,
    equal_entries_of_a_push_are_one_and_those_of_other_surfaces_are_two,
    a_range_of_logs_keeps_to_its_bounds_direction_and_limit,
    a_range_of_a_metric_is_a_matrix,
    an_instant_query_is_a_vector,
    stages_filter_and_parse,
    what_is_not_built_says_so_with_a_position,
    labels_values_and_series_are_listed,
    queries_may_be_posted_as_forms,
    a_tail_shows_what_was_and_what_comes,
    readiness_and_flush_answer,
    tenants_do_not_see_each_other,
    what_loki_refuses_is_refused,
];

/// `GET path` with parameters; the `data` of a success.
#[track_caller]
fn data(server: &ServerProcess, path: &str, parameters: &[(&str, &str)]) -> Value {
    let answer = get(server, path, parameters).expect_status(200).json();
    assert_eq!(answer["status"], "success", "{answer}");
    answer["data"].clone()
}

fn get(server: &ServerProcess, path: &str, parameters: &[(&str, &str)]) -> Answer {
    let request = server.get(&format!("/loki/api/v1/{path}"));
    parameters.iter().fold(request, |request, (name, value)| request.query(name, value)).send()
}

#[test]
fn json_values_of_two_and_three_elements_are_taken() {
    let server = server();
    let time = now();
    let body = json!({ "streams": [{ "stream": { "job": "j" }, "values": [
        [time.to_string(), "two"],
        [(time + 1).to_string(), "three", { "trace_id": "abc" }],
    ] }] });
    let answer = server.post("/loki/api/v1/push").json(&body).send().expect_status(204);
    assert!(answer.body.is_empty());
    let found = entries(&server, r#"{job="j"}"#);
    assert_eq!(found[0].line, "two");
    assert_eq!(found[0].time_ns, time);
    assert_eq!(found[0].labels["service_name"], "j", "found by Loki's list");
    assert_eq!(found[1].labels["trace_id"], "abc");
    assert_eq!(lines(&server, r#"{job="j"} | trace_id="abc""#), ["three"]);
}

#[test]
fn snappy_protobuf_is_taken_with_and_without_headers() {
    let server = server();
    let time = now();
    let metadata = [("trace_id", "t1")];
    let body = |job: &str| {
        let labels = format!("{{job=\"{job}\", env=\"prod\"}}");
        let entries = vec![
            PushEntry { timestamp_ns: time, line: b"first", metadata: &[] },
            PushEntry { timestamp_ns: time + 1, line: "zweite Zeile é".as_bytes(), metadata: &metadata },
        ];
        snappy_push_request(&[(&labels, entries)])
    };
    for (job, headers) in [
        ("plain", &[("Content-Type", "application/x-protobuf")][..]),
        ("encoding", &[("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")]),
    ] {
        let request = server.post("/loki/api/v1/push").body(body(job));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        request.send().expect_status(204);
        let found = entries(&server, &format!(r#"{{job="{job}", env="prod"}}"#));
        assert_eq!(found.len(), 2, "{job}");
        assert_eq!(found[1].line, "zweite Zeile é");
        assert_eq!(found[1].labels["trace_id"], "t1");
        assert_eq!(found[1].time_ns, time + 1);
    }
}

#[test]
fn json_may_come_compressed_with_gzip() {
    use std::io::Write;
    let server = server();
    let body =
        json!({ "streams": [{ "stream": { "job": "gz" }, "values": [[now().to_string(), "zipped"]] }] });
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body.to_string().as_bytes()).expect("memory takes it");
    server
        .post("/loki/api/v1/push")
        .header("Content-Type", "application/json")
        .header("Content-Encoding", "gzip")
        .body(encoder.finish().expect("memory takes it"))
        .send()
        .expect_status(204);
    assert_eq!(lines(&server, r#"{job="gz"}"#), ["zipped"]);
}

#[test]
fn equal_entries_of_a_push_are_one_and_those_of_other_surfaces_are_two() {
    let server = server();
    let time = now();
    for _ in 0..2 {
        push(&server, &json!({ "job": "same" }), &[(time, "x"), (time, "x"), (time, "y"), (time + 1, "x")]);
    }
    assert_eq!(lines(&server, r#"{job="same"}"#).len(), 3);
    assert_eq!(count(&server, r#"{job="same"}"#), 3);
    server.post("/flush").send();
    push(&server, &json!({ "job": "same" }), &[(time, "x")]);
    assert_eq!(lines(&server, r#"{job="same"}"#).len(), 3, "also across segments");
    assert_eq!(count(&server, r#"{job="same"}"#), 3, "also in counts");
    server.post("/flush").send();
    assert_eq!(count(&server, r#"{job="same"}"#), 3);

    for _ in 0..2 {
        let value = |trace: &str| json!([time.to_string(), "m", { "trace": trace }]);
        let values = [value("1"), value("2")];
        let body = json!({ "streams": [{ "stream": { "job": "metadata" }, "values": values }] });
        server.post("/loki/api/v1/push").json(&body).send().expect_status(204);
    }
    assert_eq!(count(&server, r#"{job="metadata"}"#), 2, "entries of unequal metadata are not equal");

    let event = json!({ "timestamp": time / 1_000_000, "service": "same-go", "message": "x" });
    server.post("/v1/logs").json(&json!([event, event])).send().expect_status(202);
    assert_eq!(count(&server, r#"{service="same-go"}"#), 2);

    let labels = json!({ "app": "both" });
    let entry = json!([{ "ts": crate::clock::rfc3339(time), "line": "x" }]);
    let body = json!({ "streams": [{ "labels": labels, "entries": entry }] });
    for _ in 0..2 {
        push(&server, &labels, &[(time, "x")]);
        server.post("/ingest").json(&body).send().expect_status(200);
    }
    assert_eq!(lines(&server, r#"{app="both"}"#).len(), 3, "one of Loki's and two of LogPulse's");
    server.post("/flush").send();
    assert_eq!(count(&server, r#"{app="both"}"#), 3);
}

#[test]
fn a_range_of_logs_keeps_to_its_bounds_direction_and_limit() {
    let server = server();
    let base = now() - 600 * SECOND;
    let texts: Vec<String> = (0..10).map(|n| format!("line {n}")).collect();
    let values: Vec<(i64, &str)> =
        (0i64..).zip(&texts).map(|(n, line)| (base + n * SECOND, line.as_str())).collect();
    push(&server, &json!({ "job": "range" }), &values);
    let start = base.to_string();
    let range = |parameters: &[(&str, &str)]| {
        let all = [&[("query", r#"{job="range"}"#), ("start", &start)][..], parameters].concat();
        let data = data(&server, "query_range", &all);
        assert_eq!(data["resultType"], "streams");
        assert!(data["stats"].is_object(), "{data}");
        data["result"].clone()
    };
    let values_of = |result: &Value| -> Vec<String> {
        array(result)
            .iter()
            .flat_map(|stream| array(&stream["values"]).to_vec())
            .map(|value| value[1].as_str().expect("a line").to_owned())
            .collect()
    };
    assert_eq!(values_of(&range(&[]))[0], "line 9", "backward by default");
    assert_eq!(values_of(&range(&[("limit", "2")])), ["line 9", "line 8"]);
    assert_eq!(values_of(&range(&[("limit", "2"), ("direction", "forward")])), ["line 0", "line 1"]);
    let end = (base + 3 * SECOND).to_string();
    assert_eq!(values_of(&range(&[("end", &end), ("direction", "FORWARD")])), ["line 0", "line 1", "line 2"]);
    let seconds = format!("{}.0", (base + 3 * SECOND) / SECOND);
    assert!(values_of(&range(&[("end", &seconds)])).len() <= 4, "seconds with a fraction are times too");
    let end = crate::clock::rfc3339(base + 3 * SECOND);
    assert_eq!(values_of(&range(&[("end", &end)])).len(), 3);
    get(&server, "query_range", &[("query", r#"{job="range"}"#), ("limit", "5001")]).expect_status(400);
}

#[test]
fn a_range_of_a_metric_is_a_matrix() {
    let server = server();
    let base = (now() / (60 * SECOND) - 10) * 60 * SECOND;
    push(
        &server,
        &json!({ "job": "m", "env": "a" }),
        &[(base + 1, "x"), (base + 2, "x2"), (base + 60 * SECOND + 1, "y")],
    );
    push(&server, &json!({ "job": "m", "env": "b" }), &[(base + 1, "x")]);
    let (start, end) = (base.to_string(), (base + 120 * SECOND).to_string());
    let data = data(
        &server,
        "query_range",
        &[
            ("query", r#"sum by (env) (count_over_time({job="m"}[1m]))"#),
            ("start", &start),
            ("end", &end),
            ("step", "60"),
        ],
    );
    assert_eq!(data["resultType"], "matrix");
    let series = array(&data["result"]);
    assert_eq!(series.len(), 2, "{data}");
    let of = |env: &str| {
        series
            .iter()
            .find(|s| s["metric"] == json!({ "env": env }))
            .unwrap_or_else(|| panic!("{env}: {data}"))
    };
    let minute = base / SECOND;
    assert_eq!(of("a")["values"], json!([[minute + 60, "2"], [minute + 120, "1"]]));
    assert_eq!(of("b")["values"], json!([[minute + 60, "1"]]));
}

#[test]
fn an_instant_query_is_a_vector() {
    let server = server();
    push(&server, &json!({ "job": "v" }), &[(now() - SECOND, "12345"), (now() - SECOND, "1")]);
    let vector = |query: &str| data(&server, "query", &[("query", query)]);
    let counted = vector(r#"count_over_time({job="v"}[1m])"#);
    assert_eq!(counted["resultType"], "vector");
    assert_eq!(counted["result"][0]["value"][1], "2", "{counted}");
    assert_eq!(counted["result"][0]["metric"]["job"], "v");
    assert_eq!(vector(r#"sum(bytes_over_time({job="v"}[1m]))"#)["result"][0]["value"][1], "6");
    assert_eq!(vector(r#"sum(rate({job="v"}[1m])) * 60"#)["result"][0]["value"][1], "2");
    assert_eq!(
        vector(r#"sum(count_over_time({job="v"} |= "12345" [1m])) > 0"#)["result"][0]["value"][1],
        "1"
    );
}

#[test]
fn stages_filter_and_parse() {
    let server = server();
    let time = now() - SECOND;
    push(
        &server,
        &json!({ "job": "stages" }),
        &[
            (time, r#"{"status":500,"path":"/a","user":{"name":"ann"}}"#),
            (time + 1, r#"{"status":200,"path":"/b","user":{"name":"bob"}}"#),
            (time + 2, "level=warn status=404 path=/c"),
        ],
    );
    let cases: &[(&str, &[i64])] = &[
        (r#"{job="stages"} |= "status""#, &[0, 1, 2]),
        (r#"{job="stages"} != "user""#, &[2]),
        (r#"{job="stages"} |~ "\"status\":(5..)""#, &[0]),
        (r#"{job="stages"} !~ "user""#, &[2]),
        (r#"{job="stages"} | json | status >= 500"#, &[0]),
        (r#"{job="stages"} | json | user_name="bob""#, &[1]),
        (r#"{job="stages"} | logfmt | status=404"#, &[2]),
        (r#"{job="stages"} | json | __error__="""#, &[0, 1]),
        (r#"{job="stages"} |= `"path":"/b"`"#, &[1]),
    ];
    for (query, expected) in cases {
        let found: Vec<i64> = entries(&server, query).iter().map(|entry| entry.time_ns - time).collect();
        assert_eq!(&found, expected, "{query}");
    }
    assert_eq!(lines(&server, r#"{job="stages"} | logfmt | status=404 | line_format "{{.path}}""#), ["/c"]);
}

#[test]
fn what_is_not_built_says_so_with_a_position() {
    let server = server();
    push(&server, &json!({ "job": "p" }), &[(now(), "x")]);
    let query = r#"quantile_over_time(0.9, {job="p"} | json | unwrap x [1m])"#;
    let answer = get(&server, "query", &[("query", query)]);
    if answer.status != 200 {
        let text = answer.expect_status(400).text();
        assert!(text.contains("not supported yet") && text.contains("line 1"), "{text}");
    }
    for query in
        [r#"{job="p""#, r#"{}"#, r#"{job="p"} | "#, r#"rate({job="p"})"#, "1 +", r#"{job="p"} | json |"#]
    {
        let answer = get(&server, "query_range", &[("query", query)]);
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(
            answer.text().contains("parse error") || answer.text().contains("line 1"),
            "{query}: {}",
            answer.text()
        );
    }
}

#[test]
fn labels_values_and_series_are_listed() {
    let server = server();
    push(&server, &json!({ "app": "a", "env": "prod" }), &[(now() - SECOND, "x")]);
    push(&server, &json!({ "app": "b", "env": "prod" }), &[(now() - SECOND, "x")]);
    push(&server, &json!({ "old": "o" }), &[(now() - 48 * HOUR, "x")]);
    assert_eq!(texts(&data(&server, "labels", &[])), ["app", "env", "service_name"]);
    let long_ago = (now() - 72 * HOUR).to_string();
    assert!(texts(&data(&server, "labels", &[("start", &long_ago)])).contains(&"old"));
    assert_eq!(texts(&data(&server, "label/app/values", &[])), ["a", "b"]);
    assert_eq!(texts(&data(&server, "label/app/values", &[("query", r#"{env="prod", app!="b"}"#)])), ["a"]);
    let series = data(&server, "series", &[("match[]", r#"{app="a"}"#), ("match[]", r#"{app="none"}"#)]);
    assert_eq!(series, json!([{ "app": "a", "env": "prod", "service_name": "a" }]));
    let form = server
        .post("/loki/api/v1/series")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("match[]=%7Benv%3D%22prod%22%7D")
        .send()
        .expect_status(200)
        .json();
    assert_eq!(array(&form["data"]).len(), 2, "{form}");
}

#[test]
fn queries_may_be_posted_as_forms() {
    let server = server();
    push(&server, &json!({ "job": "form" }), &[(now() - SECOND, "posted")]);
    let answer = server
        .post("/loki/api/v1/query_range")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("query=%7Bjob%3D%22form%22%7D&limit=10")
        .send()
        .expect_status(200);
    assert_eq!(entries_of(&answer.json())[0].line, "posted");
}

#[test]
fn a_tail_shows_what_was_and_what_comes() {
    let server = server();
    push(&server, &json!({ "job": "t" }), &[(now() - SECOND, "before")]);
    let path = "/loki/api/v1/tail?query=%7Bjob%3D%22t%22%7D%20%7C%3D%20%22r%22&limit=10";
    let mut tail = WebSocket::connect(server.address(), path, &[]).expect("accepted");
    let line_of = |message: &Value, line: &str| {
        array(&message["streams"])
            .iter()
            .find_map(|s| array(&s["values"]).iter().any(|v| v[1] == line).then(|| s["stream"].clone()))
    };
    let stream = tail.find("the entry of before", |message| line_of(message, "before"));
    assert_eq!(stream["job"], "t");
    push(&server, &json!({ "job": "other" }), &[(now(), "for other")]);
    push(&server, &json!({ "job": "t" }), &[(now(), "filtered")]);
    push(&server, &json!({ "job": "t" }), &[(now(), "hidden")]);
    push(&server, &json!({ "job": "t" }), &[(now(), "after")]);
    let mut seen = Vec::new();
    tail.find("the entry of after", |message| {
        seen.push(message.to_string());
        line_of(message, "after")
    });
    let seen = seen.concat();
    assert!(seen.contains("filtered"), "every matching line comes: {seen}");
    assert!(!seen.contains("hidden") && !seen.contains("for other"), "{seen}");
    let wrong = WebSocket::connect(server.address(), "/loki/api/v1/tail?query=%7B", &[]);
    assert_eq!(wrong.err(), Some(400));
}

#[test]
fn readiness_and_flush_answer() {
    let server = server();
    let ready = server.get("/ready").send().expect_status(200);
    assert_eq!(ready.text().trim(), "ready");
    push(&server, &json!({ "job": "f" }), &[(now(), "kept")]);
    let flushed = server.post("/flush").send();
    assert!((200..300).contains(&flushed.status), "{}", flushed.text());
    assert_eq!(lines(&server, r#"{job="f"}"#), ["kept"]);
    assert_eq!(count(&server, r#"{job="f"}"#), 1);
}

#[test]
fn tenants_do_not_see_each_other() {
    let server = server();
    let time = now().to_string();
    for tenant in ["red", "blue"] {
        let body = json!({ "streams": [{ "stream": { "job": tenant }, "values": [[time, tenant]] }] });
        server
            .post("/loki/api/v1/push")
            .header("X-Scope-OrgID", tenant)
            .json(&body)
            .send()
            .expect_status(204);
    }
    let seen = |tenant: &str, path: &str| {
        server
            .get(path)
            .header("X-Scope-OrgID", tenant)
            .query("query", r#"{job=~".+"}"#)
            .send()
            .expect_status(200)
            .json()
    };
    for tenant in ["red", "blue"] {
        let found = entries_of(&seen(tenant, "/loki/api/v1/query_range"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, tenant);
        assert_eq!(seen(tenant, "/loki/api/v1/label/job/values")["data"], json!([tenant]));
        assert_eq!(array(&seen(tenant, "/query")["logs"]).len(), 1);
    }
    assert_eq!(lines(&server, r#"{job=~".+"}"#), [""; 0], "nor does the default tenant");
    let path = "/loki/api/v1/tail?query=%7Bjob%3D~%22.%2B%22%7D";
    let mut tail = WebSocket::connect(server.address(), path, &[("X-Scope-OrgID", "red")]).expect("accepted");
    tail.find("red's line", |message| message.to_string().contains("\"red\"").then_some(()));
    for bad in ["../etc", "a/b", ".."] {
        let answer = server.get("/loki/api/v1/labels").header("X-Scope-OrgID", bad).send();
        assert_eq!(answer.status, 400, "{bad}");
    }
}

#[test]
fn what_loki_refuses_is_refused() {
    let server = server();
    let long = "x".repeat(262_145);
    let refused = try_push(&server, &json!({ "job": "l" }), &[(now(), &long)]);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("262144"), "the limit is named: {}", refused.text());
    push(&server, &json!({ "job": "l" }), &[(now(), &long[..262_144])]);

    let sixteen: serde_json::Map<String, Value> = (0..16).map(|n| (format!("l{n}"), json!("v"))).collect();
    let answer = try_push(&server, &Value::Object(sixteen), &[(now(), "x")]);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("15") || answer.text().contains("16"), "{}", answer.text());
    for labels in [json!({ "a-b": "v" }), json!({ "1a": "v" }), json!({ "": "v" })] {
        assert_eq!(try_push(&server, &labels, &[(now(), "x")]).status, 400, "{labels}");
    }
    let future = try_push(&server, &json!({ "job": "l" }), &[(now() + HOUR, "x")]);
    assert_eq!(future.status, 400, "{}", future.text());
    push(&server, &json!({ "job": "past" }), &[(now() + 60 * SECOND, "soon"), (SECOND, "1970")]);
}
