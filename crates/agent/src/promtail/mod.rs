//! A scrape file of Promtail as settings of this agent, as far as it goes: what has no counterpart here is named, never passed over.
//!
//! Clients, positions, and of `scrape_configs` those with `static_configs` and `__path__`, or with `journal`; stages are in [`stages`].
//!
//! Format: <https://grafana.com/docs/loki/latest/send-data/promtail/configuration/>.

mod go_time;
mod stages;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::settings::{
    AgentSettings, BatchSettings, JournalSettings, ServerSettings, SettingsError, TargetSettings,
};
use stages::Stages;

const PUSH_PATH: &str = "/loki/api/v1/push";

/// What a scrape file came to.
#[derive(Clone, Debug)]
pub struct Promtail {
    /// The settings, checked.
    pub settings: AgentSettings,
    /// What is in the file and not heeded, with the reason where it is not plain.
    pub ignored: Vec<String>,
}

impl Promtail {
    /// Reads a file's text.
    ///
    /// # Errors
    /// It is no such file, or nothing is left to be read or sent to.
    pub fn read(text: &str) -> Result<Self, SettingsError> {
        let root: Value =
            serde_saphyr::from_str(text).map_err(|error| SettingsError::Syntax(error.to_string()))?;
        let Value::Object(mut root) = root else {
            return Err(SettingsError::Syntax("is not a mapping of keys to values".to_owned()));
        };
        let mut reading = Reading::default();
        reading.clients(&mut root);
        if let Some(Value::Object(mut positions)) = root.remove("positions") {
            if let Some(Value::String(file)) = positions.remove("filename") {
                reading.positions_file = format!("{file}.timberyard").into();
            }
            reading.ignore_rest("positions", positions);
        }
        if let Some(Value::Object(mut server)) = root.remove("server") {
            let port = server.remove("http_listen_port").and_then(|port| u16::try_from(port.as_u64()?).ok());
            reading.status_listen =
                port.filter(|port| *port != 0).map(|port| (Ipv4Addr::LOCALHOST, port).into());
            reading.ignore_rest("server", server);
        }
        if let Some(Value::Array(configs)) = root.remove("scrape_configs") {
            for (number, config) in configs.into_iter().enumerate() {
                reading.scrape(&format!("scrape_configs[{number}]"), config);
            }
        }
        reading.ignore_rest("", root);
        reading.finish()
    }
}

/// What was read so far.
struct Reading {
    servers: Vec<ServerSettings>,
    labels: BTreeMap<String, String>,
    positions_file: PathBuf,
    status_listen: Option<SocketAddr>,
    batch: BatchSettings,
    targets: Vec<TargetSettings>,
    ignored: Vec<String>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            labels: BTreeMap::new(),
            // Promtail's own default, with our ending.
            positions_file: "/var/log/positions.yaml.timberyard".into(),
            status_listen: None,
            batch: BatchSettings::default(),
            targets: Vec::new(),
            ignored: Vec::new(),
        }
    }
}

impl Reading {
    fn clients(&mut self, root: &mut Map<String, Value>) {
        let single = root.remove("client");
        let several = root.remove("clients");
        let clients = several.and_then(|clients| clients.as_array().cloned()).unwrap_or_default();
        let clients: Vec<Value> = single.into_iter().chain(clients).collect();
        if clients.len() > 1 {
            let reason = "clients: a line goes to the first client that takes it, not to each";
            self.ignored.push(reason.to_owned());
        }
        for (number, client) in clients.into_iter().enumerate() {
            let place = format!("clients[{number}]");
            let Value::Object(mut client) = client else { continue };
            let url = text(client.remove("url"));
            let url = url.strip_suffix(PUSH_PATH).unwrap_or(&url).to_owned();
            let mut password = None;
            if let Some(Value::Object(mut basic)) = client.remove("basic_auth") {
                basic.remove("username");
                password = basic.remove("password").map(|password| text(Some(password)));
                self.ignore_rest(&format!("{place}.basic_auth"), basic);
            }
            let bearer = client.remove("bearer_token").map(|token| text(Some(token)));
            let tenant = client.remove("tenant_id").map(|tenant| text(Some(tenant)));
            self.labels.extend(pairs(client.remove("external_labels")));
            if let Some(wait) = client.remove("batchwait").and_then(|wait| millis(&text(Some(wait)))) {
                self.batch.wait_ms = wait.clamp(1, 60_000);
            }
            if let Some(bytes) = client.remove("batchsize").and_then(|bytes| bytes.as_u64()) {
                self.batch.bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX).clamp(1024, 16 << 20);
            }
            self.ignore_rest(&place, client);
            self.servers.push(ServerSettings { url, api_key: password.or(bearer), tenant });
        }
    }

    fn scrape(&mut self, place: &str, config: Value) {
        let Value::Object(mut config) = config else { return };
        config.remove("job_name");
        let mut stages = Stages::default();
        if let Some(Value::Array(list)) = config.remove("pipeline_stages") {
            stages.read(&format!("{place}.pipeline_stages"), list);
        }
        if let Some(Value::Array(list)) = config.remove("relabel_configs") {
            stages.relabel(&format!("{place}.relabel_configs"), list);
        }
        let encoding = config.remove("encoding").map(|encoding| text(Some(encoding)).to_lowercase());
        let encoding = match encoding.as_deref() {
            None | Some("utf-8") => Some("utf8"),
            Some("utf-16le") => Some("utf16le"),
            Some("utf-16be") => Some("utf16be"),
            Some("iso8859-1" | "iso-8859-1" | "latin1") => Some("latin1"),
            Some(other) => {
                self.ignored.push(format!("{place}.encoding: {other} is not known here"));
                None
            }
        };
        if let Some(Value::Object(mut journal)) = config.remove("journal") {
            let labels = pairs(journal.remove("labels"));
            let matches = text(journal.remove("matches"));
            self.ignore_rest(&format!("{place}.journal"), journal);
            let matches = matches.split_whitespace().map(str::to_owned).collect();
            let journal = Some(JournalSettings { matches, ..JournalSettings::default() });
            let mut target = TargetSettings { labels, journal, ..TargetSettings::of("") };
            stages.put_into(&mut target);
            self.targets.push(target);
        }
        if let Some(Value::Array(groups)) = config.remove("static_configs") {
            for (number, group) in groups.into_iter().enumerate() {
                let place = format!("{place}.static_configs[{number}]");
                let Value::Object(mut group) = group else { continue };
                group.remove("targets");
                let mut labels = pairs(group.remove("labels"));
                self.ignore_rest(&place, group);
                let Some(path) = labels.remove("__path__") else {
                    self.ignored.push(format!("{place}: has no __path__"));
                    continue;
                };
                let exclude = labels.remove("__path_exclude__").into_iter().collect();
                labels.retain(|name, _| {
                    let is_meta = name.starts_with("__");
                    if is_meta {
                        self.ignored.push(format!("{place}.labels.{name}"));
                    }
                    !is_meta
                });
                let mut target = TargetSettings { exclude, labels, ..TargetSettings::of(&path) };
                target.encoding = match encoding {
                    Some("utf16le") => crate::settings::Encoding::Utf16le,
                    Some("utf16be") => crate::settings::Encoding::Utf16be,
                    Some("latin1") => crate::settings::Encoding::Latin1,
                    _ => crate::settings::Encoding::Utf8,
                };
                stages.put_into(&mut target);
                self.targets.push(target);
            }
        }
        self.ignored.append(&mut stages.ignored);
        self.ignore_rest(place, config);
    }

    fn ignore_rest(&mut self, place: &str, rest: Map<String, Value>) {
        let dot = if place.is_empty() { "" } else { "." };
        self.ignored.extend(rest.into_iter().map(|(key, _)| format!("{place}{dot}{key}")));
    }

    fn finish(self) -> Result<Promtail, SettingsError> {
        let settings = AgentSettings {
            servers: self.servers,
            positions_file: self.positions_file,
            targets: self.targets,
            labels: self.labels,
            batch: self.batch,
            status_listen: self.status_listen,
            ..AgentSettings::default()
        };
        settings.check()?;
        Ok(Promtail { settings, ignored: self.ignored })
    }
}

/// A scalar's text.
fn text(value: Option<Value>) -> String {
    match value {
        Some(Value::String(text)) => text,
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// Names and texts of a mapping.
fn pairs(value: Option<Value>) -> BTreeMap<String, String> {
    match value {
        Some(Value::Object(fields)) => {
            fields.into_iter().map(|(name, value)| (name, text(Some(value)))).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// A duration of Go, such as `1s` or `500ms`, in milliseconds.
fn millis(duration: &str) -> Option<u64> {
    let end = duration.find(|character: char| character.is_ascii_alphabetic())?;
    let (number, unit) = duration.split_at(end);
    let factor = match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return None,
    };
    let millis = number.parse::<f64>().ok()? * factor;
    (millis.is_finite() && millis >= 0.0).then_some(millis as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
server: {http_listen_port: 9080, grpc_listen_port: 0}
positions: {filename: /tmp/positions.yaml, sync_period: 10s}
clients:
  - url: http://loki:3100/loki/api/v1/push
    tenant_id: shop
    basic_auth: {username: u, password: secret}
    batchwait: 1.5s
    backoff_config: {max_retries: 3}
    external_labels: {cluster: a}
scrape_configs:
  - job_name: system
    static_configs:
      - targets: [localhost]
        labels: {job: varlogs, __path__: /var/log/*log, __path_exclude__: /var/log/x.log}
    relabel_configs:
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
    pipeline_stages:
      - cri: {}
      - multiline: {firstline: '^\d', max_wait_time: 2s}
      - tenant: {value: x}
  - job_name: journal
    journal: {max_age: 12h, labels: {job: systemd}, matches: _TRANSPORT=kernel _PID=1}
  - job_name: pods
    kubernetes_sd_configs: [{role: pod}]
"#;

    #[test]
    fn the_common_core_is_read_and_the_rest_is_named() {
        let Promtail { settings, ignored } = Promtail::read(FILE).expect("valid");
        let server = &settings.servers[0];
        assert_eq!((server.url.as_str(), server.api_key.as_deref()), ("http://loki:3100", Some("secret")));
        assert_eq!(server.tenant.as_deref(), Some("shop"));
        assert_eq!(settings.batch.wait_ms, 1500);
        assert_eq!(settings.positions_file, PathBuf::from("/tmp/positions.yaml.timberyard"));
        assert_eq!(settings.status_listen, "127.0.0.1:9080".parse().ok());
        let target = &settings.targets[0];
        assert_eq!((target.path.as_str(), target.exclude.len()), ("/var/log/*log", 1));
        assert_eq!(target.format, crate::settings::Format::Cri);
        assert_eq!(target.multiline.as_ref().map(|multiline| multiline.wait_ms), Some(2000));
        let journal = settings.targets[1].journal.as_ref().expect("the journal");
        assert_eq!(journal.matches, ["_TRANSPORT=kernel", "_PID=1"]);
        let expected = [
            "clients[0].backoff_config",
            "positions.sync_period",
            "server.grpc_listen_port",
            "scrape_configs[0].pipeline_stages[2].tenant",
            "scrape_configs[0].relabel_configs[0]: __meta_kubernetes_pod_name is not known here",
            "scrape_configs[1].journal.max_age",
            "scrape_configs[2].kubernetes_sd_configs",
        ];
        assert_eq!(ignored, expected);
        assert!(Promtail::read("clients: [{url: h}]").is_err(), "nothing to read");
        assert!(Promtail::read("[]").is_err());
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, expected) in
            [("1s", Some(1000)), ("250ms", Some(250)), ("1.5m", Some(90_000)), ("5", None)]
        {
            assert_eq!(millis(text), expected, "{text}");
        }
    }
}
