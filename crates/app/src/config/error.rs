//! What can be wrong with a configuration; every error names the key or variable and its place.

use std::path::PathBuf;

use super::origin::Origin;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A file could not be read.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// A file is not what it should be.
    #[error("{}:{line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A key or variable that does not exist.
    #[error("{origin}: unknown {kind} `{name}`{}", suggestion(nearest.as_deref()))]
    Unknown {
        /// Where it stands.
        origin: Origin,
        /// `key` or `variable`.
        kind: &'static str,
        /// The name as written.
        name: String,
        /// A name that exists and looks like it.
        nearest: Option<String>,
    },
    /// A value that does not fit its key.
    #[error("{origin}: `{key}` {reason}")]
    BadValue {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// What it must be, and what it is.
        reason: String,
    },
    /// The setting of a part that this build does not have.
    #[error(
        "{origin}: `{name}` asks for {part}, which this build does not have; remove it or leave it empty"
    )]
    Missing {
        /// Where it stands.
        origin: Origin,
        /// The key or variable.
        name: String,
        /// The part.
        part: &'static str,
    },
    /// Two values of equal rank.
    #[error("{first} and {second} both set `{key}`, to different values; keep one")]
    Conflict {
        /// The key.
        key: String,
        /// One place.
        first: Box<Origin>,
        /// The other.
        second: Box<Origin>,
    },
    /// Values that do not go together.
    #[error("{0}")]
    Refused(String),
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Everything that is wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigErrors(pub(crate) Vec<ConfigError>);

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The name among `names` that `name` was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let distance_max = (name.len() / 4).clamp(1, 3);
    names
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, known)| known.to_owned())
}
