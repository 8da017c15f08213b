//! Compares a server with recorded answers of a Loki: `conformance DIR URL [GROUP…]`.
//!
//! `DIR` holds `dataset.ndjson`, `cases.json`, `sequences.json` and `meta.json`. The data set is pushed to the server at
//! `URL`, which should be fresh; then every request is sent, and each answer that differs is shown with how. Only what
//! clients rely on is compared: not the order of streams, not the wording of errors, not the text of
//! `__error_details__`. The exit status is 0 when every answer agrees.

mod client;
mod compare;
mod folder;
mod lines;
mod placeholders;
mod points;
mod push;
mod sequences;
mod shape;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use client::Client;
use folder::Folder;

/// The outcome of one request.
pub(crate) struct Verdict {
    pub(crate) group: String,
    pub(crate) id: String,
    /// What was asked, for people.
    pub(crate) request: String,
    /// How the answer differs; nothing when it agrees.
    pub(crate) differences: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, url, groups @ ..] = arguments.as_slice() else {
        complain("usage: conformance DIR URL [GROUP…]");
        return ExitCode::from(2);
    };
    match run(Path::new(folder), url, groups) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            complain(&reason);
            ExitCode::from(2)
        }
    }
}

/// Whether everything agrees.
fn run(folder: &Path, url: &str, groups: &[String]) -> Result<bool, String> {
    let folder = Folder::read(folder)?;
    let client = Client::new(url);
    push::push_data_set(&client, &folder)?;
    let wanted = |group: &str| groups.is_empty() || groups.iter().any(|name| name == group);
    let mut verdicts = Vec::new();
    for case in folder.cases.iter().filter(|case| wanted(&case.group)) {
        let differences = match client.ask(case) {
            Ok(answer) => compare::differences(case, &answer),
            Err(reason) => vec![reason],
        };
        let (group, id) = (case.group.clone(), case.id.clone());
        verdicts.push(Verdict { group, id, request: case.shown(), differences });
    }
    let chosen: Vec<_> = folder.sequences.iter().filter(|sequence| wanted(&sequence.group)).collect();
    verdicts.extend(sequences::run(&client, &chosen, folder.base_ns));
    Ok(report(&verdicts))
}

/// Shows what differs, then a line a group and the sum. Whether everything agrees.
fn report(verdicts: &[Verdict]) -> bool {
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for verdict in verdicts {
        let (agreeing, all) = groups.entry(&verdict.group).or_default();
        *all += 1;
        *agreeing += usize::from(verdict.differences.is_empty());
        if !verdict.differences.is_empty() {
            say(&format!("{}\n  {}", verdict.id, verdict.request));
            verdict.differences.iter().for_each(|difference| say(&format!("  - {difference}")));
        }
    }
    for (group, (agreeing, all)) in &groups {
        say(&format!("{group:30} {agreeing:4} of {all}"));
    }
    let agreeing = groups.values().map(|(agreeing, _)| agreeing).sum::<usize>();
    say(&format!("{agreeing} of {} answers agree", verdicts.len()));
    agreeing == verdicts.len()
}

#[expect(clippy::print_stdout, reason = "a command line tool speaks on standard output")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command line tool complains on standard error")]
fn complain(text: &str) {
    eprintln!("{text}");
}
