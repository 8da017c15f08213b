//! `timberyard`: the one binary. Reads the command line and hands over to the command's own file.
//!
//! Exit codes: 0 done, 1 failed, 2 not understood. Errors go to standard error.

mod agent;
mod allocator;
mod cli;
mod client;
mod config;
mod config_command;
mod connect_check;
mod data;
mod data_directory;
mod demoted_labels_file;
mod descriptors;
mod failure;
mod inputs;
mod key_file;
mod key_table;
mod key_text_folder;
mod keys;
mod listeners;
mod loadgen;
mod maintenance;
mod migrate;
mod no_store;
mod progress;
mod push;
mod query;
mod retention_preview;
mod search_file;
mod server;
mod settings_source;
mod show;
mod shutdown;
mod sinks;
mod store_deletions;
mod store_slot;
mod store_with_sinks;
mod tail;
mod telemetry;
mod time_argument;
mod whole_file;
mod wiring;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use cli::{Command, RetentionCommand, Typed};
use failure::Failure;

fn main() -> ExitCode {
    match run(&Typed::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message = failure.to_string();
            if !message.is_empty() {
                // When standard error is closed the exit code still tells.
                let _ = writeln!(io::stderr(), "timberyard: {message}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Server(arguments) => server::run(arguments),
        Command::Agent(arguments) => agent::run(arguments),
        Command::Query(arguments) => query::run(arguments),
        Command::Tail(arguments) => tail::run(arguments),
        Command::Push(arguments) => push::run(arguments),
        Command::Keys(command) => keys::run(command),
        Command::Loadgen(arguments) => loadgen::run(arguments),
        Command::Config(command) => config_command::run(command),
        Command::Migrate(command) => migrate::run(command),
        Command::Retention(RetentionCommand::Preview(arguments)) => retention_preview::run(arguments),
        Command::Verify { data_dir } => data::run_verify(data_dir),
        Command::Snapshot(arguments) => data::run_snapshot(arguments),
        Command::Restore { snapshot_dir, data_dir } => data::run_restore(snapshot_dir, data_dir),
    }
}
