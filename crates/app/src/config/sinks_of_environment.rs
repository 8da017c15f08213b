//! Sinks that variables of the five systems switch on. Each is named after its engine; one of that name in the settings
//! file counts instead.

use std::path::PathBuf;

use timberyard_connectors::Password;
use timberyard_connectors::clickhouse::ClickHouseSettings;
use timberyard_connectors::files::FilesSettings;
use timberyard_connectors::kafka::{InputFormat, KafkaInputSettings, KafkaSinkSettings, MessageFormat};
use timberyard_connectors::postgres::PostgresSettings;
use timberyard_model::Surface;

use super::environment::Variable;
use super::error::ConfigError;
use super::inputs::InputDescription;
use super::origin::Origin;
use super::role;
use super::sinks::SinkDescription;
use super::written::Written;

/// Where Logtopus' file subscriber writes when nothing is said.
const FILE_LOG_DIR_DEFAULT: &str = "./logs";

/// LogStream's topic.
const LOGSTREAM_TOPIC: &str = "app-logs";

/// A sink that a variable asks for, and perhaps an input of the same name.
pub(super) struct SwitchedSink {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) description: SinkDescription,
    /// What is read besides.
    pub(super) input: Option<InputDescription>,
    /// The variable.
    pub(super) origin: Origin,
}

/// All of them, for a server of that role.
///
/// # Errors
/// Variables with values that cannot be.
pub(super) fn switched(variables: &[Variable], role: &str) -> Result<Vec<SwitchedSink>, ConfigError> {
    let variables = Variables(variables);
    let found = [variables.clickhouse()?, variables.files()?, variables.kafka(role)?, variables.postgres()?];
    Ok(found.into_iter().flatten().collect())
}

struct Variables<'a>(&'a [Variable]);

impl<'a> Variables<'a> {
    /// A variable that says something.
    fn get(&self, name: &str) -> Option<&'a Variable> {
        self.0.iter().find(|variable| variable.name == name && !variable.value.trim().is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|variable| variable.value.trim().to_owned())
    }

    /// The variable, when it says `true`.
    fn switch(&self, name: &str) -> Result<Option<&'a Variable>, ConfigError> {
        let Some(variable) = self.get(name) else { return Ok(None) };
        match Written::Text(variable.value.clone()).switch() {
            Ok(is_on) => Ok(is_on.then_some(variable)),
            Err(reason) => Err(ConfigError::BadValue {
                origin: variable.origin.clone(),
                key: variable.name.clone(),
                reason,
            }),
        }
    }

    /// Copies in ClickHouse: Logtopus' subscriber, LogStream's table.
    fn clickhouse(&self) -> Result<Option<SwitchedSink>, ConfigError> {
        let switch = self.switch("ENABLE_CLICKHOUSE")?;
        let Some(variable) = switch.or_else(|| self.get("CLICKHOUSE_HOST")) else { return Ok(None) };
        let bad = |variable: &Variable, reason: String| ConfigError::BadValue {
            origin: variable.origin.clone(),
            key: variable.name.clone(),
            reason,
        };
        let mut clickhouse = ClickHouseSettings::default();
        for address in ["CLICKHOUSE_DSN", "CLICKHOUSE_HOST"].into_iter().filter_map(|name| self.get(name)) {
            clickhouse.take_address(address.value.trim()).map_err(|reason| bad(address, reason))?;
        }
        for (name, setting) in
            [("CLICKHOUSE_DB", &mut clickhouse.database), ("CLICKHOUSE_USER", &mut clickhouse.user)]
        {
            *setting = self.text(name).unwrap_or_else(|| std::mem::take(setting));
        }
        if let Some(layout) = self.get("CLICKHOUSE_LAYOUT") {
            clickhouse.layout = layout.value.trim().parse().map_err(|reason| bad(layout, reason))?;
        }
        // A password may begin or end with a blank.
        if let Some(password) = self.get("CLICKHOUSE_PASSWORD") {
            clickhouse.password = Password::new(&*password.value);
        }
        clickhouse.check().map_err(|reason| bad(variable, reason))?;
        let description = SinkDescription { clickhouse: Some(clickhouse), ..SinkDescription::default() };
        Ok(Some(SwitchedSink {
            name: "clickhouse",
            description,
            input: None,
            origin: variable.origin.clone(),
        }))
    }

    fn files(&self) -> Result<Option<SwitchedSink>, ConfigError> {
        let Some(variable) = self.switch("ENABLE_FILE_LOGGING")? else { return Ok(None) };
        let dir = self.text("FILE_LOG_DIR").unwrap_or_else(|| FILE_LOG_DIR_DEFAULT.to_owned());
        let files = FilesSettings { dir: PathBuf::from(dir), ..FilesSettings::default() };
        let description = SinkDescription { files: Some(files), ..SinkDescription::default() };
        Ok(Some(SwitchedSink { name: "files", description, input: None, origin: variable.origin.clone() }))
    }

    /// LogStream's logs go to its topic, and are read from there; all others do not. A server that takes in for others sends
    /// everything, in the form that loses nothing.
    fn kafka(&self, role: &str) -> Result<Option<SwitchedSink>, ConfigError> {
        let Some(variable) = self.get("KAFKA_BROKER") else { return Ok(None) };
        let takes_in = role == role::INGEST;
        let sink = KafkaSinkSettings {
            brokers: variable.value.trim().to_owned(),
            topic: LOGSTREAM_TOPIC.to_owned(),
            format: if takes_in { MessageFormat::Batch } else { MessageFormat::Logstream },
            ..KafkaSinkSettings::default()
        };
        sink.check().map_err(|reason| ConfigError::BadValue {
            origin: variable.origin.clone(),
            key: variable.name.clone(),
            reason,
        })?;
        let input = KafkaInputSettings {
            brokers: sink.brokers.clone(),
            topics: vec![LOGSTREAM_TOPIC.to_owned()],
            format: InputFormat::Logstream,
            ..KafkaInputSettings::default()
        };
        let surfaces = if takes_in { Vec::new() } else { vec![Surface::Logstream.name().to_owned()] };
        Ok(Some(SwitchedSink {
            name: "kafka",
            description: SinkDescription {
                required: true,
                exclusive: !takes_in,
                surfaces,
                kafka: Some(sink),
                ..SinkDescription::default()
            },
            input: Some(InputDescription { kafka: Some(input) }),
            origin: variable.origin.clone(),
        }))
    }

    /// The database of Change66: its events go there, and nowhere else.
    fn postgres(&self) -> Result<Option<SwitchedSink>, ConfigError> {
        let Some(variable) = self.get("DB_HOST").or_else(|| self.get("DB_PASSWORD")) else { return Ok(None) };
        let mut postgres = PostgresSettings::default();
        for (name, setting) in [
            ("DB_HOST", &mut postgres.host),
            ("DB_NAME", &mut postgres.database),
            ("DB_USER", &mut postgres.user),
        ] {
            *setting = self.text(name).unwrap_or_else(|| std::mem::take(setting));
        }
        // A password may begin or end with a blank.
        if let Some(password) = self.get("DB_PASSWORD") {
            postgres.password = Password::new(&*password.value);
        }
        let bad = |variable: &Variable, reason: String| ConfigError::BadValue {
            origin: variable.origin.clone(),
            key: variable.name.clone(),
            reason,
        };
        if let Some(port) = self.get("DB_PORT") {
            let number = port.value.trim().parse();
            postgres.port = number.map_err(|_| bad(port, "must be a port, 1 to 65535".to_owned()))?;
        }
        postgres.check().map_err(|reason| bad(variable, reason))?;
        let description = SinkDescription {
            required: true,
            surfaces: vec![Surface::Change66.to_string()],
            exclusive: true,
            postgres: Some(postgres),
            ..SinkDescription::default()
        };
        Ok(Some(SwitchedSink { name: "postgres", description, input: None, origin: variable.origin.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switched_by(variables: &[(&str, &str)]) -> Result<Vec<SwitchedSink>, String> {
        let variable = |(name, value): &(&str, &str)| Variable {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            origin: Origin::Environment { name: (*name).to_owned() },
        };
        let variables: Vec<Variable> = variables.iter().map(variable).collect();
        switched(&variables, role::ALL).map_err(|error| error.to_string())
    }

    #[test]
    fn logtopus_switches_files_on() {
        let sinks = switched_by(&[("ENABLE_FILE_LOGGING", "true"), ("FILE_LOG_DIR", "/sessions")]);
        let sinks = sinks.expect("valid");
        assert_eq!(sinks[0].name, "files");
        assert_eq!(sinks[0].description.files.as_ref().expect("files").dir, PathBuf::from("/sessions"));
        assert!(!sinks[0].description.required);
        assert!(switched_by(&[("ENABLE_FILE_LOGGING", "false")]).expect("valid").is_empty());
        assert!(switched_by(&[("FILE_LOG_DIR", "/sessions")]).expect("valid").is_empty());
        let refused = switched_by(&[("ENABLE_FILE_LOGGING", "maybe")]).err().expect("no switch");
        assert!(refused.contains("ENABLE_FILE_LOGGING"), "{refused}");
    }

    #[test]
    fn logtopus_and_logstream_switch_clickhouse_on() {
        let details = [("CLICKHOUSE_DSN", "clickhouse://me:hush@ch:9000/logs"), ("CLICKHOUSE_USER", "you")];
        assert!(switched_by(&details).expect("valid").is_empty(), "details alone ask for nothing");
        let sinks = switched_by(&[&details[..], &[("ENABLE_CLICKHOUSE", "true")]].concat()).expect("valid");
        let clickhouse = sinks[0].description.clickhouse.as_ref().expect("clickhouse");
        assert_eq!((&*clickhouse.url, &*clickhouse.database), ("http://ch:8123", "logs"));
        assert_eq!((&*clickhouse.user, clickhouse.password.reveal()), ("you", "hush"));
        let sinks = switched_by(&[("CLICKHOUSE_HOST", "http://ch:8123"), ("CLICKHOUSE_PASSWORD", " p ")]);
        let clickhouse = sinks.expect("valid").remove(0).description.clickhouse.expect("clickhouse");
        assert_eq!((&*clickhouse.url, clickhouse.password.reveal()), ("http://ch:8123", " p "));
        let sinks = switched_by(&[("CLICKHOUSE_HOST", "ch"), ("CLICKHOUSE_LAYOUT", "logstream")]);
        let clickhouse = sinks.expect("valid").remove(0).description.clickhouse.expect("clickhouse");
        assert_eq!(clickhouse.table(), "app_logs");
        let refused = switched_by(&[("CLICKHOUSE_HOST", "ch"), ("CLICKHOUSE_LAYOUT", "mine")]).err();
        assert!(refused.expect("no layout").contains("`mine` is not timberyard, logstream or logtopus"));
        let refused = switched_by(&[("CLICKHOUSE_HOST", "ftp://ch")]).err().expect("no address");
        assert!(refused.contains("CLICKHOUSE_HOST"), "{refused}");
    }

    #[test]
    fn change66_switches_its_database_on() {
        let sinks = switched_by(&[
            ("DB_HOST", "db"),
            ("DB_PORT", "5433"),
            ("DB_PASSWORD", " hush "),
            ("DB_NAME", "logs"),
        ]);
        let sinks = sinks.expect("valid");
        let description = &sinks[0].description;
        assert_eq!((sinks[0].name, description.required, description.exclusive), ("postgres", true, true));
        assert_eq!(description.surfaces(), [Surface::Change66]);
        let postgres = description.postgres.as_ref().expect("a database");
        assert_eq!(postgres.address(), "db:5433/logs");
        assert_eq!(postgres.password.reveal(), " hush ");
        assert!(switched_by(&[("DB_NAME", "logs"), ("DB_PORT", "x")]).expect("no database").is_empty());
        let refused = switched_by(&[("DB_HOST", "db"), ("DB_PORT", "x")]).err().expect("no port");
        assert!(refused.contains("DB_PORT"), "{refused}");
    }

    #[test]
    fn logstreams_logs_go_through_its_topic() {
        let sinks = switched_by(&[("KAFKA_BROKER", "kafka:9092")]).expect("valid");
        let (sink, input) = (&sinks[0].description, sinks[0].input.as_ref().expect("an input"));
        assert!(sink.required && sink.exclusive);
        assert_eq!(sink.surfaces, ["logstream"]);
        assert_eq!(sink.kafka.as_ref().expect("kafka").format, MessageFormat::Logstream);
        assert_eq!(input.kafka.as_ref().expect("kafka").topics, ["app-logs"]);
        let refused = switched_by(&[("KAFKA_BROKER", "http://kafka")]).err().expect("no broker");
        assert!(refused.contains("KAFKA_BROKER") && refused.contains("HOST:PORT"), "{refused}");
    }
}
