//! `timberyard config`: says whether the settings are good, or shows them.

use std::io::{self, Write};

use crate::cli::ConfigCommand;
use crate::connect_check;
use crate::failure::Failure;
use crate::server::load;

/// Checks or prints.
pub(crate) fn run(command: &ConfigCommand) -> Result<(), Failure> {
    let arguments = match command {
        ConfigCommand::Check { settings, .. } | ConfigCommand::Print { settings, .. } => settings,
    };
    let configuration = load(arguments)?;
    for warning in &configuration.warnings {
        // When standard error is closed nobody wants to know.
        let _ = writeln!(io::stderr(), "{warning}");
    }
    let text = match command {
        ConfigCommand::Check { connect: false, .. } => "the settings are good\n".to_owned(),
        ConfigCommand::Check { connect: true, .. } => {
            format!("{}the settings are good\n", connect_check::run(&configuration.settings)?)
        }
        ConfigCommand::Print { describe, .. } => configuration.to_yaml(*describe),
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::output(&error))
}
