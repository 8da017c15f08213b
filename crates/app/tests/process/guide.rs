//! What the guide prints works as printed: each example on sending logs is run by a shell.

use std::path::{Path, PathBuf};
use std::process::Command;

use timberyard_testkit::server_process::free_address;

use crate::logql::entries;
use crate::senders::tool;
use crate::start::{binary, server, server_with};
use crate::terminal::Said;

/// The blocks of a page in a language, each with the heading above it.
pub(crate) fn examples(page: &str, language: &str) -> Vec<(String, String)> {
    let fence = format!("```{language}");
    let mut heading = String::new();
    let mut block: Option<String> = None;
    let mut examples = Vec::new();
    for line in page.lines() {
        match (&mut block, line) {
            (None, line) if line == fence => block = Some(String::new()),
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

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn sending() -> String {
    std::fs::read_to_string(repository("docs/guide/sending.md")).expect("the page")
}

#[test]
fn the_program_on_pushing_over_grpc_works_as_printed() {
    let programs = examples(&sending(), "python");
    let [(_, program)] = &*programs else { panic!("{} programs", programs.len()) };
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().display().to_string();
    let protos = repository("proto").display().to_string();
    let python = || Command::new(tool("python/bin/python"));
    let arguments =
        [&format!("-I{protos}"), &format!("--python_out={made}"), &format!("--grpc_python_out={made}")];
    let protoc =
        python().args(["-m", "grpc_tools.protoc"]).args(arguments).arg("timberyard/v1/push.proto").output();
    Said::from(protoc.expect("Python starts")).succeeded();
    let server = server();
    let program = program.replace("127.0.0.1:8080", server.address());
    let output = python().args(["-c", &program]).env("PYTHONPATH", &made).output();
    let said = Said::from(output.expect("Python starts")).succeeded().text();
    assert_eq!(said, "1 0 \n2 0 \n3 0 \n");
    assert_eq!(entries(&server, r#"{app="shop", sender="grpc"}"#).len(), 3);
}

#[test]
fn every_example_on_sending_works_as_printed() {
    let examples = examples(&sending(), "sh");
    assert!(examples.len() > 12, "{} examples", examples.len());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("syslog");
    std::fs::write(&file, "one line\nand another\n").expect("written");
    let (syslog, gelf) = (free_address(), free_address());
    let server = server_with(&[("TIMBERYARD_SYSLOG_TCP", &syslog), ("TIMBERYARD_GELF_UDP", &gelf)]);
    let (_, gelf_port) = gelf.split_once(':').expect("an address with a port");
    for (heading, example) in examples {
        // What is not there on every machine, and the server's own address.
        let script = example
            .replace("/var/log/syslog", &file.display().to_string())
            .replace("make 2>&1", "ls")
            .replace("127.0.0.1:8080", server.address())
            .replace("12201", gelf_port)
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
