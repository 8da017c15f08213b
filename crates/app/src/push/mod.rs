//! `timberyard push`: sends the lines of text files, byte for byte, so that a retry never doubles one.
//!
//! Every line gets a nanosecond of its own, counted up from one start. Loki's push merges equal entries, so the same body may be
//! sent again after a lost connection, and the whole command again with the same `--start`.

mod batch;
mod lines;
mod sender;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use timberyard_model::labels::is_label_name;
use timberyard_model::{Labels, Timestamp};

use crate::cli::PushArguments;
use crate::client::{Client, Endpoint, RetryLimits};
use crate::config::parse_bytes;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::time_argument::{now, parse_span, parse_time};

use batch::Batch;
use lines::{Line, LineReader};

use sender::{Refused, Sender};

/// The largest `--batch-bytes`: a server takes 64 MiB after decompression by default.
const BATCH_BYTES_MAX: usize = 32 << 20;
/// How many refused lines are named one by one.
const REFUSED_SHOWN_MAX: usize = 20;

/// What the flags mean.
struct Plan {
    files: Vec<PathBuf>,
    labels: Labels,
    batch_bytes: usize,
    line_bytes_max: usize,
    start: Timestamp,
    retry: RetryLimits,
}

impl Plan {
    fn new(arguments: &PushArguments) -> Result<Self, Failure> {
        let bytes = |flag: &str, text: &str| {
            parse_bytes(text).map_err(|reason| Failure::usage(format!("{flag} {reason}")))
        };
        let batch_bytes = bytes("--batch-bytes", &arguments.batch_bytes)?;
        if !(1..=BATCH_BYTES_MAX).contains(&batch_bytes) {
            return Err(Failure::usage(format!(
                "--batch-bytes must be 1 to {BATCH_BYTES_MAX}, not {batch_bytes}"
            )));
        }
        let start = match &arguments.start {
            Some(text) => parse_time("--start", text, now())?,
            None => now(),
        };
        arguments.files.iter().try_for_each(|file| check_readable(file))?;
        let retry_nanos = parse_span("--retry-for", &arguments.retry_for)?;
        Ok(Self {
            files: arguments.files.clone(),
            labels: parse_labels(&arguments.labels)?,
            batch_bytes,
            line_bytes_max: bytes("--line-bytes-max", &arguments.line_bytes_max)?,
            start,
            retry: RetryLimits { total: Duration::from_nanos(retry_nanos.unsigned_abs()) },
        })
    }
}

/// Fails on a file that cannot be read, before a line of any has been sent.
fn check_readable(file: &Path) -> Result<(), Failure> {
    let refuse = |reason: &dyn std::fmt::Display| {
        Failure::new(format!("{}: {reason}; nothing was sent", file.display()))
    };
    if file.as_os_str() == "-" {
        return Ok(());
    }
    let found = std::fs::metadata(file).map_err(|error| refuse(&error))?;
    if found.is_dir() {
        return Err(refuse(&"is a folder, not a file"));
    }
    // Opening a pipe would wait for who writes into it.
    if found.is_file() {
        File::open(file).map_err(|error| refuse(&error))?;
    }
    Ok(())
}

fn parse_labels(typed: &[String]) -> Result<Labels, Failure> {
    if typed.is_empty() {
        return Ok(Labels::from_pairs([("job", "push")]));
    }
    let mut pairs = Vec::new();
    for text in typed {
        let refuse = |reason: &str| Failure::usage(format!("--label `{text}`: {reason}"));
        let (name, value) = text.split_once('=').ok_or_else(|| refuse("must be NAME=VALUE"))?;
        if !is_label_name(name) {
            return Err(refuse("a name is letters, digits and _, and does not begin with a digit"));
        }
        if value.is_empty() {
            return Err(refuse("the value is empty, which is the same as no label"));
        }
        pairs.push((name, value));
    }
    Ok(Labels::from_pairs(pairs))
}

/// Sends all files, and says how many lines were acknowledged.
pub(crate) fn run(arguments: &PushArguments) -> Result<(), Failure> {
    let plan = Plan::new(arguments)?;
    let client = Client::new(Endpoint::from_process(&arguments.client)?)?;
    let mut push = Push {
        sender: Sender::new(&client, plan.retry),
        batch: Batch::new(plan.labels.clone(), plan.start),
        progress: Progress::new(total_bytes(&plan.files)),
        line_bytes_max: plan.line_bytes_max,
        batch_bytes: plan.batch_bytes,
        refused: Vec::new(),
        refused_count: 0,
    };
    let sent = plan.files.iter().try_for_each(|file| push.file(file));
    push.progress.finish();
    let acknowledged = push.sender.acknowledged();
    let start = plan.start;
    writeln!(io::stdout(), "{} acknowledged", lines_text(acknowledged))
        .map_err(|error| Failure::output(&error))?;
    push.report_refused();
    match sent {
        Err(failure) => Err(Failure::new(format!(
            "{failure}\nto send the rest, and nothing twice, push the same files again with --start {}",
            start.as_nanos()
        ))),
        Ok(()) if push.refused_count > 0 => {
            Err(Failure::new(format!("{} lines were not sent", push.refused_count)))
        }
        Ok(()) => Ok(()),
    }
}

/// The size of all files together, when all have one.
fn total_bytes(files: &[PathBuf]) -> Option<u64> {
    files
        .iter()
        .map(|file| std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|file| file.len()))
        .sum()
}

struct Push<'a> {
    sender: Sender<'a>,
    batch: Batch,
    progress: Progress,
    line_bytes_max: usize,
    batch_bytes: usize,
    refused: Vec<String>,
    refused_count: u64,
}

impl Push<'_> {
    fn file(&mut self, file: &Path) -> Result<(), Failure> {
        let name =
            if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() };
        let failed = |error: io::Error| Failure::new(format!("{name}: {error}"));
        let input: Box<dyn Read> = if file.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(file).map_err(failed)?)
        };
        let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, input), self.line_bytes_max);
        while let Some(line) = lines.next_line().map_err(failed)? {
            self.progress.advance(line.bytes_read());
            match line {
                Line::Whole { number, text, .. } => {
                    if !self.batch.is_empty() && self.batch.bytes() + text.len() > self.batch_bytes {
                        self.send(&name)?;
                    }
                    self.batch.push(number, text);
                }
                Line::TooLong { number, bytes } => {
                    // It keeps its nanosecond, so that the others' do not depend on the limit.
                    self.batch.skip();
                    let limit = self.line_bytes_max;
                    self.refuse(&name, number, &format!("line is {bytes} bytes, limit is {limit}"));
                }
            }
        }
        self.send(&name)
    }

    fn send(&mut self, name: &str) -> Result<(), Failure> {
        let batch = self.batch.take();
        let progress = &self.progress;
        let refused = self.sender.send(&batch, |problem, wait| progress.note_retry(problem, wait))?;
        for Refused { line, reason } in refused {
            self.refuse(name, line, &reason);
        }
        self.progress.note_acknowledged(self.sender.acknowledged());
        Ok(())
    }

    fn refuse(&mut self, name: &str, line: u64, reason: &str) {
        self.refused_count += 1;
        if self.refused.len() < REFUSED_SHOWN_MAX {
            self.refused.push(format!("{name}:{line}: {reason}"));
        }
    }

    fn report_refused(&self) {
        let mut errors = io::stderr().lock();
        for refused in &self.refused {
            // When standard error is closed there is nobody to tell.
            let _ = writeln!(errors, "{refused}");
        }
        let more = self.refused_count - self.refused.len() as u64;
        if more > 0 {
            let _ = writeln!(errors, "and {} more", lines_text(more));
        }
    }
}

fn lines_text(count: u64) -> String {
    format!("{count} {}", if count == 1 { "line" } else { "lines" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_checked_before_anything_is_sent() {
        let labels = parse_labels(&["app=api".to_owned(), "env=a=b".to_owned()]).expect("valid");
        assert_eq!(labels.to_string(), r#"{app="api", env="a=b"}"#);
        assert_eq!(parse_labels(&[]).expect("default").to_string(), r#"{job="push"}"#);
        for bad in ["app", "=x", "9a=x", "a-b=x", "app="] {
            assert_eq!(parse_labels(&[bad.to_owned()]).expect_err(bad).exit_code(), 2, "{bad}");
        }
    }
}
