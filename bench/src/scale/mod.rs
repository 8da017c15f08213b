//! What does not show in a workload: very many streams, and a start on much data.
//!
//! Each scenario brings a server into one state and prints its figures with the bars beside them.

mod quantile;
mod start;
mod streams;

use std::path::Path;

/// A state to measure.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// A label index with `--amount` thousand streams of one line each.
    Streams,
    /// A start with `--amount` megabytes on disk, until the first query is answered.
    Start,
}

impl Scenario {
    /// How much is measured when nothing is said: what the bars are about.
    fn amount(self) -> usize {
        match self {
            Self::Streams => 1_000,
            Self::Start => 10_000,
        }
    }
}

/// Runs one scenario; the text says what came out.
pub(crate) fn run(scenario: Scenario, amount: Option<usize>, binary: &Path) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let amount = amount.unwrap_or_else(|| scenario.amount());
    match scenario {
        Scenario::Streams => streams::measure(binary, folder.path(), amount * 1000),
        Scenario::Start => start::measure(binary, folder.path(), amount as u64 * 1_000_000),
    }
}

/// Sends a `GET` and reads the whole answer.
fn get(server: &crate::server::Server, path: &str) -> Result<String, String> {
    let mut response =
        ureq::get(format!("{}{path}", server.url)).call().map_err(|e| format!("{path}: {e}"))?;
    response.body_mut().with_config().limit(1 << 30).read_to_string().map_err(|e| format!("{path}: {e}"))
}
