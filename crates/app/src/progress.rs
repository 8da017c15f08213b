//! What a person at a terminal sees while lines are sent; nothing at all when standard error is no terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on standard error, if that is a terminal.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar of bytes; a counter when their number is not known.
    pub(crate) fn new(total_bytes: Option<u64>) -> Self {
        let template = match total_bytes {
            Some(_) => "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}",
            None => "{spinner} {bytes} {bytes_per_sec} {msg}",
        };
        Self::with_template(total_bytes, template)
    }

    /// A bar of things.
    pub(crate) fn of_entries(total: u64) -> Self {
        Self::with_template(Some(total), "{bar:30} {pos}/{len} {per_sec} {eta} {msg}")
    }

    /// A counter of lines that are read; nothing while standard output is a terminal, where the lines themselves show.
    pub(crate) fn of_lines(is_wanted: bool) -> Self {
        if !is_wanted || std::io::stdout().is_terminal() {
            return Self { bar: None };
        }
        Self::with_template(None, "{spinner} {human_pos} lines {per_sec} {elapsed} {msg}")
    }

    fn with_template(total: Option<u64>, template: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            ProgressStyle::with_template(template)
                .map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
        });
        Self { bar }
    }

    /// So much more was done.
    pub(crate) fn advance(&self, amount: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(amount);
        }
    }

    /// Shows how many lines the server has.
    pub(crate) fn note_acknowledged(&self, lines: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{lines} lines"));
        }
    }

    /// Shows that a request failed and is tried again.
    pub(crate) fn note_retry(&self, problem: &str, wait: Duration) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{problem}; trying again in {} ms", wait.as_millis()));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
