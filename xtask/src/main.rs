//! Checks the house itself: `cargo run -p xtask -- crate-graph`.
//!
//! Never shipped. What it checks is the level table in ARCHITECTURE.md.

mod crate_graph;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["crate-graph"] => crate_graph::check_this_workspace(),
        _ => Err("usage: cargo run -p xtask -- crate-graph".to_owned()),
    };
    match outcome {
        Ok(said) => {
            say(&said);
            ExitCode::SUCCESS
        }
        Err(said) => {
            complain(&said);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command line tool speaks on standard output")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command line tool complains on standard error")]
fn complain(text: &str) {
    eprintln!("{text}");
}
