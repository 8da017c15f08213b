//! Commands as a user types them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use timberyard_testkit::server_process::{ServerProcess, clean_command};

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    /// The exit status; `None` when a signal ended it.
    pub(crate) status: Option<i32>,
    /// Standard output.
    pub(crate) output: Vec<u8>,
    /// Standard error.
    pub(crate) errors: String,
}

impl Said {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Both outputs, for searching.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.text(), self.errors)
    }

    /// Itself, if it succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.status, Some(0), "it said: {}", self.all());
        self
    }

    /// Itself, if it failed in order, that is without a panic.
    #[track_caller]
    pub(crate) fn failed(self) -> Self {
        assert!(self.status.is_some_and(|status| status != 0), "it ended with {:?}", self.status);
        assert!(!self.errors.contains("panicked"), "{}", self.errors);
        assert!(!self.errors.trim().is_empty(), "it says why");
        self
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            output: output.stdout,
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The command `timberyard` with arguments, in an environment without settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = clean_command(Path::new(crate::start::binary()));
    command.args(arguments);
    command
}

/// Runs `timberyard` with arguments.
pub(crate) fn timberyard(arguments: &[&str]) -> Said {
    command(arguments).stdin(Stdio::null()).output().expect("the binary starts").into()
}

/// Runs `timberyard` with arguments and something on its standard input.
pub(crate) fn timberyard_reading(arguments: &[&str], input: &[u8]) -> Said {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || pipe.write_all(&input));
    let output = child.wait_with_output().expect("the command ends");
    // A command that ends before it has read everything closes the pipe; its status says whether that is right.
    let _ = writer.join().expect("the writer ends");
    output.into()
}

/// What `curl` got.
#[derive(Debug)]
pub(crate) struct Curled {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

impl Curled {
    /// The body as JSON, if the status is the expected one.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> serde_json::Value {
        assert_eq!(self.status, status, "body: {}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Runs a documented example as it stands; only the server's address is put in the place of
/// `localhost:8080`, and `curl` is told to say the status.
#[track_caller]
pub(crate) fn curl(server: &ServerProcess, example: &str) -> Curled {
    let script = example.replace("localhost:8080", server.address()).replacen(
        "curl ",
        "curl --silent --show-error --write-out '\\n%{http_code}' ",
        1,
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let said = Said::from(output).succeeded().text();
    let (body, status) = said.rsplit_once('\n').expect("the status stands on a line of its own");
    Curled { status: status.parse().expect("a status"), body: body.to_owned() }
}
