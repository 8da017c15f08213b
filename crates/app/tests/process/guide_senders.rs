//! What the guide prints for each sender works as printed: its configuration or program is taken from the page, run, and what it
//! sent is found by the query that stands below it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use timberyard_testkit::server_process::{ServerProcess, free_address};

use crate::guide::{examples, repository};
use crate::running::Running;
use crate::senders::{found, tool};
use crate::start::server_with;
use crate::terminal::Said;

const PAGE: &str = "docs/guide/senders.md";
/// The page with the table of all senders.
const TABLE: &str = "docs/guide/sending.md";

/// A server that listens for everything, and the ports that the page prints, with those that they stand for.
struct Yard {
    server: ServerProcess,
    ports: [(&'static str, String); 4],
    folder: tempfile::TempDir,
}

impl Yard {
    fn new() -> Self {
        let [syslog, gelf, fluent] = [free_address(), free_address(), free_address()];
        let server = server_with(&[
            ("TIMBERYARD_SYSLOG_TCP", &syslog),
            ("TIMBERYARD_GELF_TCP", &gelf),
            ("TIMBERYARD_FLUENT_TCP", &fluent),
        ]);
        let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        let ports = [
            ("8080", port(server.address())),
            ("5514", port(&syslog)),
            ("12201", port(&gelf)),
            ("24224", port(&fluent)),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("shop.log"), "order 17 paid\norder 18 failed\n").expect("written");
        Self { server, ports, folder }
    }

    /// What the page prints, with this server's ports and a file of this test.
    fn here(&self, text: &str) -> String {
        let text = text.replace("/var/log/shop.log", &self.path("shop.log"));
        // In two steps, since a port may look like another one.
        let text =
            self.ports.iter().fold(text, |text, (printed, _)| text.replace(printed, &format!("<{printed}>")));
        self.ports.iter().fold(text, |text, (printed, port)| text.replace(&format!("<{printed}>"), port))
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a file of the test's folder.
    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.folder.path().join(name), text).expect("written");
        self.path(name)
    }

    /// Waits until the query below a heading finds something.
    #[track_caller]
    fn finds(&self, heading: &str) {
        let query = query_below(heading).unwrap_or_else(|| panic!("{heading}: no query"));
        found(&self.server, &query, 1);
    }
}

fn page() -> String {
    std::fs::read_to_string(repository(PAGE)).expect("the page")
}

/// What stands behind `Found by` below a heading.
fn query_below(heading: &str) -> Option<String> {
    let page = page();
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading))?;
    let line = section.lines().find_map(|line| line.strip_prefix("Found by `"))?;
    line.split('`').next().map(str::to_owned)
}

/// Blocks in a language that have a query below them, by their headings.
fn tested(language: &str) -> Vec<(String, String)> {
    let blocks = examples(&page(), language).into_iter();
    blocks.filter(|(heading, _)| query_below(heading).is_some()).collect()
}

#[track_caller]
fn succeeds(command: &mut Command) {
    Said::from(command.output().expect("a program that starts")).succeeded();
}

#[test]
fn python_programs_send_as_printed() {
    let programs = tested("python");
    assert_eq!(programs.len(), 7);
    for (heading, program) in programs {
        let yard = Yard::new();
        succeeds(Command::new(tool("python/bin/python")).args(["-c", &yard.here(&program)]));
        yard.finds(&heading);
    }
}

#[test]
fn node_programs_send_as_printed() {
    let programs = tested("js");
    assert_eq!(programs.len(), 2);
    for (heading, program) in programs {
        let yard = Yard::new();
        std::os::unix::fs::symlink(tool("node/node_modules"), yard.path("node_modules")).expect("a link");
        succeeds(Command::new("node").arg(yard.write("program.mjs", &yard.here(&program))));
        yard.finds(&heading);
    }
}

#[test]
fn rsyslog_sends_as_printed() {
    let settings = tested("rsyslog");
    assert_eq!(settings.len(), 2);
    for (heading, settings) in settings {
        let yard = Yard::new();
        let work = format!("global(workDirectory=\"{}\")\n", yard.folder.path().display());
        let file = yard.write("conf", &(work + &yard.here(&settings)));
        let mut command = Command::new(tool("bin/rsyslogd"));
        let started = command.args(["-n", "-f", &file, "-i", &yard.path("pid")]).spawn();
        let _running = Running(started.expect("rsyslogd starts"));
        yard.finds(&heading);
    }
}

#[test]
fn syslog_ng_sends_as_printed() {
    let settings = tested("syslog-ng");
    assert_eq!(settings.len(), 2);
    let library = tool("bin/syslog-ng-scl").join("elasticsearch/elastic-http.conf");
    for (heading, settings) in settings {
        let yard = Yard::new();
        // Its own library lies elsewhere, and of it only what is used.
        let settings = yard.here(&settings).replace("scl.conf", &library.display().to_string());
        let file = yard.write("conf", &settings);
        let mut command = Command::new(tool("bin/syslog-ng"));
        command.args(["--foreground", "--stderr", "--no-caps", "--cfgfile", &file]);
        command.args(["--persist-file", &yard.path("persist"), "--control", &yard.path("control")]);
        let started = command.args(["--pidfile", &yard.path("pid")]).stderr(Stdio::null()).spawn();
        let _running = Running(started.expect("syslog-ng starts"));
        yard.finds(&heading);
    }
}

#[test]
fn alertmanager_sends_as_printed() {
    let yard = Yard::new();
    let settings = examples(&page(), "yaml").into_iter().find(|(heading, _)| heading == "Alertmanager");
    let (heading, settings) = settings.expect("its settings");
    let address = free_address();
    let file = yard.write("alertmanager.yml", &yard.here(&settings));
    let started = Command::new(tool("bin/alertmanager"))
        .args([&format!("--config.file={file}"), &format!("--storage.path={}", yard.path("alerts"))])
        .args([&format!("--web.listen-address={address}"), "--cluster.listen-address="])
        .stderr(Stdio::null())
        .spawn();
    let _running = Running(started.expect("alertmanager starts"));
    let alert = r#"[{"labels": {"alertname": "OrderFailed", "severity": "critical"}}]"#;
    succeeds(
        Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--retry", "30", "--retry-delay", "1"])
            .args(["--retry-connrefused", "--header", "Content-Type: application/json", "--data", alert])
            .arg(format!("http://{address}/api/v2/alerts")),
    );
    yard.finds(&heading);
}

#[test]
fn the_table_says_of_each_sender_whether_it_is_tested() {
    let (page, table) = (page(), std::fs::read_to_string(repository(TABLE)).expect("the page"));
    let rows = table.lines().filter_map(|line| line.strip_prefix("| [")?.strip_suffix(" |"));
    let (mut listed, mut said_to_be_tested) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        let (name, rest) = row.split_once("](").expect("a link");
        let (target, rest) = rest.split_once(')').expect("a link that ends");
        let tested = match rest.rsplit("| ").next() {
            Some("tested") => true,
            Some("not tested here") => false,
            _ => panic!("{row}: neither tested nor not"),
        };
        match target.strip_prefix("senders.md#") {
            None => {
                let file = target.split('#').next().filter(|file| !file.is_empty()).unwrap_or("sending.md");
                assert!(Path::new(&repository("docs/guide")).join(file).exists(), "{row}");
            }
            Some(anchor) => {
                let plain = name.to_lowercase().replace(['\'', ','], "").replace(' ', "-");
                assert_eq!(anchor, plain, "{row}");
                listed.insert(name);
                if tested {
                    said_to_be_tested.insert(name);
                }
            }
        }
    }
    let headings: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(listed, headings);
    let tested: BTreeSet<&str> =
        headings.into_iter().filter(|heading| query_below(heading).is_some()).collect();
    assert_eq!(said_to_be_tested, tested);
}
