//! Keys that the server stores: made on its data directory and through its API, kept over crashes, taken back at once.

use serde_json::{Value, json};
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::ServerProcess;
use timberyard_testkit::websocket::WebSocket;

use crate::start::{server_with, settings};
use crate::terminal::timberyard;

/// Runs `timberyard keys …` and gives what it printed.
fn keys(arguments: &[&str]) -> String {
    timberyard(&[&["keys"], arguments].concat()).succeeded().text().trim().to_owned()
}

fn status(server: &ServerProcess, key: &str) -> u16 {
    server.get("/labels").header("X-API-Key", key).send().status
}

#[test]
fn a_key_made_before_the_start_lets_in_and_one_revoked_beside_the_server_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let web = keys(&["create", "--name", "web", "--data-dir", &data]);
    let server = settings().start_in(folder.path());
    server.get("/labels").send().expect_status(401);
    assert_eq!(status(&server, &web), 200);
    let api = keys(&["create", "--name", "api", "--expires", "1h", "--data-dir", &data]);
    eventually("the server knows the new key", || (status(&server, &api) == 200).then_some(()));
    keys(&["revoke", "web", "--data-dir", &data]);
    eventually("the server knows of the revocation", || (status(&server, &web) == 401).then_some(()));
    assert_eq!(status(&server, &api), 200);
    let files: Vec<String> = std::fs::read_dir(&data)
        .expect("a folder")
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
        .collect();
    assert!(files.iter().all(|text| !text.contains(&web) && !text.contains(&api)), "only digests are stored");
    assert!(!server.log().contains(&web));
}

#[test]
fn keys_are_administered_through_the_api_and_survive_a_crash() {
    let mut server = server_with(&[("API_KEYS", "root")]);
    let url = server.url("");
    let at = ["--url", url.as_str(), "--api-key", "root"];
    let with = |arguments: &[&str]| keys(&[arguments, &at].concat());
    let first = with(&["create", "--name", "a b/c", "--scopes", "read", "--tenants", "acme"]);
    let second = with(&["rotate", "a b/c", "--overlap", "1h"]);
    server.kill();
    server.start_again();
    let url = server.url("");
    let at = ["--url", url.as_str(), "--api-key", "root"];
    let with = |arguments: &[&str]| keys(&[arguments, &at].concat());
    assert_eq!((status(&server, &first), status(&server, &second)), (200, 200));
    let list: Value = serde_json::from_str(&with(&["list", "--json"])).expect("JSON");
    assert_eq!(list["keys"].as_array().map(Vec::len), Some(2));
    assert!(with(&["list"]).contains("a b/c"));
    with(&["revoke", "a b/c"]);
    assert_eq!((status(&server, &first), status(&server, &second)), (401, 401), "at once");
    timberyard(&[&["keys", "revoke", "a b/c"][..], &at].concat()).failed();
}

#[test]
fn use_is_counted_over_restarts_and_told_to_the_audit_log() {
    let mut server = server_with(&[("API_KEYS", "root"), ("TIMBERYARD_AUTH_PEPPER", "salt")]);
    let body = json!({ "name": "web", "scopes": ["read"] });
    let made =
        server.post("/admin/keys").header("X-API-Key", "root").json(&body).send().expect_status(201).json();
    let key = made["key"].as_str().expect("shown once");
    for _ in 0..3 {
        assert_eq!(status(&server, key), 200);
    }
    server.terminate();
    server.start_again();
    let list = server.get("/admin/keys").header("X-API-Key", "root").send().json();
    assert_eq!(list["keys"][0]["usage_count"], 3);
    assert!(list["keys"][0]["last_used_at"].is_string());
    let events = server
        .get("/loki/api/v1/query_range")
        .header("X-API-Key", "root")
        .header("X-Scope-OrgID", "timberyard-audit")
        .query("query", r#"{service_name="timberyard-audit"} | json | requests=3"#)
        .send()
        .expect_status(200)
        .text();
    assert!(events.contains(r#"\"event\":\"key_used\",\"name\":\"web\""#), "{events}");
}

#[test]
fn a_web_page_opens_a_websocket_by_subprotocol_or_by_a_ticket_that_is_good_once() {
    let server = server_with(&[("API_KEYS", "k")]);
    let protocols = [("Sec-WebSocket-Protocol", "timberyard, bearer.k")];
    assert!(WebSocket::connect(server.address(), "/stream", &protocols).is_ok());
    let wrong = [("Sec-WebSocket-Protocol", "timberyard, bearer.x")];
    assert_eq!(WebSocket::connect(server.address(), "/stream", &wrong).err(), Some(401));
    let ticket = server.post("/ticket").header("X-API-Key", "k").send().expect_status(200).json();
    let path = format!("/stream?app=web&ticket={}", ticket["ticket"].as_str().expect("a ticket"));
    let mut page = WebSocket::connect(server.address(), &path, &[]).expect("let in");
    let filter = page.find("the greeting", |message| message.get("filter").cloned());
    assert_eq!(filter, json!({ "app": "web" }), "the ticket is no filter");
    assert_eq!(WebSocket::connect(server.address(), &path, &[]).err(), Some(401), "a second time");
    server.get(&path).send().expect_status(401);
    assert!(!server.log().contains("ticket="));
}

#[test]
fn a_key_that_is_rotated_by_interval_lies_in_a_file_of_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = folder.path().join("rotated");
    let server = settings()
        .env("API_KEYS", "root")
        .env("TIMBERYARD_AUTH_ROTATED_KEYS_DIR", &texts.display().to_string())
        .start_in(folder.path());
    let url = server.url("");
    let at = ["--url", url.as_str(), "--api-key", "root"];
    let with = |arguments: &[&str]| keys(&[arguments, &at].concat());
    let handed_over = || std::fs::read_to_string(texts.join("web")).expect("handed over");
    let first = with(&["create", "--name", "web", "--rotate-every", "30d", "--overlap", "24h"]);
    assert_eq!(handed_over(), first);
    let second = with(&["rotate", "web", "--every", "7d"]);
    assert_eq!(handed_over(), second);
    assert_eq!((status(&server, &first), status(&server, &second)), (200, 200));
    let list: Value = serde_json::from_str(&with(&["list", "--json"])).expect("JSON");
    let newest = &list["keys"][1];
    assert_eq!(
        (&newest["rotate_every_seconds"], &newest["overlap_seconds"]),
        (&json!(604_800), &json!(86_400))
    );
    assert!(newest["next_rotation_at"].is_string(), "{newest}");
    with(&["rotate", "web", "--every", "0s"]);
    assert_eq!(handed_over(), second, "no longer by interval, no longer in a file");
    let too_often = [&["keys", "create", "--name", "x", "--rotate-every", "1s"][..], &at].concat();
    assert!(timberyard(&too_often).failed().all().contains("every 60 s or less often"));
    let elsewhere = server_with(&[("API_KEYS", "root")]);
    let url = elsewhere.url("");
    let at = ["--url", url.as_str(), "--api-key", "root"];
    let nowhere = [&["keys", "create", "--name", "x", "--rotate-every", "30d"][..], &at].concat();
    assert!(timberyard(&nowhere).failed().all().contains("auth.rotated_keys_dir"));
}
