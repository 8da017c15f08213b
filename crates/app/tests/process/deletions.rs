//! Deleting lines by query, as a user of Loki does it.

use serde_json::{Value, json};
use timberyard_testkit::http::{Answer, Request};
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{SECOND, now};
use crate::logql::{array, count, lines, push};
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
