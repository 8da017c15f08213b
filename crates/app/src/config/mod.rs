//! Settings of a server: from defaults, then the YAML file, then the environment, then flags.
//!
//! `keys` is the table of all settings; `settings` their typed form. Every value knows its [`Origin`].
//! A key that does not exist, a value that does not fit, and a setting of a part that this build does not have are
//! errors that name the key and its place; nothing is guessed.

mod apply;
mod check;
#[cfg(test)]
mod documents;
mod env_file;
mod environment;
mod error;
#[cfg(test)]
mod fuzz_targets;
mod inputs;
mod keys;
mod lookup;
mod oidc;
mod origin;
mod print;
mod processing;
mod role;
mod settings;
mod sinks;
mod sinks_of_environment;
mod stream_retention;
mod written;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use apply::with_tenant_limits;
pub(crate) use error::{ConfigError, ConfigErrors};
pub(crate) use inputs::InputDescription;
pub(crate) use origin::Origin;
pub(crate) use processing::compile as compile_processing;
pub(crate) use role::WORKER;
pub(crate) use settings::{Retention, Settings};
pub(crate) use sinks::{Engine, SinkDescription};
pub(crate) use stream_retention::StreamRetention;

use apply::Also;
use sinks_of_environment::SwitchedSink;
use written::Written;
use yaml::Assignment;

/// Where settings are looked for.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The YAML file.
    pub(crate) file: Option<PathBuf>,
    /// The file of environment variables.
    pub(crate) env_file: Option<PathBuf>,
    /// The process's environment variables.
    pub(crate) environment: Vec<(String, String)>,
    /// Keys set by flags: the flag, the key, the value.
    pub(crate) flags: Vec<(&'static str, &'static str, String)>,
}

/// Settings, and where each came from.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// The settings.
    pub(crate) settings: Settings,
    /// What was left out, one sentence each.
    pub(crate) warnings: Vec<String>,
    /// The origins of all keys that somebody wrote, by path.
    origins: BTreeMap<String, Origin>,
}

/// A size in bytes as it is typed: `1048576`, `16MiB`, `2GB`. An error says what it must be.
pub(crate) fn parse_bytes(text: &str) -> Result<usize, String> {
    let bytes = Written::Text(text.to_owned()).bytes()?;
    usize::try_from(bytes).map_err(|_| format!("is {bytes}, which is more than this machine can count"))
}

impl Configuration {
    /// Reads all sources and checks that the settings go together.
    pub(crate) fn load(sources: Sources) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let mut file = Vec::new();
        match sources.file.as_deref().map(yaml::read) {
            Some(Ok((assignments, wrong))) => {
                file = assignments;
                errors.extend(wrong);
            }
            Some(Err(error)) => errors.push(error),
            None => {}
        }
        let variables = environment::gather(sources.environment.into_iter(), sources.env_file.as_deref())
            .unwrap_or_else(|error| {
                errors.push(error);
                Vec::new()
            });
        let environment = environment::interpret(&variables);
        errors.extend(environment.errors);
        let mut configuration =
            Self { settings: Settings::default(), warnings: environment.warnings, origins: BTreeMap::new() };
        let flags = sources.flags.into_iter().filter_map(|(flag, path, value)| {
            let segments: Vec<String> = path.split('.').map(str::to_owned).collect();
            let lookup::Lookup::Leaf(found) = lookup::lookup(&segments) else { return None };
            Some(Assignment { found, written: Written::Text(value), origin: Origin::Flag(flag) })
        });
        for layer in [file, environment.assignments, flags.collect()] {
            configuration.apply(layer, &mut errors);
        }
        match sinks_of_environment::switched(&variables, &configuration.settings.role) {
            Ok(switched) => configuration.switch_on(switched),
            Err(error) => errors.push(error),
        }
        role::take_part(&mut configuration.settings);
        check::derive(&mut configuration);
        errors.extend(configuration.refused_processing());
        errors.extend(check::refusals(&configuration.settings));
        if errors.is_empty() { Ok(configuration) } else { Err(ConfigErrors(errors)) }
    }

    /// Where the value of a key came from.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).cloned().unwrap_or(Origin::Default)
    }

    /// Adds the sinks that variables ask for and the file does not describe.
    fn switch_on(&mut self, switched: Vec<SwitchedSink>) {
        for SwitchedSink { name, description, input, origin } in switched {
            if let Some(input) = input {
                self.settings.inputs.entry(name.to_owned()).or_insert(input);
                self.origins.entry("inputs".to_owned()).or_insert(origin.clone());
            }
            self.settings.sinks.entry(name.to_owned()).or_insert(description);
            self.origins.entry("sinks".to_owned()).or_insert(origin);
        }
    }

    /// What is wrong with the rules of processing, which name sinks.
    fn refused_processing(&self) -> Option<ConfigError> {
        let reason = processing::refusal(&self.settings)?;
        let key = "processing".to_owned();
        Some(ConfigError::BadValue { origin: self.origin(&key), key, reason })
    }

    /// Applies one source, in the order of the keys: an address before the port that replaces its port.
    fn apply(&mut self, mut layer: Vec<Assignment>, errors: &mut Vec<ConfigError>) {
        layer.sort_by_key(|assignment| assignment.found.number);
        let mut written: BTreeMap<String, (Written, Origin)> = BTreeMap::new();
        for assignment in layer {
            let path = assignment.found.path();
            if assignment.written.is_empty() {
                continue;
            }
            if let Some((other, first)) = written.get(&path).filter(|(other, _)| *other != assignment.written)
            {
                let (first, second) = (Box::new(first.clone()), Box::new(assignment.origin));
                debug_assert_ne!(*other, assignment.written);
                errors.push(ConfigError::Conflict { key: path, first, second });
                continue;
            }
            match apply::set(&mut self.settings, &assignment.found, &assignment.written) {
                Ok(also) => {
                    if also == Also::Port {
                        self.origins.insert("port".to_owned(), assignment.origin.clone());
                    }
                    self.origins.insert(path.clone(), assignment.origin.clone());
                    written.insert(path, (assignment.written, assignment.origin));
                }
                Err(reason) => {
                    errors.push(ConfigError::BadValue { origin: assignment.origin, key: path, reason });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        yaml: &str,
        environment: &[(&str, &str)],
        flags: &[(&'static str, &'static str, &str)],
    ) -> Result<Configuration, String> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("t.yaml");
        std::fs::write(&file, yaml).expect("written");
        Configuration::load(Sources {
            file: Some(file),
            env_file: None,
            environment: environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            flags: flags.iter().map(|(flag, key, value)| (*flag, *key, (*value).to_owned())).collect(),
        })
        .map_err(|errors| errors.to_string().replace(&folder.path().display().to_string(), ""))
    }

    #[test]
    fn later_sources_win_and_every_value_knows_its_own() {
        let yaml = "data_dir: /file\nnode_id: file\nlog:\n  level: error\n";
        let environment = [("TIMBERYARD_NODE_ID", "environment"), ("TIMBERYARD_LOG_LEVEL", "warn")];
        let configuration = load(yaml, &environment, &[("--level", "log.level", "debug")]).expect("valid");
        let settings = &configuration.settings;
        assert_eq!(settings.data_dir, PathBuf::from("/file"));
        assert_eq!(settings.node_id, "environment");
        assert_eq!(settings.log.level, "debug");
        assert!(configuration.origin("data_dir").to_string().ends_with("t.yaml:1"));
        assert_eq!(configuration.origin("node_id").to_string(), "env TIMBERYARD_NODE_ID");
        assert_eq!(configuration.origin("log.level").to_string(), "flag --level");
        assert_eq!(configuration.origin("log.format").to_string(), "default");
    }

    #[test]
    fn a_port_alone_keeps_the_address() {
        for (yaml, environment, flag, expected) in [
            ("", &[][..], None, "127.0.0.1:8080"),
            ("server:\n  port: 3100\n", &[], None, "127.0.0.1:3100"),
            ("", &[("PORT", "9000")], None, "127.0.0.1:9000"),
            ("", &[("LOGPULSE_PORT", "9000")], None, "127.0.0.1:9000"),
            ("", &[("PORT", "9000"), ("TIMBERYARD_LISTEN", "127.0.0.2:1")], None, "127.0.0.2:9000"),
            ("server:\n  port: 3100\n", &[("TIMBERYARD_LISTEN", "127.0.0.2:1")], None, "127.0.0.2:1"),
            ("", &[("PORT", "9000")], Some("[::1]:7"), "[::1]:7"),
            ("", &[("PORT", "9000")], Some("localhost"), "127.0.0.1:9000"),
        ] {
            let flags: Vec<_> = flag.iter().map(|value| ("--listen", "listen", *value)).collect();
            let configuration = load(yaml, environment, &flags).expect("valid");
            assert_eq!(configuration.settings.listen().to_string(), expected);
        }
        assert_eq!(
            load("listen: nowhere\n", &[], &[]).expect_err("no address"),
            "/t.yaml:1: `listen` must be an address such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0, not `nowhere`"
        );
    }

    #[test]
    fn a_server_file_of_logpulse_is_taken_as_it_is() {
        let yaml = "server:\n  port: 8090\nstorage:\n  path: \"./logs\"\n  chunk_size_bytes: 1048576\n  retention_days: 7\n\
                    ingest:\n  buffer_size: 10000\nauth:\n  enabled: true\n  api_key: \"secret\"\n";
        let settings = load(yaml, &[], &[]).expect("valid").settings;
        assert_eq!(settings.listen().to_string(), "127.0.0.1:8090");
        assert_eq!(settings.data_dir, PathBuf::from("./logs"));
        assert_eq!(settings.store.block_bytes, 1 << 20);
        assert_eq!(settings.retention.days, Some(7));
        assert_eq!(settings.ingest.buffer_size, Some(10_000));
        assert!(settings.is_authenticated());
        let off = load("auth:\n  enabled: false\n  api_key: \"\"\n", &[], &[]).expect("valid").settings;
        assert!(!off.is_authenticated() && !off.has_keys());
    }

    #[test]
    fn all_errors_are_told_at_once() {
        let error =
            load("stroage: 1\nport: 99999\n", &[("KAFKA_BROKER", "http://k")], &[]).expect_err("three");
        assert_eq!(error.lines().count(), 3, "{error}");
    }

    #[test]
    fn a_key_and_its_alias_must_agree() {
        assert_eq!(
            load("data_dir: /a\nstorage:\n  path: /b\n", &[], &[]).expect_err("two"),
            "/t.yaml:1 and /t.yaml:3 both set `data_dir`, to different values; keep one"
        );
    }

    #[test]
    fn tenants_have_limits_of_their_own() {
        let yaml = "limits:\n  query:\n    series_max: 9\n    points_max: 8\n  tenants:\n    a.b:\n      query:\n        series_max: 7\n";
        let settings = load(yaml, &[], &[]).expect("valid").settings;
        let own = with_tenant_limits(&settings, "a.b").limits.query;
        assert_eq!((own.series_max, own.points_max, settings.limits.query.series_max), (7, 8, 9));
        for wrong in [
            "a/b:\n      query:\n        series_max: 7",
            "a:\n      query:\n        series_max: x",
            "a:\n      request:\n        json_depth_max: 1025",
            "a:\n      load:\n        requests_max: 7",
        ] {
            assert!(load(&format!("limits:\n  tenants:\n    {wrong}\n"), &[], &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_of_keys_that_holds_none_is_an_error() {
        let error = load("", &[("API_KEYS", ",")], &[]).expect_err("no key");
        assert!(error.contains("API_KEYS") && error.contains("auth.api_keys"), "{error}");
    }

    #[test]
    fn tenants_have_retention_of_their_own() {
        let yaml = "storage:\n  retention_days: 30\n  tenants:\n    acme:\n      retention_days: 7\n      retention_bytes: 1GiB\n";
        let settings = load(yaml, &[], &[]).expect("valid").settings;
        assert_eq!(settings.retention.days, Some(30));
        assert_eq!((settings.tenants["acme"].days, settings.tenants["acme"].bytes), (Some(7), Some(1 << 30)));
        assert!(load("storage:\n  tenants:\n    a/b:\n      retention_days: 7\n", &[], &[]).is_err());
    }
}
