//! Limits read again while the server runs: on SIGHUP and when an administrator asks.

use std::process::Command;

use serde_json::json;
use timberyard_testkit::eventually::eventually;

use crate::clock::{SECOND, now};
use crate::start::configured;

#[test]
fn limits_change_on_sighup_and_by_the_admin_api_and_errors_change_nothing() {
    let (settings, file) = configured("auth:\n  admin_keys: [root]\n");
    let server = settings.start();
    let asked = || server.get("/labels").header("X-API-Key", "root").send();
    let reload = || server.post("/admin/reload").header("X-API-Key", "root").send();
    assert_eq!(asked().header("X-RateLimit-Limit"), None);
    let limited = "auth:\n  admin_keys: [root]\nlimits:\n  rate:\n    requests_per_minute: 6000\n";
    std::fs::write(file.path(), limited).expect("written");
    Command::new("kill").args(["-HUP", &server.id().to_string()]).status().expect("signalled");
    eventually("the rate is in force", || {
        asked().header("X-RateLimit-Limit").map(|limit| assert_eq!(limit, "6000"))
    });
    let changed = "port: 1\nauth:\n  admin_keys: [root]\nlimits:\n  tenants:\n    default:\n      rate:\n        requests_per_minute: 500\n";
    std::fs::write(file.path(), changed).expect("written");
    let answer = reload().expect_status(200).json();
    assert_eq!(
        answer,
        json!({ "status": "success", "at_next_start": [] }),
        "the flag counts before the file"
    );
    assert_eq!(asked().header("X-RateLimit-Limit"), Some("500"));
    std::fs::write(file.path(), format!("node_id: another\n{changed}")).expect("written");
    assert_eq!(reload().json()["at_next_start"], json!(["node_id"]));
    let kept = format!(
        "storage:\n  retention_days: 1\n  tenants:\n    acme:\n      retention_bytes: 1GiB\n{changed}"
    );
    std::fs::write(file.path(), kept).expect("written");
    let expected = json!(["storage.retention_days", "storage.tenants.*.retention_bytes"]);
    assert_eq!(reload().json()["at_next_start"], expected, "what a store keeps is settled at its start");
    let time = now() - 2 * 86_400 * SECOND;
    let line = json!({ "streams": [{ "stream": { "a": "b" }, "values": [[time.to_string(), "old"]] }] });
    let sent = server.post("/loki/api/v1/push").header("X-API-Key", "root").json(&line).send();
    assert_eq!(sent.status, 204, "and so is what is too old to be taken: {}", sent.text());
    std::fs::write(file.path(), "limits:\n  rate:\n    burst: many\n").expect("written");
    let wrong = reload().expect_status(422).json();
    assert!(wrong["message"].as_str().expect("a text").contains("limits.rate.burst"), "{wrong}");
    assert_eq!(asked().header("X-RateLimit-Limit"), Some("500"));
    std::fs::write(file.path(), changed).expect("written");
    let shown = server.get("/admin/config").header("X-API-Key", "root").send().expect_status(200).text();
    assert!(shown.contains("requests_per_minute: 500") && !shown.contains("root"), "{shown}");
}
