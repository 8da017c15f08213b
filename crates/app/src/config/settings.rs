//! The settings of a server, typed, with their defaults. How they are written is in `keys`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use timberyard_model::TenantId;
use timberyard_model::limits::Limits;
use timberyard_pipeline::process::description::RuleDescription;
use timberyard_server::settings::LoadLimits;
use timberyard_server::tls::TlsFiles;
use timberyard_store::StoreOptions;

use super::inputs::InputDescriptions;
use super::oidc::OidcSettings;
use super::role;
use super::sinks::{STORE, SinkDescriptions, TAIL};
use super::stream_retention::StreamRetention;
use super::written::Written;

/// Everything that can be set about a server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// The address to listen on.
    pub(crate) address: IpAddr,
    /// The port to listen on; 0 takes any free one.
    pub(crate) port: u16,
    /// The folder that holds all data.
    pub(crate) data_dir: PathBuf,
    /// The name of this node: `ingested_node_id` of what it takes in.
    pub(crate) node_id: String,
    /// Proxies whose `X-Forwarded-For` is believed: addresses or networks (`10.0.0.0/8`).
    pub(crate) trusted_proxies: Vec<String>,
    /// Certificates, where TLS is spoken.
    pub(crate) tls: TlsSettings,
    /// Where syslog comes in.
    pub(crate) syslog: SyslogSettings,
    /// Where GELF comes in.
    pub(crate) gelf: GelfSettings,
    /// Where Fluent's forward protocol comes in.
    pub(crate) fluent: FluentSettings,
    /// Who may do what.
    pub(crate) auth: AuthSettings,
    /// Which web pages may read answers.
    pub(crate) cors: CorsSettings,
    /// How data is kept. Retention is in `retention` and `tenants`, in the units it is written in.
    pub(crate) store: StoreOptions,
    /// How long and how much is kept, of everything.
    pub(crate) retention: Retention,
    /// The same for single tenants.
    pub(crate) tenants: BTreeMap<String, Retention>,
    /// How data comes in.
    pub(crate) ingest: IngestSettings,
    /// What is done to logs before they are stored.
    pub(crate) processing: Vec<RuleDescription>,
    /// What this server does, of several.
    pub(crate) role: String,
    /// What is read from other systems.
    pub(crate) inputs: InputDescriptions,
    /// Where logs go besides the embedded store.
    pub(crate) sinks: SinkDescriptions,
    /// Whether logs are kept in the data directory.
    pub(crate) keeps_logs: bool,
    /// The sink that answers queries; the embedded store when `None`.
    pub(crate) query_source: Option<String>,
    /// Habits of Loki.
    pub(crate) loki: LokiSettings,
    /// What becomes of OTLP.
    pub(crate) otlp: OtlpSettings,
    /// Every bound on requests, records and queries.
    pub(crate) limits: Limits,
    /// Limits of single tenants as they were written: keys of `limits` and their values.
    pub(crate) tenant_limits: BTreeMap<String, Vec<TenantLimit>>,
    /// Every bound on what goes on at the same time.
    pub(crate) load: LoadLimits,
    /// The program's own log.
    pub(crate) log: LogSettings,
}

/// One limit of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TenantLimit {
    /// Its number in [`KEYS`](super::keys::KEYS).
    pub(crate) key: usize,
    /// Its value.
    pub(crate) written: Written,
}

/// The files of certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// The server's certificate and those between it and a root.
    pub(crate) cert_file: Option<String>,
    /// Its private key.
    pub(crate) key_file: Option<String>,
    /// Roots of clients' certificates.
    pub(crate) client_ca_file: Option<String>,
}

/// Listeners for syslog; none by default. Addresses have a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyslogSettings {
    /// For packets.
    pub(crate) udp: Option<String>,
    /// For streams.
    pub(crate) tcp: Option<String>,
    /// For streams in the server's TLS.
    pub(crate) tls: Option<String>,
    /// The tenant that they belong to.
    pub(crate) tenant: String,
}

/// Listeners for GELF; none by default. Addresses have a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GelfSettings {
    /// For packets.
    pub(crate) udp: Option<String>,
    /// For streams.
    pub(crate) tcp: Option<String>,
    /// The tenant that they belong to.
    pub(crate) tenant: String,
}

impl Default for GelfSettings {
    fn default() -> Self {
        Self { udp: None, tcp: None, tenant: TenantId::default().to_string() }
    }
}

/// The listener for Fluent's forward protocol; none by default. Its address has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FluentSettings {
    /// For streams.
    pub(crate) tcp: Option<String>,
    /// What senders must know.
    pub(crate) shared_key: Option<String>,
    /// The tenant that they belong to.
    pub(crate) tenant: String,
}

impl Default for FluentSettings {
    fn default() -> Self {
        Self { tcp: None, shared_key: None, tenant: TenantId::default().to_string() }
    }
}

impl Default for SyslogSettings {
    fn default() -> Self {
        Self { udp: None, tcp: None, tls: None, tenant: TenantId::default().to_string() }
    }
}

impl TlsSettings {
    /// The files, where TLS is spoken; `config::check` has refused one of a pair without the other.
    pub(crate) fn files(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificates: self.cert_file.as_ref()?.into(),
            key: self.key_file.as_ref()?.into(),
            client_roots: self.client_ca_file.as_ref().map(PathBuf::from),
        })
    }
}

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthSettings {
    /// On or off as written; when nothing is written, on as soon as there is a secret or a key.
    pub(crate) enabled: Option<bool>,
    /// Whether an address that is not loopback may be served without any key.
    pub(crate) anonymous: bool,
    /// Whether a query may name several tenants.
    pub(crate) multi_tenant_queries: bool,
    /// The secret that signs `CLIENT.SIGNATURE` keys.
    pub(crate) secret: Option<String>,
    /// One key.
    pub(crate) api_key: Option<String>,
    /// More keys.
    pub(crate) api_keys: Vec<String>,
    /// Keys that may also flush and delete; when none is written, all configured keys may.
    pub(crate) admin_keys: Vec<String>,
    /// Whether `/metrics` needs a key too.
    pub(crate) metrics: bool,
    /// What goes into the digests of stored keys beside the key.
    pub(crate) pepper: Option<String>,
    /// The sink in whose database stored keys are; in the data directory when none is written.
    pub(crate) store: Option<String>,
    /// Where keys that are rotated by interval are handed over.
    pub(crate) rotated_keys_dir: Option<String>,
    /// Keys that are not good which one address may send in a minute; without a bound when `None`.
    pub(crate) failures_per_minute_max: Option<u64>,
    /// Whether the use of keys and administration are written down.
    pub(crate) audit: bool,
    /// The tenant that they are written down in.
    pub(crate) audit_tenant: String,
    /// Where people come from who have no key.
    pub(crate) oidc: OidcSettings,
    /// Whether the data directory has stored keys; found, not written.
    pub(crate) has_stored_keys: bool,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            enabled: None,
            anonymous: false,
            multi_tenant_queries: true,
            secret: None,
            api_key: None,
            api_keys: Vec::new(),
            admin_keys: Vec::new(),
            metrics: false,
            pepper: None,
            store: None,
            rotated_keys_dir: None,
            failures_per_minute_max: Some(30),
            audit: true,
            audit_tenant: "timberyard-audit".to_owned(),
            oidc: OidcSettings::default(),
            has_stored_keys: false,
        }
    }
}

/// Which web pages may read answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CorsSettings {
    /// On or off as written; when nothing is written, on as soon as there are origins.
    pub(crate) enabled: Option<bool>,
    /// Origins such as `https://logs.example.com`, or `*`.
    pub(crate) allowed_origins: Vec<String>,
}

/// How long and how much is kept; without a bound when `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Days, by the entries' own time.
    pub(crate) days: Option<u64>,
    /// Bytes on disk.
    pub(crate) bytes: Option<u64>,
    /// For single streams, instead of `days`.
    pub(crate) streams: Vec<StreamRetention>,
}

/// How data comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IngestSettings {
    /// Bytes that may wait for the store before senders are told to come back.
    pub(crate) queue_bytes_max: usize,
    /// LogPulse's way of writing the same, in entries of 1 KiB.
    pub(crate) buffer_size: Option<usize>,
}

/// What Loki's push adds to entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LokiSettings {
    /// Whether streams without `service_name` get one from their other labels.
    pub(crate) discover_service_name: bool,
    /// Whether entries get `detected_level`.
    pub(crate) detect_level: bool,
    /// Whether plain log queries lack entries on the hour that Loki does not find.
    pub(crate) split_gaps: bool,
}

/// What becomes of OTLP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OtlpSettings {
    /// The attributes of resources that become labels, Loki's when empty; `*` at the end of one stands for whatever follows.
    pub(crate) label_attributes: Vec<String>,
}

/// The program's own log, on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a tracing filter such as `info,timberyard_store=debug`.
    pub(crate) level: String,
    /// `text` or `json`.
    pub(crate) format: String,
}

/// How many threads can work at the same time; 1 where nobody knows.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8080,
            data_dir: PathBuf::from("./data"),
            node_id: "node-1".to_owned(),
            trusted_proxies: Vec::new(),
            tls: TlsSettings::default(),
            syslog: SyslogSettings::default(),
            gelf: GelfSettings::default(),
            fluent: FluentSettings::default(),
            auth: AuthSettings::default(),
            cors: CorsSettings::default(),
            store: StoreOptions { read_threads: cores().saturating_sub(1), ..StoreOptions::default() },
            retention: Retention::default(),
            tenants: BTreeMap::new(),
            ingest: IngestSettings { queue_bytes_max: 64 << 20, buffer_size: None },
            processing: Vec::new(),
            role: role::ALL.to_owned(),
            inputs: InputDescriptions::new(),
            sinks: SinkDescriptions::new(),
            keeps_logs: true,
            query_source: None,
            loki: LokiSettings { discover_service_name: true, detect_level: true, split_gaps: true },
            otlp: OtlpSettings::default(),
            limits: Limits::default(),
            tenant_limits: BTreeMap::new(),
            load: LoadLimits::default(),
            log: LogSettings { level: "info".to_owned(), format: "text".to_owned() },
        }
    }
}

impl Settings {
    /// Address and port to listen on.
    pub(crate) fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// What rules can route to, by number: live tails, the required sinks in the order in which they are written, and the
    /// others.
    pub(crate) fn destinations(&self) -> Vec<String> {
        let named = |required: bool| {
            let sinks = self.sinks.iter().filter(move |(_, sink)| sink.required == required);
            sinks.map(|(name, _)| name.clone())
        };
        let store = self.keeps_logs.then(|| STORE.to_owned());
        let first = std::iter::once(TAIL.to_owned()).chain(named(true));
        first.chain(store).chain(named(false)).collect()
    }

    /// Every configured key that is not written as an administrator's.
    pub(crate) fn client_keys(&self) -> impl Iterator<Item = &str> {
        self.auth.api_key.iter().chain(&self.auth.api_keys).map(String::as_str)
    }

    /// Whether there is any secret, key or provider.
    pub(crate) fn has_keys(&self) -> bool {
        let auth = &self.auth;
        auth.has_stored_keys
            || auth.oidc.issuer.is_some()
            || auth.secret.is_some()
            || self.client_keys().next().is_some()
            || !auth.admin_keys.is_empty()
    }

    /// Whether requests need a key.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.auth.enabled.unwrap_or_else(|| self.has_keys())
    }

    /// The origins that get CORS headers; none when CORS is off.
    pub(crate) fn cors_origins(&self) -> Vec<String> {
        let origins = &self.cors.allowed_origins;
        match self.cors.enabled {
            Some(false) => Vec::new(),
            Some(true) if origins.is_empty() => vec!["*".to_owned()],
            _ => origins.clone(),
        }
    }

    /// Bytes that may wait for the store.
    pub(crate) fn queue_bytes_max(&self) -> usize {
        match self.ingest.buffer_size {
            // One request must fit, or nothing could ever come in.
            Some(entries) => entries.saturating_mul(1024).max(self.limits.request.inflated_bytes_max),
            None => self.ingest.queue_bytes_max,
        }
    }
}
