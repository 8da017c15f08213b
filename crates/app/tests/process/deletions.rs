//! Deleting lines by query, as a user of Loki does it.

use serde_json::{Value, json};
use timberyard_testkit::http::{Answer, Request};
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{SECOND, now};
use crate::logql::{array, count, entries, lines, push};
use crate::start::{server, server_with};

fn ask(server: &ServerProcess, method: &str, parameters: &[(&str, &str)]) -> Answer {
    let request = Request::new(method, &server.url("/loki/api/v1/delete"));
    parameters.iter().fold(request, |request, (name, value)| request.query(name, value)).send()
}

#[track_caller]
fn delete(server: &ServerProcess, query: &str) {
    ask(server, "POST", &[("query", query), ("start", "0000000000")]).expect_status(204);
}

#[track_caller]
fn listed(server: &ServerProcess) -> Vec<Value> {
    array(&ask(server, "GET", &[]).expect_status(200).json()).to_vec()
}

#[test]
fn deleted_lines_are_gone_at_once_and_after_kill_9_and_back_when_called_off() {
    let mut server = server();
    let time = now() - 60 * SECOND;
    let api = json!({ "app": "api" });
    push(&server, &api, &[(time, "login password=1"), (time + 1, "login failed")]);
    push(&server, &json!({ "app": "web" }), &[(time, "password=2")]);
    delete(&server, r#"{app="api"} |= "password=""#);
    for round in 0..3 {
        assert_eq!(lines(&server, r#"{app="api"}"#), ["login failed"], "{round}");
        assert_eq!(count(&server, r#"{app=~"api|web"} |= "password""#), 1, "{round}");
        match round {
            0 => server.kill(),
            _ => drop(server.terminate()),
        }
        server.start_again();
    }
    push(&server, &api, &[(time, "login password=1")]);
    assert_eq!(lines(&server, r#"{app="api"}"#), ["login password=1", "login failed"], "sent again");
    delete(&server, r#"{app="api"}"#);
    assert_eq!(lines(&server, r#"{app="api"}"#), [""; 0]);

    let all = listed(&server);
    let status: Vec<(&Value, &Value)> = all.iter().map(|one| (&one["query"], &one["status"])).collect();
    let received = json!("received");
    assert_eq!(
        status,
        [(&json!(r#"{app="api"} |= "password=""#), &received), (&json!(r#"{app="api"}"#), &received)]
    );
    for one in &all {
        let id = one["request_id"].as_str().expect("a text");
        ask(&server, "DELETE", &[("request_id", id)]).expect_status(204);
    }
    assert_eq!(lines(&server, r#"{app="api"}"#), ["login password=1", "login failed"], "there once");
    assert!(listed(&server).is_empty());
}

#[test]
fn compaction_takes_deleted_lines_out_of_the_files() {
    let server = server_with(&[("TIMBERYARD_STORAGE_DELETION_CANCEL_SECONDS", "1")]);
    let time = now() - 60 * SECOND;
    let secret = "QWxhZGRpbjpvcGVuIHNlc2FtZQ";
    push(&server, &json!({ "app": "api" }), &[(time, secret), (time + 1, "fine")]);
    server.post("/flush").send().expect_status(204);
    assert!(holds(server.data_dir(), secret));
    delete(&server, &format!(r#"{{app="api"}} |= "{secret}""#));
    timberyard_testkit::eventually::eventually("the deletion to be carried out", || {
        (listed(&server)[0]["status"] == "processed").then_some(())
    });
    assert!(!holds(server.data_dir(), secret));
    assert_eq!(lines(&server, r#"{app="api"}"#), ["fine"]);
    let one = listed(&server)[0]["request_id"].as_str().expect("a text").to_owned();
    ask(&server, "DELETE", &[("request_id", &one), ("force", "true")]).expect_status(400);
}

/// Whether a segment has a text in it, as far as it lies there uncompressed.
fn holds(directory: &std::path::Path, text: &str) -> bool {
    let entries = std::fs::read_dir(directory.join("tenants/default")).expect("a tenant");
    let days = entries.filter_map(|entry| Some(entry.ok()?.path()));
    days.filter_map(|day| std::fs::read_dir(day).ok()).flatten().any(|file| {
        let bytes = file.ok().and_then(|file| std::fs::read(file.path()).ok()).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn tenants_know_nothing_of_each_others_deletions() {
    let server = server();
    let time = (now() - 60 * SECOND).to_string();
    let body = json!({ "streams": [{ "stream": { "app": "api" }, "values": [[time, "a line"]] }] });
    let push = server.post("/loki/api/v1/push").header("X-Scope-OrgID", "one").json(&body);
    push.send().expect_status(204);
    delete(&server, r#"{app="api"}"#);
    let id = listed(&server)[0]["request_id"].as_str().expect("a text").to_owned();
    let other = |method: &str| {
        let request = Request::new(method, &server.url("/loki/api/v1/delete"));
        request.header("X-Scope-OrgID", "one").query("request_id", &id).send()
    };
    assert_eq!(other("GET").json(), json!([]));
    other("DELETE").expect_status(404);
    let found = server
        .get("/loki/api/v1/query")
        .header("X-Scope-OrgID", "one")
        .query("query", r#"sum(count_over_time({app="api"}[1h]))"#)
        .send();
    assert_eq!(found.json()["data"]["result"][0]["value"][1], "1");
}

/// Lines in JSON and logfmt, with structured metadata, some with escape sequences and colours.
fn push_varied(server: &ServerProcess, time: i64) {
    let values: Vec<Value> = (0..60)
        .map(|row: i64| {
            let line = match row % 4 {
                0 => format!(r#"{{"user":"u{}","took":"{}ms","n":{row}}}"#, row % 5, row * 40),
                1 => format!(r#"user=u{} took={}ms size={}KB ip=10.0.{}.7"#, row % 5, row * 40, row, row % 3),
                2 => format!("\u{1b}[31mfailed\u{1b}[0m for u{} after {row}", row % 5),
                _ => format!("{{broken u{}", row % 5),
            };
            json!([(time + row).to_string(), line, { "trace": format!("t{}", row % 7) }])
        })
        .collect();
    let body = json!({ "streams": [{ "stream": { "app": "api" }, "values": values }] });
    server.post("/loki/api/v1/push").json(&body).send().expect_status(204);
}

const ALL: &str = r#"{app="api"}"#;

#[test]
fn what_a_query_with_stages_finds_is_what_its_deletion_hides() {
    let mut server = server();
    push_varied(&server, now() - 60 * SECOND);
    let all = lines(&server, ALL);
    assert_eq!(all.len(), 60);
    for (place, stages) in [
        r#"| json | user="u0""#,
        r#"| json | __error__!="""#,
        "| json | took > 500ms",
        "| logfmt | size >= 20KB or user=~`u[12]`",
        r#"| logfmt | ip=ip("10.0.1.0/24")"#,
        r#"|= ip("10.0.2.7")"#,
        r#"|> "<_>failed<_>after <_>""#,
        r#"| decolorize | pattern "<what> for <who> after <_>" | what="failed" | who=~"u[34]""#,
        r#"| trace="t3""#,
        r#"!= "user" | trace=~"t[01]" | line_format "{{.app}} {{__line__}}" |= "api {broken""#,
        r#"| pattern "<_> for <who> after <n>" | n > 30"#,
        r#"| regexp "user=(?P<who>u[0-9])" | who="u1""#,
        r#"|= "u2" | json | logfmt | label_format me="{{.user}}!" | me="u2!""#,
    ]
    .into_iter()
    .enumerate()
    {
        let query = format!("{ALL} {stages}");
        // Lines may be formatted: what was found is told by its time.
        let found = times(&server, &query);
        assert!((1..60).contains(&found.len()), "{query}: {found:?}");
        let mut expected = times(&server, ALL);
        expected.retain(|time| !found.contains(time));
        delete(&server, &query);
        let check = |server: &ServerProcess, moment: &str| {
            assert_eq!(times(server, ALL), expected, "{query} {moment}");
            assert_eq!(count(server, ALL), expected.len() as u64, "{query} {moment}");
        };
        check(&server, "at once");
        if place == 3 {
            server.kill();
            server.start_again();
            check(&server, "after kill -9");
            server.post("/flush").send().expect_status(204);
            check(&server, "in a segment");
        }
        let all_listed = listed(&server);
        let [one] = &all_listed[..] else { panic!("{all_listed:?}") };
        assert_eq!((&one["query"], &one["problem"]), (&json!(query), &Value::Null));
        let id = one["request_id"].as_str().expect("a text");
        ask(&server, "DELETE", &[("request_id", id)]).expect_status(204);
        assert_eq!(lines(&server, ALL), all, "{query} called off");
    }
}

fn times(server: &ServerProcess, query: &str) -> Vec<i64> {
    entries(server, query).iter().map(|entry| entry.time_ns).collect()
}

#[test]
fn compaction_takes_out_what_a_query_with_stages_chose() {
    let server = server_with(&[("TIMBERYARD_STORAGE_DELETION_CANCEL_SECONDS", "1")]);
    push_varied(&server, now() - 60 * SECOND);
    server.post("/flush").send().expect_status(204);
    let left = lines(&server, &format!(r#"{ALL} | json | __error__="" | user!="u4""#));
    delete(&server, &format!(r#"{ALL} | json | user="u4" or __error__!="""#));
    assert_eq!(lines(&server, ALL), left);
    timberyard_testkit::eventually::eventually("the deletion to be carried out", || {
        (listed(&server)[0]["status"] == "processed").then_some(())
    });
    assert_eq!(lines(&server, ALL), left);
    assert_eq!(count(&server, ALL), left.len() as u64);
}
