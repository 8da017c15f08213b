//! Reads settings from environment variables: `TIMBERYARD_…` of every key, and those of the five systems.
//!
//! An empty variable says nothing. Those that switch a sink on, or describe one (its user, its folder), are read by
//! `sinks_of_environment`.

use std::collections::BTreeMap;
use std::path::Path;

use super::env_file;
use super::error::{ConfigError, nearest};
use super::keys::KEYS;
use super::lookup::{Found, Lookup, lookup};
use super::origin::Origin;
use super::written::Written;
use super::yaml::Assignment;

/// What begins the name of every variable of our own.
const PREFIX: &str = "TIMBERYARD_";

/// Names, and beginnings of names, that are left to test and benchmark drivers: a server they start inherits them.
const DRIVERS: [&str; 4] = ["TIMBERYARD_BIN", "TIMBERYARD_TORTURE", "TIMBERYARD_TEST_", "TIMBERYARD_BENCH_"];

/// What a variable of the five systems means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The value of a key.
    Sets(&'static str),
    /// The value of a key in bytes, written in MiB.
    SetsMebibytes(&'static str),
    /// A detail of a sink, or what switches one on: `sinks_of_environment` reads it.
    OfSink,
    /// A detail of a client: says nothing to a server.
    Describes,
}

/// The variables of the five systems, and those of the commands that talk to a server.
pub(crate) const FOREIGN: [(&str, Meaning); 36] = [
    ("PORT", Meaning::Sets("port")),
    ("AUTH_SECRET", Meaning::Sets("auth.secret")),
    ("ENABLE_FILE_LOGGING", Meaning::OfSink),
    ("FILE_LOG_DIR", Meaning::OfSink),
    ("ENABLE_CLICKHOUSE", Meaning::OfSink),
    ("CLICKHOUSE_DB", Meaning::OfSink),
    ("CLICKHOUSE_USER", Meaning::OfSink),
    ("CLICKHOUSE_PASSWORD", Meaning::OfSink),
    ("CLICKHOUSE_DSN", Meaning::OfSink),
    ("CLICKHOUSE_HOST", Meaning::OfSink),
    ("CLICKHOUSE_LAYOUT", Meaning::OfSink),
    ("LOGPULSE_PORT", Meaning::Sets("port")),
    ("LOGPULSE_STORAGE_PATH", Meaning::Sets("data_dir")),
    ("LOGPULSE_API_KEY", Meaning::Sets("auth.api_key")),
    ("LOGPULSE_SERVER_URL", Meaning::Describes),
    ("KAFKA_BROKER", Meaning::OfSink),
    ("DB_HOST", Meaning::OfSink),
    ("DB_PORT", Meaning::OfSink),
    ("DB_NAME", Meaning::OfSink),
    ("DB_USER", Meaning::OfSink),
    ("DB_PASSWORD", Meaning::OfSink),
    ("API_KEYS", Meaning::Sets("auth.api_keys")),
    ("RATE_LIMIT_REQUESTS_PER_MINUTE", Meaning::Sets("limits.rate.requests_per_minute")),
    ("RATE_LIMIT_BURST", Meaning::Sets("limits.rate.burst")),
    ("MAX_BATCH_SIZE", Meaning::Sets("limits.request.events_max")),
    ("WORKER_POOL_SIZE", Meaning::Sets("query.workers")),
    ("MAX_REQUEST_SIZE_MB", Meaning::SetsMebibytes("limits.request.body_bytes_max")),
    ("REQUEST_TIMEOUT_SECONDS", Meaning::Sets("limits.request.timeout_seconds")),
    ("ENABLE_CORS", Meaning::Sets("cors.enabled")),
    ("ALLOWED_ORIGINS", Meaning::Sets("cors.allowed_origins")),
    ("TIMBERYARD_URL", Meaning::Describes),
    ("TIMBERYARD_API_KEY", Meaning::Describes),
    ("TIMBERYARD_TENANT", Meaning::Describes),
    ("TIMBERYARD_CA_FILE", Meaning::Describes),
    ("TIMBERYARD_CLIENT_CERT_FILE", Meaning::Describes),
    ("TIMBERYARD_CLIENT_KEY_FILE", Meaning::Describes),
];

/// A variable with its value.
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
    /// Where it was set.
    pub(crate) origin: Origin,
}

/// What the variables say.
#[derive(Default)]
pub(crate) struct Reading {
    /// Keys and their values.
    pub(crate) assignments: Vec<Assignment>,
    /// What was left out, one sentence each.
    pub(crate) warnings: Vec<String>,
    /// What is wrong.
    pub(crate) errors: Vec<ConfigError>,
}

/// The process's variables over those of the env file: the process's win.
pub(crate) fn gather(
    process: impl Iterator<Item = (String, String)>,
    file: Option<&Path>,
) -> Result<Vec<Variable>, ConfigError> {
    let mut variables = BTreeMap::new();
    if let Some(path) = file {
        for line in env_file::read(path)? {
            let origin =
                Origin::EnvironmentFile { path: path.to_owned(), line: line.number, name: line.name.clone() };
            variables.insert(line.name.clone(), Variable { name: line.name, value: line.value, origin });
        }
    }
    for (name, value) in process {
        let origin = Origin::Environment { name: name.clone() };
        variables.insert(name.clone(), Variable { name, value, origin });
    }
    Ok(variables.into_values().collect())
}

/// What the variables mean. For one key, `TIMBERYARD_…` counts before the variable of another system;
/// two systems' variables that disagree are an error.
pub(crate) fn interpret(variables: &[Variable]) -> Reading {
    let mut reading = Reading::default();
    let mut own = Vec::new();
    let mut foreign: Vec<Assignment> = Vec::new();
    for variable in variables.iter().filter(|variable| !variable.value.trim().is_empty()) {
        if let Some(found) = own_key(&variable.name) {
            own.push(assignment(found, &variable.value, variable));
        } else if let Some((_, meaning)) = FOREIGN.iter().find(|(name, _)| *name == variable.name) {
            match apply_meaning(*meaning, variable) {
                Ok(Some(assignment)) => foreign.push(assignment),
                Ok(None) => {}
                Err(error) => reading.errors.push(error),
            }
        } else {
            reading.unknown(variable);
        }
    }
    for assignment in foreign {
        let is_same = |other: &&Assignment| other.found.number == assignment.found.number;
        if own.iter().any(|other| is_same(&other)) {
            continue;
        }
        match reading.assignments.iter().find(is_same) {
            Some(other) if other.written != assignment.written => {
                reading.errors.push(ConfigError::Conflict {
                    key: assignment.found.path(),
                    first: Box::new(other.origin.clone()),
                    second: Box::new(assignment.origin),
                });
            }
            Some(_) => {}
            None => reading.assignments.push(assignment),
        }
    }
    reading.assignments.extend(own);
    reading
}

impl Reading {
    fn unknown(&mut self, variable: &Variable) {
        let name = variable.name.as_str();
        let is_own = name.starts_with(PREFIX) && !DRIVERS.iter().any(|beginning| name.starts_with(beginning));
        let is_from_file = matches!(variable.origin, Origin::EnvironmentFile { .. });
        if is_own {
            let names: Vec<String> = KEYS.iter().filter_map(super::keys::Key::variable).collect();
            self.errors.push(ConfigError::Unknown {
                origin: variable.origin.clone(),
                kind: "variable",
                name: name.to_owned(),
                nearest: nearest(name, names.iter().map(String::as_str)),
            });
        } else if is_from_file {
            // Such a file is written for us, but other tools' variables may stand beside ours.
            match nearest(name, FOREIGN.iter().map(|(known, _)| *known)) {
                Some(meant) => self.errors.push(ConfigError::Unknown {
                    origin: variable.origin.clone(),
                    kind: "variable",
                    name: name.to_owned(),
                    nearest: Some(meant),
                }),
                None => self.warnings.push(format!("{}: says nothing to a server", variable.origin)),
            }
        }
    }
}

fn own_key(name: &str) -> Option<Found> {
    KEYS.iter()
        .position(|key| key.variable().as_deref() == Some(name))
        .map(|number| Found { number, tenant: None })
}

fn assignment(found: Found, value: &str, variable: &Variable) -> Assignment {
    Assignment { found, written: Written::Text(value.to_owned()), origin: variable.origin.clone() }
}

fn apply_meaning(meaning: Meaning, variable: &Variable) -> Result<Option<Assignment>, ConfigError> {
    let bad = |reason| ConfigError::BadValue {
        origin: variable.origin.clone(),
        key: variable.name.clone(),
        reason,
    };
    let written = Written::Text(variable.value.clone());
    match meaning {
        Meaning::Sets(path) => Ok(find(path).map(|found| assignment(found, &variable.value, variable))),
        Meaning::SetsMebibytes(path) => {
            let bytes = written
                .count()
                .and_then(|count| count.checked_mul(1 << 20).ok_or_else(|| "is too large".to_owned()))
                .map_err(bad)?;
            Ok(find(path).map(|found| assignment(found, &bytes.to_string(), variable)))
        }
        Meaning::OfSink | Meaning::Describes => Ok(None),
    }
}

fn find(path: &str) -> Option<Found> {
    match lookup(&path.split('.').map(str::to_owned).collect::<Vec<_>>()) {
        Lookup::Leaf(found) => Some(found),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)]) -> String {
        let process = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let reading = interpret(&gather(process, None).expect("no file"));
        let set = reading
            .assignments
            .iter()
            .map(|a| format!("{} = {} ({})\n", a.found.path(), a.written.scalar().expect("text"), a.origin));
        let wrong = reading.errors.iter().map(|error| format!("{error}\n"));
        set.chain(wrong).collect()
    }

    #[test]
    fn every_variable_of_the_five_systems_that_sets_a_key_names_one_that_exists() {
        for (name, meaning) in FOREIGN {
            if let Meaning::Sets(path) | Meaning::SetsMebibytes(path) = meaning {
                assert!(find(path).is_some(), "{name} sets {path}");
            }
        }
    }

    #[test]
    fn each_variable_sets_its_key() {
        for (variable, value, expected) in [
            ("PORT", "9000", "port = 9000 (env PORT)\n"),
            ("LOGPULSE_PORT", "9000", "port = 9000 (env LOGPULSE_PORT)\n"),
            ("LOGPULSE_STORAGE_PATH", "/d", "data_dir = /d (env LOGPULSE_STORAGE_PATH)\n"),
            ("LOGPULSE_API_KEY", "k", "auth.api_key = k (env LOGPULSE_API_KEY)\n"),
            ("LOGPULSE_SERVER_URL", "http://x", ""),
            ("AUTH_SECRET", "s", "auth.secret = s (env AUTH_SECRET)\n"),
            ("API_KEYS", "a,b", "auth.api_keys = a,b (env API_KEYS)\n"),
            ("MAX_BATCH_SIZE", "10", "limits.request.events_max = 10 (env MAX_BATCH_SIZE)\n"),
            ("WORKER_POOL_SIZE", "3", "query.workers = 3 (env WORKER_POOL_SIZE)\n"),
            (
                "MAX_REQUEST_SIZE_MB",
                "2",
                "limits.request.body_bytes_max = 2097152 (env MAX_REQUEST_SIZE_MB)\n",
            ),
            (
                "REQUEST_TIMEOUT_SECONDS",
                "9",
                "limits.request.timeout_seconds = 9 (env REQUEST_TIMEOUT_SECONDS)\n",
            ),
            (
                "RATE_LIMIT_REQUESTS_PER_MINUTE",
                "100",
                "limits.rate.requests_per_minute = 100 (env RATE_LIMIT_REQUESTS_PER_MINUTE)\n",
            ),
            ("RATE_LIMIT_BURST", "10", "limits.rate.burst = 10 (env RATE_LIMIT_BURST)\n"),
            ("ENABLE_CORS", "true", "cors.enabled = true (env ENABLE_CORS)\n"),
            ("ALLOWED_ORIGINS", "https://a", "cors.allowed_origins = https://a (env ALLOWED_ORIGINS)\n"),
            ("TIMBERYARD_LISTEN", "0.0.0.0", "listen = 0.0.0.0 (env TIMBERYARD_LISTEN)\n"),
            (
                "TIMBERYARD_LIMITS_QUERY_SERIES_MAX",
                "2000",
                "limits.query.series_max = 2000 (env TIMBERYARD_LIMITS_QUERY_SERIES_MAX)\n",
            ),
            (
                "TIMBERYARD_LIMITS_RECORD_LABEL_VALUES_MAX",
                "0",
                "limits.record.label_values_max = 0 (env TIMBERYARD_LIMITS_RECORD_LABEL_VALUES_MAX)\n",
            ),
            ("HOME", "/root", ""),
            ("PORT", "", ""),
            ("ENABLE_CLICKHOUSE", "false", ""),
            ("ENABLE_FILE_LOGGING", "0", ""),
            ("CLICKHOUSE_DSN", "clickhouse://x", ""),
            ("CLICKHOUSE_DB", "logs", ""),
            ("CLICKHOUSE_LAYOUT", "logtopus", ""),
            ("CLICKHOUSE_USER", "u", ""),
            ("CLICKHOUSE_PASSWORD", "p", ""),
            ("FILE_LOG_DIR", "/logs", ""),
            ("DB_PORT", "5432", ""),
            ("DB_NAME", "logs", ""),
            ("DB_USER", "u", ""),
            ("KAFKA_BROKER", "", ""),
        ] {
            assert_eq!(check(&[(variable, value)]), expected, "{variable}");
        }
    }

    #[test]
    fn unknown_variables_of_our_own_are_errors_and_those_of_test_drivers_are_not() {
        assert_eq!(
            check(&[("TIMBERYARD_LISTN", "x"), ("TIMBERYARD_TEST_PORT", "1"), ("TIMBERYARD_URL", "u")]),
            "env TIMBERYARD_LISTN: unknown variable `TIMBERYARD_LISTN`; did you mean `TIMBERYARD_LISTEN`?\n"
        );
    }

    #[test]
    fn our_own_variable_wins_and_two_others_must_agree() {
        assert_eq!(
            check(&[("PORT", "1"), ("LOGPULSE_PORT", "2"), ("TIMBERYARD_PORT", "3")]),
            "port = 3 (env TIMBERYARD_PORT)\n"
        );
        assert_eq!(
            check(&[("PORT", "1"), ("LOGPULSE_PORT", "2")]),
            "port = 2 (env LOGPULSE_PORT)\n\
             env LOGPULSE_PORT and env PORT both set `port`, to different values; keep one\n"
        );
    }
}
