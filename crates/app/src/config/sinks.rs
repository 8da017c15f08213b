//! Where logs go besides the embedded store, as it is written: a mapping of names to engines with their settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use timberyard_connectors::ByteSize;
use timberyard_connectors::clickhouse::ClickHouseSettings;
use timberyard_connectors::files::FilesSettings;
use timberyard_connectors::kafka::KafkaSinkSettings;
use timberyard_connectors::parquet::ParquetSettings;
use timberyard_connectors::postgres::PostgresSettings;
use timberyard_model::Surface;

use super::processing::value;
use super::settings::Settings;
use super::written::Written;

/// The name of the embedded store among the sinks.
pub(crate) const STORE: &str = "store";
/// The name of live tails among what rules can route to.
pub(crate) const TAIL: &str = "tail";

/// The longest name of a sink, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// All sinks that are written, by name.
pub(crate) type SinkDescriptions = BTreeMap<String, SinkDescription>;

/// One of them: exactly one engine, and what holds for every engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SinkDescription {
    /// Whether a sender's answer waits for it; else it gets what it can keep up with, through a spool on disk.
    pub(crate) required: bool,
    /// The ways in of what it gets; all when empty.
    pub(crate) surfaces: Vec<String>,
    /// Whether what came by these goes to no other required sink, the embedded store among them.
    pub(crate) exclusive: bool,
    /// The most that its spool holds on disk; past that, a best-effort sink loses rows, which are counted.
    pub(crate) spool_bytes_max: ByteSize,
    /// A table in ClickHouse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clickhouse: Option<ClickHouseSettings>,
    /// Files of lines of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<FilesSettings>,
    /// A topic of Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kafka: Option<KafkaSinkSettings>,
    /// Parquet files by tenant and hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parquet: Option<ParquetSettings>,
    /// Events in PostgreSQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<PostgresSettings>,
}

impl Default for SinkDescription {
    fn default() -> Self {
        Self {
            required: false,
            surfaces: Vec::new(),
            exclusive: false,
            spool_bytes_max: ByteSize(1 << 30),
            clickhouse: None,
            files: None,
            kafka: None,
            parquet: None,
            postgres: None,
        }
    }
}

/// The engine of a sink.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine<'a> {
    /// A table in ClickHouse.
    ClickHouse(&'a ClickHouseSettings),
    /// Files of lines of JSON.
    Files(&'a FilesSettings),
    /// A topic of Kafka.
    Kafka(&'a KafkaSinkSettings),
    /// Parquet files by tenant and hour.
    Parquet(&'a ParquetSettings),
    /// Events in PostgreSQL.
    Postgres(&'a PostgresSettings),
}

impl SinkDescription {
    /// Its engine; `read` and `environment` make none without one.
    pub(crate) fn engine(&self) -> Option<Engine<'_>> {
        self.engines().next()
    }

    fn engines(&self) -> impl Iterator<Item = Engine<'_>> {
        let clickhouse = self.clickhouse.iter().map(Engine::ClickHouse);
        let files = self.files.iter().map(Engine::Files);
        let kafka = self.kafka.iter().map(Engine::Kafka);
        let postgres = self.postgres.iter().map(Engine::Postgres);
        let parquet = self.parquet.iter().map(Engine::Parquet);
        clickhouse.chain(files).chain(kafka).chain(parquet).chain(postgres)
    }

    /// The ways in of what it gets; all when there are none.
    pub(crate) fn surfaces(&self) -> Vec<Surface> {
        // `check` has refused words that are none.
        self.surfaces.iter().filter_map(|name| name.parse().ok()).collect()
    }

    fn check(&self) -> Result<(), String> {
        let mut engines = self.engines();
        let engine = engines
            .next()
            .ok_or("has no engine: write one of clickhouse, files, kafka, parquet, postgres")?;
        if engines.next().is_some() {
            return Err("has more than one engine: give each a name of its own".to_owned());
        }
        for name in &self.surfaces {
            name.parse::<Surface>().map_err(|error| format!("surfaces: {error}"))?;
        }
        if self.exclusive && (self.surfaces.is_empty() || !self.required) {
            return Err("exclusive: is for a required sink with surfaces".to_owned());
        }
        match engine {
            Engine::ClickHouse(clickhouse) => {
                clickhouse.check().map_err(|reason| format!("clickhouse: {reason}"))
            }
            Engine::Files(files) => files.check().map_err(|reason| format!("files: {reason}")),
            Engine::Kafka(kafka) => kafka.check().map_err(|reason| format!("kafka: {reason}")),
            Engine::Parquet(_) if self.required => {
                Err("required: is not for Parquet files, which are copies: rows are in them later".to_owned())
            }
            Engine::Parquet(parquet) => parquet.check().map_err(|reason| format!("parquet: {reason}")),
            Engine::Postgres(_) if self.surfaces() != [Surface::Change66] => {
                Err("surfaces: PostgreSQL takes events alone: write `surfaces: [change66]`".to_owned())
            }
            Engine::Postgres(postgres) => postgres.check().map_err(|reason| format!("postgres: {reason}")),
        }
    }
}

/// What does not go together with other settings.
pub(super) fn refusals(settings: &Settings) -> Vec<String> {
    let mut refused = Vec::new();
    let keeps_everything = |sink: &SinkDescription| sink.required && sink.surfaces.is_empty();
    if !settings.keeps_logs && !settings.sinks.values().any(keeps_everything) {
        refused.push(
            "`store.embedded` is false, and no sink is required: logs would be acknowledged that nobody keeps"
                .to_owned(),
        );
    }
    if let Some(name) = &settings.query_source
        && !settings.sinks.contains_key(name)
    {
        refused.push(format!("`query.source`: there is no sink `{name}`"));
    }
    if let Some(name) = &settings.auth.store
        && settings.sinks.get(name).is_none_or(|sink| sink.postgres.is_none())
    {
        refused.push(format!("`auth.store`: there is no sink `{name}` with `postgres`"));
    }
    refused
}

/// Reads what is written: an error names the sink.
pub(super) fn read(written: &Written) -> Result<SinkDescriptions, String> {
    let Value::Object(sinks) = value(written) else {
        return Err("must be a mapping of names to sinks".to_owned());
    };
    sinks.into_iter().map(|(name, sink)| Ok((name.clone(), read_one(&name, sink)?))).collect()
}

/// Checks the name of a sink or an input.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Err(format!("a name is 1 to {NAME_BYTES_MAX} small letters, digits, `-` or `_`"));
    }
    Ok(())
}

fn read_one(name: &str, sink: Value) -> Result<SinkDescription, String> {
    check_name(name).map_err(|reason| format!("has a sink `{name}`: {reason}"))?;
    if [STORE, TAIL].contains(&name) {
        return Err(format!("has a sink `{name}`, which is a name of the server's own: choose another"));
    }
    let sink: SinkDescription =
        serde_json::from_value(sink).map_err(|error| format!("has a sink `{name}`: {error}"))?;
    sink.check().map_err(|reason| format!("has a sink `{name}`: {reason}"))?;
    Ok(sink)
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse_value;
    use super::*;

    fn read_text(text: &str) -> Result<SinkDescriptions, String> {
        read(&parse_value(text).expect("YAML"))
    }

    #[test]
    fn sinks_have_a_name_and_one_engine() {
        let sinks =
            read_text("archive:\n  files: {dir: /tmp/x}\n  spool_bytes_max: 2MiB\n  surfaces: [logtopus]\n")
                .expect("valid");
        let archive = &sinks["archive"];
        assert_eq!(archive.spool_bytes_max, ByteSize(2 << 20));
        assert_eq!(archive.surfaces(), [Surface::Logtopus]);
        assert!(matches!(archive.engine(), Some(Engine::Files(_))));
        let shown = serde_json::to_string(&sinks).expect("JSON");
        assert_eq!(read_text(&shown).expect("what is shown is the same"), sinks);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_sink() {
        for (text, named) in [
            ("7", "must be a mapping"),
            ("{Archive: {files: {dir: /x}}}", "sink `Archive`: a name is 1 to 64 small letters"),
            ("{store: {files: {dir: /x}}}", "sink `store`, which is a name of the server's own"),
            ("{a: {}}", "sink `a`: has no engine"),
            ("{a: {flies: {dir: /x}}}", "sink `a`: unknown field `flies`"),
            ("{a: {files: {dir: /x, dri: 1}}}", "unknown field `dri`"),
            ("{a: {files: {dir: /x}, surfaces: [lokki]}}", "`lokki`"),
            ("{a: {parquet: {folder: /x}, required: true}}", "required: is not for Parquet files"),
            ("{a: {parquet: {}}}", "parquet: folder: is missing"),
            ("{a: {files: {dir: /x}, exclusive: true}}", "exclusive: is for a required sink"),
            ("{a: {postgres: {host: db}}}", "PostgreSQL takes events alone"),
            ("{a: {postgres: {port: 0}, surfaces: [change66]}}", "postgres: port: must be"),
            ("{a: {files: {dir: /x}, postgres: {}}}", "more than one engine"),
        ] {
            let refused = read_text(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
