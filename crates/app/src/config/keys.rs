//! The table of all settings: the key as written in YAML, what it means, and where its value lives.
//!
//! Everything else is derived from it: the variable `TIMBERYARD_…` of a key, the check for unknown keys,
//! `config print`, and the tests that hold `.env.example` to the table. A default is what
//! [`Settings::default`] has in the key's place.

use std::path::PathBuf;

use timberyard_model::TenantId;
use timberyard_pipeline::process::description::RuleDescription;

use super::inputs::InputDescriptions;
use super::role;
use super::settings::{Retention, Settings};
use super::sinks::SinkDescriptions;

/// One setting.
pub(crate) struct Key {
    /// The path in YAML, with dots between; `*` stands for a tenant's name.
    pub(crate) path: &'static str,
    /// Other paths for the same thing (LogPulse's).
    pub(crate) aliases: &'static [&'static str],
    /// What it means, in a few words.
    pub(crate) meaning: &'static str,
    /// Its type and where its value lives.
    pub(crate) place: Place,
    /// Whether its value is shown to nobody.
    pub(crate) secret: bool,
}

/// Where in [`Settings`] a value lives.
type At<T> = fn(&mut Settings) -> &mut T;

/// What a number counts, and so how it may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things.
    Count,
    /// Bytes, also as `16MiB`.
    Bytes,
    /// Seconds, also as `5m`.
    Seconds,
}

/// The type of a value and where it lives. Numbers are at least 1 where nothing else is said; for optional ones 0 means none.
pub(crate) enum Place {
    /// `ADDRESS` or `ADDRESS:PORT`.
    Listen,
    /// A port.
    Port,
    /// A path.
    Path(At<PathBuf>),
    /// Text that is not empty.
    Text(At<String>),
    /// One of some words.
    Choice(&'static [&'static str], At<String>),
    /// Text, or nothing.
    OptionalText(At<Option<String>>),
    /// A list.
    Texts(At<Vec<String>>),
    /// True or false.
    Switch(At<bool>),
    /// True, false, or not said.
    OptionalSwitch(At<Option<bool>>),
    /// A number.
    Usize(Unit, At<usize>),
    /// A number that may be 0, which means something of its own.
    UsizeOrZero(Unit, At<usize>),
    /// A number.
    U64(Unit, At<u64>),
    /// A number that is not negative.
    I64(Unit, At<i64>),
    /// A number, or nothing.
    OptionalUsize(Unit, At<Option<usize>>),
    /// A number, or nothing.
    OptionalU64(Unit, At<Option<u64>>),
    /// How long logs of single streams are kept.
    StreamRetentions(At<Retention>),
    /// The same for the tenant in the key.
    StreamRetentionsOfTenant,
    /// Sinks by name.
    Sinks(At<SinkDescriptions>),
    /// Inputs by name.
    Inputs(At<InputDescriptions>),
    /// Rules of processing.
    Processing(At<Vec<RuleDescription>>),
    /// A number, or nothing, for the tenant in the key.
    OfTenant(Unit, fn(&mut Retention) -> &mut Option<u64>),
}

/// A row of the table. A key that is written like its field in [`Settings`] is named once; `at` says where another lives.
macro_rules! key {
    ($path:literal $(alias $alias:literal)?, $place:expr, $meaning:literal) => {
        Key { path: $path, aliases: &[$($alias)?], meaning: $meaning, place: $place, secret: false }
    };
    (secret $($row:tt)*) => {
        Key { secret: true, ..key!($($row)*) }
    };
    ($key:ident $(.$section:ident)*, $kind:ident $(($unit:ident))?, $meaning:literal) => {
        key!($key $(.$section)* at $key $(.$section)*, $kind $(($unit))?, $meaning)
    };
    ($key:ident $(.$inner:ident)* at $field:ident $(.$deeper:ident)*, $kind:ident $(($unit:ident))?, $meaning:literal) => {
        Key {
            path: concat!(stringify!($key) $(, ".", stringify!($inner))*),
            aliases: &[],
            meaning: $meaning,
            place: $kind($($unit,)? |s| &mut s.$field $(.$deeper)*),
            secret: false,
        }
    };
}

use Place::{
    Choice, I64, Inputs, Listen, OfTenant, OptionalSwitch, OptionalText, OptionalU64, OptionalUsize, Path,
    Port, Processing, Sinks, StreamRetentions, StreamRetentionsOfTenant, Switch, Text, Texts, U64, Usize,
    UsizeOrZero,
};
use Unit::{Bytes, Count, Seconds};

/// All settings, in the order in which they are shown and, within one source, applied.
pub(crate) const KEYS: &[Key] = &[
    key!("listen" alias "server.listen", Listen, "address to listen on, with or without a port"),
    key!("port" alias "server.port", Port, "port to listen on, whatever the address; 0 takes any free one"),
    key!("data_dir" alias "storage.path", Path(|s| &mut s.data_dir), "folder that holds all data"),
    key!(node_id, Text, "name of this node, ingested_node_id of its entries"),
    key!(trusted_proxies, Texts, "proxies whose X-Forwarded-For is believed: addresses or networks"),
    key!(
    server.tls.cert_file at tls.cert_file,
            OptionalText,
            "PEM file of the certificate and those that sign it; with it, only TLS is spoken"
        ),
    key!(server.tls.key_file at tls.key_file, OptionalText, "PEM file of its private key"),
    key!(
        server.tls.client_ca_file at tls.client_ca_file,
        OptionalText,
        "PEM file of root certificates; with it, clients need a certificate that one of them signed"
    ),
    key!(syslog.udp, OptionalText, "address and port to take packets of syslog on, such as 0.0.0.0:514"),
    key!(syslog.tcp, OptionalText, "address and port to take streams of syslog on"),
    key!(syslog.tls, OptionalText, "the same with TLS, which needs server.tls.cert_file"),
    key!(syslog.tenant, Text, "the tenant whose logs they are"),
    key!(gelf.udp, OptionalText, "address and port to take packets of GELF on, such as 0.0.0.0:12201"),
    key!(gelf.tcp, OptionalText, "address and port to take streams of GELF on"),
    key!(gelf.tenant, Text, "the tenant of what comes in as GELF"),
    key!(
        fluent.tcp,
        OptionalText,
        "address and port to take Fluent's forward protocol on, such as 0.0.0.0:24224"
    ),
    key!(secret fluent.shared_key, OptionalText, "what senders of it must know; nothing when not written"),
    key!(fluent.tenant, Text, "the tenant of what comes in so"),
    key!(
        auth.enabled,
        OptionalSwitch,
        "whether requests need a key; when not said, they do as soon as there is a secret or key"
    ),
    key!(auth.anonymous, Switch, "serve addresses that are not loopback without any key"),
    key!(
        auth.multi_tenant_queries,
        Switch,
        "answer queries that name several tenants in X-Scope-OrgID from all of them"
    ),
    key!(secret auth.secret, OptionalText, "secret that signs CLIENT.SIGNATURE keys"),
    key!(secret auth.api_key, OptionalText, "a key"),
    key!(secret auth.api_keys, Texts, "more keys"),
    key!(
        secret auth.admin_keys,
        Texts,
        "keys that may also flush and delete; when none is written, all configured keys may"
    ),
    key!(auth.metrics, Switch, "whether /metrics needs a key too"),
    key!(
        secret auth.pepper,
        OptionalText,
        "secret that goes into the digests of stored keys made from now on"
    ),
    key!(
        auth.store,
        OptionalText,
        "sink in whose PostgreSQL stored keys are kept, shared by several servers; in data_dir when not written"
    ),
    key!(
        auth.rotated_keys_dir,
        OptionalText,
        "folder that keys which are rotated by interval are written to, each in a file of its name"
    ),
    key!(
        auth.failures_per_minute_max,
        OptionalU64(Count),
        "keys that are not good which one address may send; past that it gets 429 for a while; 0 is no bound"
    ),
    key!(
        auth.audit,
        Switch,
        "with keys, write down their use and all administration, as logs of a tenant of their own"
    ),
    key!(auth.audit_tenant, Text, "that tenant, which only administrators read"),
    key!(
        auth.oidc.issuer,
        OptionalText,
        "the OpenID provider whose people may come in, as its tokens name it"
    ),
    key!(auth.oidc.audiences, Texts, "whom their tokens must be for, one of these; client_id when empty"),
    key!(
        auth.oidc.grants,
        Texts,
        "what they may do: rules CLAIM=VALUE TENANTS SCOPES, of which the first that fits counts"
    ),
    key!(auth.oidc.name_claim, Text, "the claim that people are called by in logs"),
    key!(auth.oidc.skew_seconds, U64(Seconds), "how far the provider's clock may be from this one"),
    key!(
        auth.oidc.ca_file,
        OptionalText,
        "PEM file of root certificates to believe the provider by, instead of the system's"
    ),
    key!(
        auth.oidc.client_id,
        OptionalText,
        "this server, as the provider knows it; with redirect_url, browsers can log in"
    ),
    key!(secret auth.oidc.client_secret, OptionalText, "its secret there, if it has one"),
    key!(
        auth.oidc.redirect_url,
        OptionalText,
        "where the provider sends browsers back: this server's URL and /auth/callback"
    ),
    key!(auth.oidc.scopes, Text, "what the provider is asked for"),
    key!(auth.oidc.session_seconds, U64(Seconds), "how long a browser stays logged in"),
    key!(
        cors.enabled,
        OptionalSwitch,
        "whether web pages of other origins may read answers; when not said, those listed may"
    ),
    key!(cors.allowed_origins, Texts, "those origins, such as https://logs.example.com, or *"),
    key!(
        storage.head_bytes_max at store.head_bytes_max,
        Usize(Bytes),
        "bytes of rows held in memory before they are written as segments"
    ),
    key!(
        storage.head_age_seconds_max at store.head_age_seconds_max,
        U64(Seconds),
        "how long entries may stay out of segments"
    ),
    key!(
        storage.chunk_size_bytes at store.block_bytes,
        Usize(Bytes),
        "raw bytes of a block, the piece of a segment that is read at once"
    ),
    key!(
        storage.group_bytes at store.group_bytes,
        Usize(Bytes),
        "raw bytes of a full row group of a segment"
    ),
    key!(
        storage.segment_bytes_max at store.segment_bytes_max,
        U64(Bytes),
        "raw bytes past which a segment is not merged any further"
    ),
    key!(
        storage.index_cache_bytes_max at store.index_cache_bytes_max,
        Usize(Bytes),
        "memory for the indexes of segments"
    ),
    key!(
        storage.wal_bytes_max at store.log_bytes_max,
        U64(Bytes),
        "bytes of write-ahead log before its oldest entries are written as segments"
    ),
    key!(
        storage.wal_segment_bytes at store.log_segment_bytes,
        U64(Bytes),
        "bytes of one file of the write-ahead log"
    ),
    key!(
        storage.disk_reserve_bytes at store.disk_reserve_bytes,
        U64(Bytes),
        "bytes of the volume that stay free: past that, writes are refused with 507"
    ),
    key!(
        storage.deletion_cancel_seconds at store.deletion_cancel_seconds,
        U64(Seconds),
        "how long a deletion can be called off before compaction takes its entries out"
    ),
    key!(
        storage.retention_days at retention.days,
        OptionalU64(Count),
        "days that entries are kept, by their own time; 0 keeps them for ever"
    ),
    key!(
        storage.retention_bytes at retention.bytes,
        OptionalU64(Bytes),
        "bytes on disk that are kept, oldest go first; 0 is no bound"
    ),
    key!(
        storage.retention_streams at retention,
        StreamRetentions,
        "how long entries of single streams are kept, instead of retention_days: selector, priority and period of each"
    ),
    key!("storage.tenants.*.retention_days", OfTenant(Count, |r| &mut r.days), "the same for one tenant"),
    key!("storage.tenants.*.retention_bytes", OfTenant(Bytes, |r| &mut r.bytes), "the same for one tenant"),
    key!("storage.tenants.*.retention_streams", StreamRetentionsOfTenant, "the same for one tenant"),
    key!(ingest.queue_bytes_max, Usize(Bytes), "bytes that may wait for the store before senders get 429"),
    key!(
        ingest.buffer_size,
        OptionalUsize(Count),
        "the same in entries of 1 KiB, as LogPulse writes it; counts before queue_bytes_max"
    ),
    key!(
        processing,
        Processing,
        "what is done to logs before they are stored: rules with tenants, sources and steps"
    ),
    key!(
        store.embedded at keeps_logs,
        Switch,
        "whether logs are kept in data_dir; when not, at least one sink is required"
    ),
    key!(
        "role",
        Choice(&[role::ALL, role::INGEST, role::WORKER], |s| &mut s.role),
        "what a server of several does (--role): all, ingest into Kafka, or worker from Kafka to the other sinks"
    ),
    key!(
        inputs,
        Inputs,
        "what is read from other systems: a mapping of names to engines with their settings"
    ),
    key!(sinks, Sinks, "where logs go besides: a mapping of names to engines with their settings"),
    key!(
        query.source at query_source,
        OptionalText,
        "the sink that answers queries, by its name; the embedded store when none is written"
    ),
    key!(query.workers at load.queries_max, Usize(Count), "queries that run at the same time"),
    key!(
        query.read_threads at store.read_threads,
        UsizeOrZero(Count),
        "threads that read ahead for all queries together, beside the one that each query has; 0 for none"
    ),
    key!(loki.discover_service_name, Switch, "give pushed streams a service_name from their other labels"),
    key!(loki.detect_level, Switch, "add detected_level to entries"),
    key!(
        loki.split_gaps,
        Switch,
        "leave out of plain log queries an entry exactly on the hour that ends its stream, as Loki does where it splits a query, with a warning"
    ),
    key!(
        otlp.label_attributes,
        Texts,
        "attributes of OTLP's resources that become labels, instead of Loki's list; * at the end of one stands for what follows"
    ),
    key!(limits.request.body_bytes_max, Usize(Bytes), "a request body as it comes over the wire"),
    key!(limits.request.inflated_bytes_max, Usize(Bytes), "the same body after decompression"),
    key!(limits.request.json_depth_max, Usize(Count), "how deep JSON may nest"),
    key!(limits.request.events_max, Usize(Count), "events in one request to /api/v1/batch-ingest"),
    key!(limits.request.timeout_seconds, U64(Seconds), "until an unfinished request is given up"),
    key!(limits.record.line_bytes_max, Usize(Bytes), "a line"),
    key!(
        limits.record.label_names_max,
        Usize(Count),
        "labels of a stream, without those that Timberyard adds"
    ),
    key!(limits.record.label_name_bytes_max, Usize(Bytes), "a label's name"),
    key!(limits.record.label_value_bytes_max, Usize(Bytes), "a label's value"),
    key!(
        limits.record.label_values_max,
        UsizeOrZero(Count),
        "values of a label in a tenant and day; the label that has more becomes structured metadata; 0 for no limit"
    ),
    key!(limits.record.metadata_pairs_max, Usize(Count), "structured metadata pairs of an entry"),
    key!(limits.record.metadata_bytes_max, Usize(Bytes), "structured metadata of an entry"),
    key!(limits.record.future_seconds_max, I64(Seconds), "how far in the future an entry's time may lie"),
    key!(limits.query.entries_max, Usize(Count), "lines that one log query returns"),
    key!(limits.query.series_max, Usize(Count), "series that one metric query returns"),
    key!(limits.query.points_max, Usize(Count), "steps of one range query"),
    key!(limits.query.timeout_seconds, U64(Seconds), "until a query is given up"),
    key!(limits.query.memory_bytes_max, Usize(Bytes), "memory that one query may hold"),
    key!(limits.query.text_bytes_max, Usize(Bytes), "the text of a query"),
    key!(limits.query.depth_max, Usize(Count), "how deep expressions may nest"),
    key!(limits.query.tails_max, Usize(Count), "clients that tail at the same time"),
    key!(
        limits.rate.requests_per_minute,
        OptionalU64(Count),
        "requests a minute of one key, or of one address without a key; more get 429; 0 is no bound"
    ),
    key!(
        limits.rate.burst,
        OptionalU64(Count),
        "requests that may come at once before the rate counts; a minute's worth when not said"
    ),
    key!(
        limits.rate.address_requests_per_minute,
        OptionalU64(Count),
        "requests a minute of one address, whatever its keys; 0 is no bound"
    ),
    key!(
        limits.rate.bytes_per_second,
        OptionalU64(Bytes),
        "bytes of entries that one tenant may send in a second; more get 429; 0 is no bound"
    ),
    key!(
        limits.rate.requests_max,
        OptionalUsize(Count),
        "requests of one tenant being answered; further ones get 429; 0 is no bound"
    ),
    key!(
        limits.load.connections_max at load.connections_max,
        Usize(Count),
        "open connections; further ones wait"
    ),
    key!(
        limits.load.streams_max at load.streams_max,
        Usize(Count),
        "requests of one HTTP/2 connection at a time; further ones are refused, to be sent again"
    ),
    key!(
        limits.load.requests_max at load.requests_max,
        Usize(Count),
        "requests being answered, of which one address has three quarters at most; further ones get 503"
    ),
    key!(
        limits.load.body_bytes_max at load.body_bytes_max,
        Usize(Bytes),
        "memory for request bodies; what does not fit gets 429"
    ),
    key!(
        limits.load.queries_waiting_max at load.queries_waiting_max,
        Usize(Count),
        "queries waiting for a worker; further ones get 429"
    ),
    key!(
        limits.load.stall_seconds_max at load.stall_seconds_max,
        U64(Seconds),
        "for the head of a request to arrive once it has begun, and for the first one of a connection"
    ),
    key!(
        limits.load.idle_seconds_max at load.idle_seconds_max,
        U64(Seconds),
        "that a connection may wait for its next request"
    ),
    key!(
        limits.load.unread_seconds_max at load.unread_seconds_max,
        U64(Seconds),
        "after which a reader that takes nothing of an answer is given up"
    ),
    key!(
        limits.load.drain_seconds_max at load.drain_seconds_max,
        U64(Seconds),
        "for requests to end when the server stops"
    ),
    key!(log.level, Text, "error, warn, info, debug, trace, or a filter such as info,timberyard_store=debug"),
    key!("log.format", Choice(&["text", "json"], |s| &mut s.log.format), "text or json"),
];

/// Sections and keys of parts that this build does not have, so that asking for one names it.
pub(crate) const ABSENT_SECTIONS: [(&str, &str); 12] = [
    ("agent", "the agent"),
    ("alerts", "alert rules"),
    ("clickhouse", "ClickHouse"),
    ("files", "file logging"),
    ("kafka", "Kafka"),
    ("nodes", "storage nodes"),
    ("objects", "an object store"),
    ("positions_file", "the agent"),
    ("postgres", "PostgreSQL"),
    ("postgresql", "PostgreSQL"),
    ("redis", "Redis"),
    ("targets", "the agent"),
];

/// What the paths of limits begin with, and those of single tenants' limits before the tenant's name.
pub(crate) const LIMITS: &str = "limits.";
pub(crate) const TENANT_LIMITS: &str = "limits.tenants.";

impl Key {
    /// Whether single tenants may have another value: all limits but those of the whole server.
    pub(crate) fn has_tenant_limits(&self) -> bool {
        self.path.strip_prefix(LIMITS).is_some_and(|limit| !limit.starts_with("load."))
    }

    /// The variable that sets it; `None` for keys with a tenant in them.
    pub(crate) fn variable(&self) -> Option<String> {
        let path = self.path;
        (!path.contains('*')).then(|| format!("TIMBERYARD_{}", path.replace('.', "_").to_ascii_uppercase()))
    }
}

/// Whether `name` can be a tenant's.
pub(crate) fn check_tenant(name: &str) -> Result<(), String> {
    TenantId::new(name).map(drop).map_err(|error| error.to_string())
}
