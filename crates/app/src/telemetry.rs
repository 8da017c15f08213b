//! The program's own log: standard error, as text or JSON. Nothing that is logged holds a key or a secret.

use tracing_subscriber::EnvFilter;

use crate::config::{Configuration, Origin};
use crate::failure::Failure;

/// The levels that a filter may name.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Fails on a filter that does not parse, and on a word that is no level: the library would take that for the name of
/// a part of the program, and log nothing else.
pub(crate) fn check_filter(text: &str) -> Result<(), String> {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let mut words = text.split(',').map(str::trim).filter(|word| !word.contains('='));
    if let Some(word) = words.find(|word| !is_level(word)) {
        return Err(format!(
            "`{word}` is no level: write one of {}, or PART=LEVEL such as timberyard_store=debug",
            LEVELS.join(", ")
        ));
    }
    EnvFilter::try_new(text).map(drop).map_err(|error| format!("`{text}`: {error}"))
}

/// Starts logging. `RUST_LOG` counts when no level is written.
pub(crate) fn start(configuration: &Configuration) -> Result<(), Failure> {
    let log = &configuration.settings.log;
    let from_environment = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let level = match (configuration.origin("log.level"), from_environment) {
        (Origin::Default, Some(filter)) => filter,
        _ => log.level.clone(),
    };
    start_with(&level, if log.format == "json" { Form::Json } else { Form::Text })
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Starts logging at a level.
pub(crate) fn start_with(level: &str, form: Form) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| Failure::usage(format!("the log level is `{level}`: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if form == Form::Json {
        builder.json().try_init()
    } else {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        builder.with_ansi(is_terminal).try_init()
    };
    started.map_err(|error| Failure::new(format!("logging cannot start: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for filter in ["info", "WARN", "off", "info,timberyard_store=debug", "hyper=trace, error"] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
        for filter in ["loud", "", "info,verbose", "timberyard=loud", "info,="] {
            assert!(check_filter(filter).is_err(), "{filter}");
        }
    }
}
