//! Where a setting's value was written.

use std::fmt;
use std::path::PathBuf;

/// The place a value came from, so that errors and `config print` can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody wrote anything.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        name: String,
    },
    /// A line of the file given as `--env-file`.
    EnvironmentFile {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The variable's name.
        name: String,
    },
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { name } => write!(f, "env {name}"),
            Self::EnvironmentFile { path, line, name } => write!(f, "env {name} ({}:{line})", path.display()),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}
