//! A real rsyslogd that reads a file of its own and sends it on as a test wants.

use std::io::Write;
use std::process::Command;

use crate::running::Running;
use crate::senders::tool;

/// Its folder, and its process once it is started; both end with the test.
pub(crate) struct Rsyslog {
    folder: tempfile::TempDir,
    process: Option<Running>,
}

impl Rsyslog {
    /// With a file of so many lines `order N "quoted"`.
    pub(crate) fn new(lines: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut input = std::fs::File::create(folder.path().join("input")).expect("created");
        for number in 0..lines {
            writeln!(input, "order {number} \"quoted\"").expect("written");
        }
        Self { folder, process: None }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Starts it: the file comes in as `shop`, with severity error; `actions` say where it goes.
    pub(crate) fn start(&mut self, actions: &str) {
        let settings = format!(
            r#"
global(workDirectory="{work}")
module(load="imfile")
input(type="imfile" file="{input}" tag="shop:" severity="error")
{actions}
"#,
            work = self.folder.path().display(),
            input = self.path("input"),
        );
        std::fs::write(self.path("conf"), settings).expect("written");
        let started = Command::new(tool("bin/rsyslogd"))
            .args(["-n", "-f", &self.path("conf"), "-i", &self.path("pid")])
            .spawn();
        self.process = Some(Running(started.expect("rsyslogd starts")));
    }
}
