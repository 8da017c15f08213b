//! The program's own log: standard error, as text or JSON. Nothing that is logged holds a key or a secret.

use tracing_subscriber::EnvFilter;

use crate::config::{Configuration, Origin};
use crate::failure::Failure;

/// Starts logging. `RUST_LOG` counts when no level is written.
pub(crate) fn start(configuration: &Configuration) -> Result<(), Failure> {
    let log = &configuration.settings.log;
    let from_environment = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let level = match (configuration.origin("log.level"), from_environment) {
        (Origin::Default, Some(filter)) => filter,
        _ => log.level.clone(),
    };
    let filter = EnvFilter::try_new(&level)
        .map_err(|error| Failure::usage(format!("`log.level` is `{level}`: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if log.format == "json" {
        builder.json().try_init()
    } else {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        builder.with_ansi(is_terminal).try_init()
    };
    started.map_err(|error| Failure::new(format!("logging cannot start: {error}")))
}
