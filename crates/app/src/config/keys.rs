//! The table of all settings: the key as written in YAML, what it means, and where its value lives.
//!
//! Everything else is derived from it: the variable `TIMBERYARD_…` of a key, the check for unknown keys,
//! `config print`, and the tests that hold `.env.example` to the table. A default is what
//! [`Settings::default`] has in the key's place.

use std::path::PathBuf;

use timberyard_model::TenantId;

use super::settings::{Retention, Settings};

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
    /// A number of which 0 means that there is no limit.
    UsizeOrNoLimit(Unit, At<usize>),
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
    /// A number, or nothing, for the tenant in the key.
    OfTenant(Unit, fn(&mut Retention) -> &mut Option<u64>),
}

macro_rules! key {
    ($path:literal, $place:expr, $meaning:literal) => {
        Key { path: $path, aliases: &[], meaning: $meaning, place: $place, secret: false }
    };
    ($path:literal alias $alias:literal, $place:expr, $meaning:literal) => {
        Key { path: $path, aliases: &[$alias], meaning: $meaning, place: $place, secret: false }
    };
    (secret $path:literal, $place:expr, $meaning:literal) => {
        Key { path: $path, aliases: &[], meaning: $meaning, place: $place, secret: true }
    };
}

use Place::{
    Choice, I64, Listen, OfTenant, OptionalSwitch, OptionalText, OptionalU64, OptionalUsize, Path, Port,
    StreamRetentions, StreamRetentionsOfTenant, Switch, Text, Texts, U64, Usize, UsizeOrNoLimit,
};
use Unit::{Bytes, Count, Seconds};

/// All settings, in the order in which they are shown and, within one source, applied.
pub(crate) const KEYS: &[Key] = &[
    key!("listen" alias "server.listen", Listen, "address to listen on, with or without a port"),
    key!("port" alias "server.port", Port, "port to listen on, whatever the address; 0 takes any free one"),
    key!("data_dir" alias "storage.path", Path(|s| &mut s.data_dir), "folder that holds all data"),
    key!("node_id", Text(|s| &mut s.node_id), "name of this node, ingested_node_id of its entries"),
    key!(
        "trusted_proxies",
        Texts(|s| &mut s.trusted_proxies),
        "proxies whose X-Forwarded-For is believed: addresses or networks"
    ),
    key!(
        "auth.enabled",
        OptionalSwitch(|s| &mut s.auth.enabled),
        "whether requests need a key; when not said, they do as soon as there is a secret or key"
    ),
    key!(
        "auth.anonymous",
        Switch(|s| &mut s.auth.anonymous),
        "serve addresses that are not loopback without any key"
    ),
    key!(secret "auth.secret", OptionalText(|s| &mut s.auth.secret), "secret that signs CLIENT.SIGNATURE keys"),
    key!(secret "auth.api_key", OptionalText(|s| &mut s.auth.api_key), "a key"),
    key!(secret "auth.api_keys", Texts(|s| &mut s.auth.api_keys), "more keys"),
    key!(secret "auth.admin_keys", Texts(|s| &mut s.auth.admin_keys), "keys that may also flush and delete; when none is written, all configured keys may"),
    key!("auth.metrics", Switch(|s| &mut s.auth.metrics), "whether /metrics needs a key too"),
    key!(secret "auth.pepper", OptionalText(|s| &mut s.auth.pepper), "secret that goes into the digests of stored keys made from now on"),
    key!(
        "auth.failures_per_minute_max",
        OptionalU64(Count, |s| &mut s.auth.failures_per_minute_max),
        "keys that are not good which one address may send; past that it gets 429 for a while; 0 is no bound"
    ),
    key!(
        "auth.audit",
        Switch(|s| &mut s.auth.audit),
        "with keys, write down their use and all administration, as logs of a tenant of their own"
    ),
    key!(
        "auth.audit_tenant",
        Text(|s| &mut s.auth.audit_tenant),
        "that tenant, which only administrators read"
    ),
    key!(
        "cors.enabled",
        OptionalSwitch(|s| &mut s.cors.enabled),
        "whether web pages of other origins may read answers; when not said, those listed may"
    ),
    key!(
        "cors.allowed_origins",
        Texts(|s| &mut s.cors.allowed_origins),
        "those origins, such as https://logs.example.com, or *"
    ),
    key!(
        "storage.head_bytes_max",
        Usize(Bytes, |s| &mut s.store.head_bytes_max),
        "raw bytes held in memory before they are written as segments"
    ),
    key!(
        "storage.head_age_seconds_max",
        U64(Seconds, |s| &mut s.store.head_age_seconds_max),
        "how long entries may stay out of segments"
    ),
    key!(
        "storage.chunk_size_bytes",
        Usize(Bytes, |s| &mut s.store.block_bytes),
        "raw bytes of a block, the piece of a segment that is read at once"
    ),
    key!(
        "storage.group_bytes",
        Usize(Bytes, |s| &mut s.store.group_bytes),
        "raw bytes of a full row group of a segment"
    ),
    key!(
        "storage.segment_bytes_max",
        U64(Bytes, |s| &mut s.store.segment_bytes_max),
        "raw bytes past which a segment is not merged any further"
    ),
    key!(
        "storage.index_cache_bytes_max",
        Usize(Bytes, |s| &mut s.store.index_cache_bytes_max),
        "memory for the indexes of segments"
    ),
    key!(
        "storage.wal_bytes_max",
        U64(Bytes, |s| &mut s.store.log_bytes_max),
        "bytes of write-ahead log before its oldest entries are written as segments"
    ),
    key!(
        "storage.wal_segment_bytes",
        U64(Bytes, |s| &mut s.store.log_segment_bytes),
        "bytes of one file of the write-ahead log"
    ),
    key!(
        "storage.disk_reserve_bytes",
        U64(Bytes, |s| &mut s.store.disk_reserve_bytes),
        "bytes of the volume that stay free: past that, writes are refused with 507"
    ),
    key!(
        "storage.deletion_cancel_seconds",
        U64(Seconds, |s| &mut s.store.deletion_cancel_seconds),
        "how long a deletion can be called off before compaction takes its entries out"
    ),
    key!(
        "storage.retention_days",
        OptionalU64(Count, |s| &mut s.retention.days),
        "days that entries are kept, by their own time; 0 keeps them for ever"
    ),
    key!(
        "storage.retention_bytes",
        OptionalU64(Bytes, |s| &mut s.retention.bytes),
        "bytes on disk that are kept, oldest go first; 0 is no bound"
    ),
    key!(
        "storage.retention_streams",
        StreamRetentions(|s| &mut s.retention),
        "how long entries of single streams are kept, instead of retention_days: selector, priority and period of each"
    ),
    key!("storage.tenants.*.retention_days", OfTenant(Count, |r| &mut r.days), "the same for one tenant"),
    key!("storage.tenants.*.retention_bytes", OfTenant(Bytes, |r| &mut r.bytes), "the same for one tenant"),
    key!("storage.tenants.*.retention_streams", StreamRetentionsOfTenant, "the same for one tenant"),
    key!(
        "ingest.queue_bytes_max",
        Usize(Bytes, |s| &mut s.ingest.queue_bytes_max),
        "bytes that may wait for the store before senders get 429"
    ),
    key!(
        "ingest.buffer_size",
        OptionalUsize(Count, |s| &mut s.ingest.buffer_size),
        "the same in entries of 1 KiB, as LogPulse writes it; counts before queue_bytes_max"
    ),
    key!("query.workers", Usize(Count, |s| &mut s.load.queries_max), "queries that run at the same time"),
    key!(
        "loki.discover_service_name",
        Switch(|s| &mut s.loki.discover_service_name),
        "give pushed streams a service_name from their other labels"
    ),
    key!("loki.detect_level", Switch(|s| &mut s.loki.detect_level), "add detected_level to entries"),
    key!(
        "limits.request.body_bytes_max",
        Usize(Bytes, |s| &mut s.limits.request.body_bytes_max),
        "a request body as it comes over the wire"
    ),
    key!(
        "limits.request.inflated_bytes_max",
        Usize(Bytes, |s| &mut s.limits.request.inflated_bytes_max),
        "the same body after decompression"
    ),
    key!(
        "limits.request.json_depth_max",
        Usize(Count, |s| &mut s.limits.request.json_depth_max),
        "how deep JSON may nest"
    ),
    key!(
        "limits.request.events_max",
        Usize(Count, |s| &mut s.limits.request.events_max),
        "events in one request to /api/v1/batch-ingest"
    ),
    key!(
        "limits.request.timeout_seconds",
        U64(Seconds, |s| &mut s.limits.request.timeout_seconds),
        "until an unfinished request is given up"
    ),
    key!("limits.record.line_bytes_max", Usize(Bytes, |s| &mut s.limits.record.line_bytes_max), "a line"),
    key!(
        "limits.record.label_names_max",
        Usize(Count, |s| &mut s.limits.record.label_names_max),
        "labels of a stream, without those that Timberyard adds"
    ),
    key!(
        "limits.record.label_name_bytes_max",
        Usize(Bytes, |s| &mut s.limits.record.label_name_bytes_max),
        "a label's name"
    ),
    key!(
        "limits.record.label_value_bytes_max",
        Usize(Bytes, |s| &mut s.limits.record.label_value_bytes_max),
        "a label's value"
    ),
    key!(
        "limits.record.label_values_max",
        UsizeOrNoLimit(Count, |s| &mut s.limits.record.label_values_max),
        "values of a label in a tenant and day; the label that has more becomes structured metadata; 0 for no limit"
    ),
    key!(
        "limits.record.metadata_pairs_max",
        Usize(Count, |s| &mut s.limits.record.metadata_pairs_max),
        "structured metadata pairs of an entry"
    ),
    key!(
        "limits.record.metadata_bytes_max",
        Usize(Bytes, |s| &mut s.limits.record.metadata_bytes_max),
        "structured metadata of an entry"
    ),
    key!(
        "limits.record.future_seconds_max",
        I64(Seconds, |s| &mut s.limits.record.future_seconds_max),
        "how far in the future an entry's time may lie"
    ),
    key!(
        "limits.query.entries_max",
        Usize(Count, |s| &mut s.limits.query.entries_max),
        "lines that one log query returns"
    ),
    key!(
        "limits.query.series_max",
        Usize(Count, |s| &mut s.limits.query.series_max),
        "series that one metric query returns"
    ),
    key!(
        "limits.query.points_max",
        Usize(Count, |s| &mut s.limits.query.points_max),
        "steps of one range query"
    ),
    key!(
        "limits.query.timeout_seconds",
        U64(Seconds, |s| &mut s.limits.query.timeout_seconds),
        "until a query is given up"
    ),
    key!(
        "limits.query.memory_bytes_max",
        Usize(Bytes, |s| &mut s.limits.query.memory_bytes_max),
        "memory that one query may hold"
    ),
    key!(
        "limits.query.text_bytes_max",
        Usize(Bytes, |s| &mut s.limits.query.text_bytes_max),
        "the text of a query"
    ),
    key!(
        "limits.query.depth_max",
        Usize(Count, |s| &mut s.limits.query.depth_max),
        "how deep expressions may nest"
    ),
    key!(
        "limits.query.tails_max",
        Usize(Count, |s| &mut s.limits.query.tails_max),
        "clients that tail at the same time"
    ),
    key!(
        "limits.rate.requests_per_minute",
        OptionalU64(Count, |s| &mut s.limits.rate.requests_per_minute),
        "requests a minute of one key, or of one address without a key; more get 429; 0 is no bound"
    ),
    key!(
        "limits.rate.burst",
        OptionalU64(Count, |s| &mut s.limits.rate.burst),
        "requests that may come at once before the rate counts; a minute's worth when not said"
    ),
    key!(
        "limits.rate.address_requests_per_minute",
        OptionalU64(Count, |s| &mut s.limits.rate.address_requests_per_minute),
        "requests a minute of one address, whatever its keys; 0 is no bound"
    ),
    key!(
        "limits.rate.bytes_per_second",
        OptionalU64(Bytes, |s| &mut s.limits.rate.bytes_per_second),
        "bytes of entries that one tenant may send in a second; more get 429; 0 is no bound"
    ),
    key!(
        "limits.rate.requests_max",
        OptionalUsize(Count, |s| &mut s.limits.rate.requests_max),
        "requests of one tenant being answered; further ones get 429; 0 is no bound"
    ),
    key!(
        "limits.load.connections_max",
        Usize(Count, |s| &mut s.load.connections_max),
        "open connections; further ones wait"
    ),
    key!(
        "limits.load.requests_max",
        Usize(Count, |s| &mut s.load.requests_max),
        "requests being answered; further ones get 503"
    ),
    key!(
        "limits.load.body_bytes_max",
        Usize(Bytes, |s| &mut s.load.body_bytes_max),
        "memory for request bodies; what does not fit gets 429"
    ),
    key!(
        "limits.load.queries_waiting_max",
        Usize(Count, |s| &mut s.load.queries_waiting_max),
        "queries waiting for a worker; further ones get 429"
    ),
    key!(
        "limits.load.stall_seconds_max",
        U64(Seconds, |s| &mut s.load.stall_seconds_max),
        "for the head of a request to arrive, and for a connection to be idle"
    ),
    key!(
        "limits.load.unread_seconds_max",
        U64(Seconds, |s| &mut s.load.unread_seconds_max),
        "after which a reader that takes nothing of an answer is given up"
    ),
    key!(
        "limits.load.drain_seconds_max",
        U64(Seconds, |s| &mut s.load.drain_seconds_max),
        "for requests to end when the server stops"
    ),
    key!(
        "log.level",
        Text(|s| &mut s.log.level),
        "error, warn, info, debug, trace, or a filter such as info,timberyard_store=debug"
    ),
    key!("log.format", Choice(&["text", "json"], |s| &mut s.log.format), "text or json"),
];

/// Sections and keys of parts that this build does not have, so that asking for one names it.
pub(crate) const ABSENT_SECTIONS: [(&str, &str); 13] = [
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
    ("tls", "TLS"),
];

/// What the paths of limits begin with, and those of single tenants' limits before the tenant's name.
const LIMITS: &str = "limits.";
const TENANT_LIMITS: &str = "limits.tenants.";

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

/// A key found by its path, with the tenant's name in it, if it has one.
#[derive(Clone)]
pub(crate) struct Found {
    /// Its number in [`KEYS`].
    pub(crate) number: usize,
    /// The tenant.
    pub(crate) tenant: Option<String>,
}

impl Found {
    /// The key.
    pub(crate) fn key(&self) -> &'static Key {
        &KEYS[self.number]
    }

    /// The key's path with the tenant's name in it.
    pub(crate) fn path(&self) -> String {
        let path = self.key().path;
        match (&self.tenant, path.strip_prefix(LIMITS)) {
            (None, _) => path.to_owned(),
            (Some(tenant), Some(limit)) => format!("{TENANT_LIMITS}{tenant}.{limit}"),
            (Some(tenant), None) => path.replace('*', tenant),
        }
    }

    /// Whether it is a limit of one tenant, which stands where everybody's does and counts for that tenant instead.
    pub(crate) fn is_tenant_limit(&self) -> bool {
        self.tenant.is_some() && self.key().has_tenant_limits()
    }
}

/// What a path of YAML keys leads to.
pub(crate) enum Lookup {
    /// A setting.
    Leaf(Found),
    /// A section that holds settings.
    Section,
    /// A part that this build does not have.
    Absent(&'static str),
    /// Nothing; with the path that was probably meant.
    Unknown(Option<String>),
}

/// Finds what a path leads to. A tenant's name may contain dots, hence the slice.
pub(crate) fn lookup(path: &[String]) -> Lookup {
    if let [limits, tenants, rest @ ..] = path
        && format!("{limits}.{tenants}.") == TENANT_LIMITS
    {
        return lookup_tenant_limit(rest);
    }
    let mut is_section = false;
    for (number, key) in KEYS.iter().enumerate() {
        for known in std::iter::once(&key.path).chain(key.aliases) {
            let segments: Vec<&str> = known.split('.').collect();
            let mut tenant = None;
            let matches = path.len() <= segments.len()
                && path.iter().zip(&segments).all(|(written, segment)| {
                    if *segment == "*" {
                        tenant = Some(written.clone());
                    }
                    written == segment || *segment == "*"
                });
            if matches && path.len() == segments.len() {
                return Lookup::Leaf(Found { number, tenant });
            }
            is_section |= matches;
        }
    }
    if is_section {
        return Lookup::Section;
    }
    if let Some((_, part)) = ABSENT_SECTIONS.iter().find(|(name, _)| path.first().is_some_and(|p| p == name))
    {
        return Lookup::Absent(part);
    }
    Lookup::Unknown(nearest_path(path))
}

/// What a path below `limits.tenants` leads to: a tenant's name, and the path of a limit below `limits`.
fn lookup_tenant_limit(path: &[String]) -> Lookup {
    let Some((tenant, limit)) = path.split_first().filter(|(_, limit)| !limit.is_empty()) else {
        return Lookup::Section;
    };
    let everybodys: Vec<String> = std::iter::once("limits".to_owned()).chain(limit.iter().cloned()).collect();
    match lookup(&everybodys) {
        Lookup::Leaf(found) if found.key().has_tenant_limits() => {
            Lookup::Leaf(Found { tenant: Some(tenant.clone()), ..found })
        }
        Lookup::Leaf(_) => Lookup::Unknown(None),
        Lookup::Unknown(nearest) => Lookup::Unknown(
            nearest.and_then(|path| Some(format!("{TENANT_LIMITS}{tenant}.{}", path.strip_prefix(LIMITS)?))),
        ),
        other => other,
    }
}

/// The existing path nearest to an unknown one: another last segment in the same section, or the
/// section in which a key of that name stands.
fn nearest_path(path: &[String]) -> Option<String> {
    let all = || KEYS.iter().flat_map(|key| std::iter::once(key.path).chain(key.aliases.iter().copied()));
    let depth = path.len();
    let prefixes: Vec<String> =
        all().map(|known| known.split('.').take(depth).collect::<Vec<_>>().join(".")).collect();
    super::error::nearest(&path.join("."), prefixes.iter().map(String::as_str)).or_else(|| {
        let last = path.last()?;
        all().find(|known| known.rsplit('.').next() == Some(last)).map(str::to_owned)
    })
}

/// Whether `name` can be a tenant's.
pub(crate) fn check_tenant(name: &str) -> Result<(), String> {
    TenantId::new(name).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str) -> Lookup {
        lookup(&path.split('.').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_path_and_alias_is_found_and_none_is_there_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for key in KEYS {
            for path in std::iter::once(&key.path).chain(key.aliases) {
                assert!(seen.insert(*path), "{path} is there twice");
                assert!(matches!(find(path), Lookup::Leaf(found) if found.key().path == key.path), "{path}");
            }
        }
    }

    #[test]
    fn a_mistyped_key_is_answered_with_the_one_meant() {
        for (written, meant) in [
            ("listn", Some("listen")),
            ("storage.retention_day", Some("storage.retention_days")),
            ("limits.query.serie_max", Some("limits.query.series_max")),
            ("storag", Some("storage")),
            ("series_max", Some("limits.query.series_max")),
            ("colour", None),
        ] {
            match find(written) {
                Lookup::Unknown(nearest) => assert_eq!(nearest.as_deref(), meant, "{written}"),
                _ => panic!("{written} was found"),
            }
        }
        assert!(matches!(find("kafka.brokers"), Lookup::Absent("Kafka")));
        for (path, limit) in [
            ("limits.tenants.acme.query.series_max", "limits.query.series_max"),
            ("limits.tenants.acme.rate.burst", "limits.rate.burst"),
        ] {
            assert!(
                matches!(find(path), Lookup::Leaf(found) if found.key().path == limit && found.path() == path),
                "{path}"
            );
        }
        assert!(matches!(find("limits.tenants.acme"), Lookup::Section));
        assert!(matches!(find("limits.tenants.acme.load.requests_max"), Lookup::Unknown(None)));
        assert!(matches!(find("storage.tenants.acme"), Lookup::Section));
    }
}
