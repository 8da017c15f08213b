//! How long logs are kept, and what is said about it before.

use serde_json::json;

use crate::clock::{HOUR, now};
use crate::logql::{entries_between, push};
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
