//! The page in a real Chromium against the real binary: each view does what a person does and looks at what a person sees.
//! The tests are `ui/tests/*.test.mjs`, one file a view.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use timberyard_testkit::oidc_provider::OidcProvider;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{SECOND, now};
use crate::start::{configured, server, server_with};
use crate::terminal::Said;

/// Runs the tests of one view on a server of their own.
#[track_caller]
fn in_browser(view: &str, server: &ServerProcess) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui");
    assert!(
        page.join("node_modules/playwright-core").exists(),
        "the page's packages are missing; run: make deps"
    );
    let shown = server.get("/").header("Accept", "text/html").send().expect_status(200).text();
    assert!(shown.contains("id=\"page\""), "this binary has no page; run: make deps, and build it again");
    let output = Command::new("node")
        .args(["--test", "--test-reporter=tap"])
        .arg(page.join("tests").join(format!("{view}.test.mjs")))
        .env("TIMBERYARD_URL", server.url(""))
        .output();
    Said::from(output.expect("Node starts")).succeeded();
}

#[test]
fn the_page_opens_and_finds_lines() {
    in_browser("explore", &server());
}

#[test]
fn the_page_follows_lines_as_they_come() {
    in_browser("live", &server());
}

#[test]
fn the_page_draws_numbers_and_leads_to_their_lines() {
    in_browser("charts", &server());
}

#[test]
fn the_page_shows_patterns_those_that_are_new_and_the_values_of_fields() {
    in_browser("patterns", &server());
}

#[test]
fn the_page_explores_labels() {
    in_browser("labels", &server());
}

#[test]
fn the_page_of_an_empty_server_shows_how_logs_come_in() {
    in_browser("send", &server());
}

#[test]
fn the_page_saves_searches_for_everybody_and_has_those_of_other_viewers() {
    in_browser("saved", &server());
}

#[test]
fn the_page_shows_events_and_pages_through_them() {
    in_browser("events", &server());
}

#[test]
fn the_page_shows_how_the_server_is_and_makes_keys() {
    in_browser("system", &server());
}

#[test]
fn the_page_has_nothing_serious_in_the_way_of_anybody_in_either_theme() {
    in_browser("accessible", &server());
}

#[test]
fn the_page_asks_for_a_key_where_one_is_wanted() {
    in_browser("sign-in", &server_with(&[("API_KEYS", "page-key")]));
}

#[test]
fn the_page_lets_people_in_through_their_provider() {
    let provider = OidcProvider::start();
    let yaml = format!(
        "auth:\n  oidc:\n    issuer: {}\n    client_id: logs\n    redirect_url: http://127.0.0.1:1/auth/callback\n    grants:\n    \
         - groups=acme default push+read\n",
        provider.issuer()
    );
    let (settings, _file) = configured(&yaml);
    let server = settings.start();
    let claims = json!({ "sub": "ann", "aud": "logs", "exp": now() / SECOND + 600, "groups": ["acme"] });
    provider.let_in(&claims, &server.url(""));
    in_browser("people", &server);
}
