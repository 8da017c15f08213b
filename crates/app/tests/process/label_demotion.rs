//! A label with too many values becomes structured metadata, and goes on finding rows from before and after.

use serde_json::json;

use crate::clock::now;
use crate::logql::{lines, push};
use crate::start;

#[test]
fn a_label_with_too_many_values_goes_on_finding_its_rows_and_is_reported() {
    let mut server = start::settings().env("TIMBERYARD_LIMITS_RECORD_LABEL_VALUES_MAX", "3").start();
    for user in ["ada", "bob", "cyd", "dan", "ada"] {
        push(&server, &json!({ "app": "shop", "user": user }), &[(now(), &format!("{user} came in"))]);
    }
    let found = |server: &_, user: &str| lines(server, &format!(r#"{{app="shop", user="{user}"}}"#)).len();
    for restarted in [false, true] {
        if restarted {
            assert!(server.terminate().success());
            server.start_again();
            push(&server, &json!({ "app": "shop", "user": "ada" }), &[(now(), "ada came back")]);
        }
        assert_eq!(found(&server, "ada"), if restarted { 3 } else { 2 });
        assert_eq!(found(&server, "dan"), 1);
        assert_eq!(found(&server, "eve"), 0);
        let streams = server.get("/loki/api/v1/label/user/values").send().json();
        assert_eq!(streams["data"], json!(["ada", "bob", "cyd"]), "dan is metadata");
        let metrics = server.get("/metrics").send().text();
        assert!(metrics.contains("timberyard_demoted_labels 1"), "{metrics}");
    }
}
