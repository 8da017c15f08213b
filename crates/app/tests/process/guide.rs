//! What the guide prints works as printed: each example on sending logs is run by a shell.

use std::path::Path;
use std::process::Command;

use timberyard_testkit::server_process::free_address;

use crate::start::{binary, server_with};
use crate::terminal::Said;

/// The shell blocks of a page, each with the heading above it.
fn examples(page: &str) -> Vec<(String, String)> {
    let mut heading = String::new();
    let mut block: Option<String> = None;
    let mut examples = Vec::new();
    for line in page.lines() {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (Some(text), "```") => {
                examples.push((heading.clone(), std::mem::take(text)));
                block = None;
            }
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, line) => {
                if let Some(text) = line.strip_prefix("## ") {
                    text.clone_into(&mut heading);
                }
            }
        }
    }
    examples
}

#[test]
fn every_example_on_sending_works_as_printed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/sending.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let examples = examples(&page);
    assert!(examples.len() > 12, "{} examples", examples.len());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("syslog");
    std::fs::write(&file, "one line\nand another\n").expect("written");
    let syslog = free_address();
    let server = server_with(&[("TIMBERYARD_SYSLOG_TCP", &syslog)]);
    for (heading, example) in examples {
        // What is not there on every machine, and the server's own address.
        let script = example
            .replace("/var/log/syslog", &file.display().to_string())
            .replace("make 2>&1", "ls")
            .replace("127.0.0.1:8080", server.address())
            .replace("127.0.0.1 --port 5514", &syslog.replace(':', " --port "))
            .replace("curl ", "curl --silent --show-error --fail-with-body ")
            .replace("timberyard ", &format!("{} ", binary()));
        let output = Command::new("sh")
            .args(["-euc", &script])
            .env("TIMBERYARD_URL", server.url(""))
            .output()
            .expect("a shell");
        let said = Said::from(output).succeeded().text();
        // A question at its end finds what was sent before it.
        let last = example.lines().last().unwrap_or_default();
        let asks =
            last.starts_with("timberyard query") || last.contains("limit=") || last.contains("page_size=");
        let has_nothing = said.trim().is_empty() || said.contains("\"total\":0") || said.trim() == "[]";
        assert!(!(asks && has_nothing), "{heading}: {example}\nfinds nothing: {said}");
    }
}
