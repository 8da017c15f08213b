//! The agent's file of settings: YAML, unknown keys are errors. LogPulse's agent file is one as it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use timberyard_model::labels::is_label_name;
use timberyard_pipeline::process::description::StepDescription;

pub use crate::encoding::Encoding;
pub use crate::format::Format;
pub use crate::line_time::LineTimeSettings;
pub use crate::multiline::{MultilineSettings, Preset};

/// Everything an agent is told. Sizes are in bytes, times in milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// The server; the environment's when neither this nor `servers` is there.
    pub server: Option<ServerSettings>,
    /// Servers in the order of preference, instead of `server`.
    #[serde(default)]
    pub servers: Vec<ServerSettings>,
    /// Where Kubernetes is asked for the labels of pods.
    #[serde(default)]
    pub kubernetes: KubernetesSettings,
    /// Where the agent writes down how far it has come.
    #[serde(default = "positions_file")]
    pub positions_file: PathBuf,
    /// What is read.
    pub targets: Vec<TargetSettings>,
    /// Labels of everything.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What is done to all lines.
    #[serde(default)]
    pub steps: Vec<StepDescription>,
    /// How requests are made up.
    #[serde(default)]
    pub batch: BatchSettings,
    /// Where standard input and the journal are kept until they are sent.
    #[serde(default)]
    pub buffer: BufferSettings,
    /// The longest line; longer ones are sent in parts.
    #[serde(default = "line_bytes_max")]
    pub line_bytes_max: usize,
    /// How often folders are looked through when the system does not tell of changes, and for what it did not tell.
    #[serde(default = "poll_ms")]
    pub poll_ms: u64,
    /// Where the status page is served, on a loopback address; nowhere when it is absent.
    pub status_listen: Option<std::net::SocketAddr>,
}

/// The path that stands for standard input.
pub(crate) const STDIN: &str = "-";

/// A server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Its root, `http://HOST:PORT`.
    pub url: String,
    /// The API key; the environment's when it is absent.
    pub api_key: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
}

/// Files that are read in the same way.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSettings {
    /// A pattern: `*` and `?` within a name, `**` for any folders, `[ab]`, `{a,b}`; `-` is standard input.
    #[serde(default)]
    pub path: String,
    /// The journal of this machine, instead of `path`.
    pub journal: Option<JournalSettings>,
    /// Whether the path is that of a buffer.
    #[serde(skip)]
    pub(crate) spooled: bool,
    /// Patterns of files that are not read.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Labels of their lines.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The label that has the file's path; empty for none.
    #[serde(default = "path_label")]
    pub path_label: String,
    /// What a line is.
    #[serde(default)]
    pub format: Format,
    /// What its bytes are.
    #[serde(default)]
    pub encoding: Encoding,
    /// How lines are joined.
    pub multiline: Option<MultilineSettings>,
    /// Whether the path says namespace, pod and container, which become labels.
    #[serde(default)]
    pub kubernetes: bool,
    /// Labels of the pod that become labels of its lines: the name here, then that in Kubernetes, which is asked for it.
    #[serde(default)]
    pub pod_labels: BTreeMap<String, String>,
    /// What is done to lines, in this order, in the words of servers; then the steps of the agent.
    #[serde(default)]
    pub steps: Vec<StepDescription>,
    /// The field that says the time of a line; the time of reading, or the runtime's, when it is absent.
    pub time: Option<LineTimeSettings>,
    /// Where files begin that are there when the agent starts for the first time.
    #[serde(default)]
    pub start: Start,
}

/// Where the API of Kubernetes is; what is absent is as a pod finds it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KubernetesSettings {
    /// Its root, `https://HOST:PORT`; that of `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    pub api: Option<String>,
    /// The file of the token, read for each question; the service account's.
    pub token_file: Option<PathBuf>,
    /// The file of certificates to believe; the service account's.
    pub ca_file: Option<PathBuf>,
}

/// What is read of the journal.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalSettings {
    /// `FIELD=value`, as `journalctl` takes them; everything when there is none.
    pub matches: Vec<String>,
    /// The program that follows the journal.
    pub command: String,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self { matches: Vec::new(), command: "journalctl".to_owned() }
    }
}

/// Where standard input and the journal are kept until they are sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BufferSettings {
    /// A folder of the agent's own; when it is absent, one beside the positions file.
    pub folder: Option<PathBuf>,
    /// Bytes of each stream; then it waits.
    pub bytes_max: u64,
}

impl Default for BufferSettings {
    fn default() -> Self {
        Self { folder: None, bytes_max: 256 << 20 }
    }
}

/// Where a file is read from that the agent has not seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// From its first byte.
    #[default]
    Beginning,
    /// From where it ends when the agent starts for the first time.
    End,
}

/// How requests are made up.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchSettings {
    /// Bytes of lines in a request.
    pub bytes_max: usize,
    /// How long a line waits for others.
    pub wait_ms: u64,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            server: None,
            servers: Vec::new(),
            kubernetes: KubernetesSettings::default(),
            positions_file: positions_file(),
            targets: Vec::new(),
            labels: BTreeMap::new(),
            steps: Vec::new(),
            batch: BatchSettings::default(),
            buffer: BufferSettings::default(),
            line_bytes_max: line_bytes_max(),
            poll_ms: poll_ms(),
            status_listen: None,
        }
    }
}

impl TargetSettings {
    /// Files that a pattern names, read as nothing else is said.
    pub fn of(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            journal: None,
            spooled: false,
            exclude: Vec::new(),
            labels: BTreeMap::new(),
            path_label: path_label(),
            format: Format::default(),
            encoding: Encoding::default(),
            multiline: None,
            kubernetes: false,
            pod_labels: BTreeMap::new(),
            steps: Vec::new(),
            time: None,
            start: Start::default(),
        }
    }
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { bytes_max: 1 << 20, wait_ms: 200 }
    }
}

fn positions_file() -> PathBuf {
    "./positions.json".into()
}

fn path_label() -> String {
    "filename".to_owned()
}

fn line_bytes_max() -> usize {
    256 << 10
}

fn poll_ms() -> u64 {
    10_000
}

/// Why settings are not taken.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The text is not such a file.
    #[error("{0}")]
    Syntax(String),
    /// A value cannot be meant.
    #[error("{key}: {reason}")]
    Value {
        /// The key, as in the file.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

impl AgentSettings {
    /// Reads a file's text and checks it.
    pub fn read(text: &str) -> Result<Self, SettingsError> {
        let settings: Self =
            serde_saphyr::from_str(text).map_err(|error| SettingsError::Syntax(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    /// The servers, the preferred one first.
    pub fn all_servers(&self) -> Vec<ServerSettings> {
        self.server.iter().chain(&self.servers).cloned().collect()
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let refuse = |key: &str, reason: String| Err(SettingsError::Value { key: key.to_owned(), reason });
        if self.server.is_some() && !self.servers.is_empty() {
            return refuse("servers", "stands beside server: put all of them here".to_owned());
        }
        if self.targets.is_empty() {
            return refuse("targets", "there is nothing to read".to_owned());
        }
        let ranges: [(&str, usize, std::ops::RangeInclusive<usize>); 4] = [
            ("batch.bytes_max", self.batch.bytes_max, 1024..=16 << 20),
            ("batch.wait_ms", usize::try_from(self.batch.wait_ms).unwrap_or(usize::MAX), 1..=60_000),
            ("line_bytes_max", self.line_bytes_max, 64..=4 << 20),
            ("poll_ms", usize::try_from(self.poll_ms).unwrap_or(usize::MAX), 50..=600_000),
        ];
        for (key, value, range) in ranges {
            if !range.contains(&value) {
                return refuse(key, format!("must be {} to {}, not {value}", range.start(), range.end()));
            }
        }
        if let Some(address) = self.status_listen.filter(|address| !address.ip().is_loopback()) {
            return refuse("status_listen", format!("{address} is not a loopback address"));
        }
        if self.targets.iter().filter(|target| target.path == STDIN).count() > 1 {
            return refuse("targets", "standard input can be read by one of them only".to_owned());
        }
        let mut journals: Vec<&[String]> =
            self.targets.iter().filter_map(|target| Some(&*target.journal.as_ref()?.matches)).collect();
        journals.sort_unstable();
        if journals.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse("targets", "two of them read the same of the journal".to_owned());
        }
        if self.buffer.bytes_max < 1 << 20 {
            return refuse(
                "buffer.bytes_max",
                format!("must be 1048576 at least, not {}", self.buffer.bytes_max),
            );
        }
        check_labels("labels", &self.labels)?;
        for (number, target) in self.targets.iter().enumerate() {
            let key = |name: &str| format!("targets[{number}].{name}");
            check_labels(&key("labels"), &target.labels)?;
            check_labels(&key("pod_labels"), &target.pod_labels)?;
            if !target.pod_labels.is_empty() && !target.kubernetes {
                return refuse(
                    &key("pod_labels"),
                    "kubernetes must be true, else the pod is not known".to_owned(),
                );
            }
            if target.path.is_empty() == target.journal.is_none() {
                return refuse(&key("path"), "one of path and journal must be there".to_owned());
            }
            let is_plain = target.format == Format::Plain && target.encoding == Encoding::Utf8;
            if target.journal.is_some() && !is_plain {
                return refuse(&key("journal"), "has neither format nor encoding".to_owned());
            }
            let matches = target.journal.iter().flat_map(|journal| &journal.matches);
            if let Some(odd) = matches.clone().find(|text| text.starts_with('-') || !text.contains('=')) {
                return refuse(&key("journal.matches"), format!("`{odd}` is no FIELD=value"));
            }
            if !target.path_label.is_empty() && !is_label_name(&target.path_label) {
                return refuse(
                    &key("path_label"),
                    format!("`{}` is not the name of a label", target.path_label),
                );
            }
        }
        Ok(())
    }
}

fn check_labels(key: &str, labels: &BTreeMap<String, String>) -> Result<(), SettingsError> {
    match labels.keys().find(|name| !is_label_name(name)) {
        Some(name) => Err(SettingsError::Value {
            key: key.to_owned(),
            reason: format!(
                "`{name}` is not the name of a label: letters, digits and _, and no digit at the beginning"
            ),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logpulses_agent_file_is_taken_as_it_is() {
        let text = "server:\n  url: http://localhost:8080\n  api_key: secret\npositions_file: ./positions.json\n\
                    targets:\n  - path: /var/log/app/*.log\n    labels:\n      service: payments\n      env: prod\n";
        let settings = AgentSettings::read(text).expect("valid");
        assert_eq!(settings.all_servers()[0].api_key.as_deref(), Some("secret"));
        assert_eq!(settings.targets[0].labels["service"], "payments");
        assert_eq!(settings.positions_file, PathBuf::from("./positions.json"));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let with = |rest: &str| {
            AgentSettings::read(&format!("server: {{url: h}}\n{rest}")).expect_err("refused").to_string()
        };
        assert!(with("targets: [{path: a, colour: red}]").contains("colour"));
        assert!(with("targets: []").starts_with("targets: "));
        assert!(with("targets: [{path: a, labels: {a-b: c}}]").starts_with("targets[0].labels: `a-b`"));
        assert!(with("targets: [{path: a}]\nbatch: {bytes_max: 5}").contains("must be 1024 to"));
        assert!(with("targets: [{path: a}]\nstatus_listen: 0.0.0.0:9").contains("loopback"));
        assert!(with("targets: [{path: a}]\nservers: [{url: i}]").starts_with("servers"));
    }
}
