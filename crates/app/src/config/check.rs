//! Settings that depend on each other: what follows from others, and what is refused together.

use std::net::SocketAddr;

use timberyard_model::TenantId;
use timberyard_server::client_address::AddressBlock;
use timberyard_wire::json::DEPTH_MAX as JSON_DEPTH_MAX;

use super::Configuration;
use super::apply::with_tenant_limits;
use super::error::ConfigError;
use super::keys::TENANT_LIMITS;
use super::origin::Origin;
use super::settings::Settings;
use crate::key_file::DirectoryKeyFile;
use crate::telemetry;

/// How much larger than its compressed form a body may be when only the latter's limit was raised.
const INFLATION_MAX: usize = 4;

/// The least bytes of a block or a row group.
const BLOCK_BYTES_MIN: usize = 64 << 10;

/// How many files a write-ahead log has at least, when only its size was written.
const LOG_SEGMENTS_MIN: u64 = 4;

/// Sets what nobody wrote from what somebody wrote.
pub(super) fn derive(configuration: &mut Configuration) {
    let keys = DirectoryKeyFile::new(&configuration.settings.data_dir);
    let auth = &mut configuration.settings.auth;
    auth.has_stored_keys = auth.store.is_some() || keys.exists();
    let unwritten = configuration.origin("limits.request.inflated_bytes_max") == Origin::Default;
    let request = &mut configuration.settings.limits.request;
    if unwritten && request.inflated_bytes_max < request.body_bytes_max.saturating_mul(INFLATION_MAX) {
        request.inflated_bytes_max = request.body_bytes_max.saturating_mul(INFLATION_MAX);
    }
    let unwritten = configuration.origin("storage.wal_segment_bytes") == Origin::Default;
    let store = &mut configuration.settings.store;
    if unwritten {
        store.log_segment_bytes =
            store.log_segment_bytes.min((store.log_bytes_max / LOG_SEGMENTS_MIN).max(1));
    }
}

/// What does not go together.
pub(super) fn refusals(settings: &Settings) -> Vec<ConfigError> {
    let mut refused = Vec::new();
    let mut refuse = |reason: String| refused.push(ConfigError::Refused(reason));
    let auth = &settings.auth;
    if auth.enabled == Some(true) && !settings.has_keys() {
        refuse(
            "`auth.enabled` is true, but there is no key: set AUTH_SECRET, API_KEYS or auth.api_key, or make one with \
             `timberyard keys create --data-dir DIR`"
                .to_owned(),
        );
    }
    if auth.anonymous && settings.is_authenticated() {
        refuse(
            "`auth.anonymous` is true, but keys are configured: remove one of them, or say `auth.enabled: false`"
                .to_owned(),
        );
    }
    if !settings.is_authenticated() && !auth.anonymous && !settings.address.is_loopback() {
        refuse(format!(
            "listening on {} without any key would let everyone in: set AUTH_SECRET, API_KEYS or auth.api_key, \
             listen on 127.0.0.1, or say `auth.anonymous: true`",
            settings.address
        ));
    }
    if settings.cors.enabled == Some(true)
        && settings.cors.allowed_origins.is_empty()
        && !settings.is_authenticated()
    {
        refuse(
            "`cors.enabled` without a key would let any web page read the logs: list the pages in \
             cors.allowed_origins (ALLOWED_ORIGINS)"
                .to_owned(),
        );
    }
    let tls = &settings.tls;
    for (one, written, other) in [
        ("cert_file", &tls.cert_file, "key_file"),
        ("key_file", &tls.key_file, "cert_file"),
        ("client_ca_file", &tls.client_ca_file, "cert_file"),
    ] {
        if written.is_some() && tls.files().is_none() {
            refuse(format!("`server.tls.{one}` is written without `server.tls.{other}`"));
        }
    }
    let (syslog, gelf, fluent) = (&settings.syslog, &settings.gelf, &settings.fluent);
    for (name, address) in [
        ("syslog.udp", &syslog.udp),
        ("syslog.tcp", &syslog.tcp),
        ("syslog.tls", &syslog.tls),
        ("gelf.udp", &gelf.udp),
        ("gelf.tcp", &gelf.tcp),
        ("fluent.tcp", &fluent.tcp),
    ] {
        if let Some(address) = address
            && address.parse::<SocketAddr>().is_err()
        {
            refuse(format!("`{name}`: `{address}` is no address with a port, such as 127.0.0.1:5514"));
        }
    }
    if syslog.tls.is_some() && tls.files().is_none() {
        refuse("`syslog.tls` is written without `server.tls.cert_file` and `server.tls.key_file`".to_owned());
    }
    for (name, tenant) in [
        ("syslog.tenant", &syslog.tenant),
        ("gelf.tenant", &gelf.tenant),
        ("fluent.tenant", &fluent.tenant),
        ("auth.audit_tenant", &auth.audit_tenant),
    ] {
        if let Err(error) = TenantId::new(tenant) {
            refuse(format!("`{name}`: {error}"));
        }
    }
    super::role::refusals(settings).into_iter().for_each(&mut refuse);
    super::sinks::refusals(settings).into_iter().for_each(&mut refuse);
    super::inputs::refusals(settings).into_iter().for_each(&mut refuse);
    auth.oidc.refusals().into_iter().for_each(&mut refuse);
    let request = &settings.limits.request;
    if request.inflated_bytes_max < request.body_bytes_max {
        refuse(format!(
            "`limits.request.inflated_bytes_max` ({}) is below `limits.request.body_bytes_max` ({})",
            request.inflated_bytes_max, request.body_bytes_max
        ));
    }
    let of_tenants = settings.tenant_limits.keys().map(|name| {
        let depth = with_tenant_limits(settings, name).limits.request.json_depth_max;
        (format!("{TENANT_LIMITS}{name}.request.json_depth_max"), depth)
    });
    let everybodys = ("limits.request.json_depth_max".to_owned(), request.json_depth_max);
    for (key, depth) in std::iter::once(everybodys).chain(of_tenants) {
        if depth > JSON_DEPTH_MAX {
            refuse(format!("`{key}` is {depth}, and JSON is read {JSON_DEPTH_MAX} levels deep at the most"));
        }
    }
    for (key, bytes) in [
        ("storage.chunk_size_bytes", settings.store.block_bytes),
        ("storage.group_bytes", settings.store.group_bytes),
    ] {
        if bytes < BLOCK_BYTES_MIN {
            refuse(format!(
                "`{key}` is {bytes}, and must be at least {BLOCK_BYTES_MIN}: smaller pieces do not compress"
            ));
        }
    }
    for origin in &settings.cors.allowed_origins {
        if !is_origin(origin) {
            refuse(format!(
                "`cors.allowed_origins`: `{origin}` is neither * nor an origin such as https://logs.example.com"
            ));
        }
    }
    for name in &settings.otlp.label_attributes {
        if name.is_empty() || name.strip_suffix('*').unwrap_or(name).contains('*') {
            refuse(format!(
                "`otlp.label_attributes`: `{name}` is no attribute, and no beginning of one with * behind it"
            ));
        }
    }
    if let Err(error) = telemetry::check_filter(&settings.log.level) {
        refuse(format!("`log.level`: {error}"));
    }
    for proxy in &settings.trusted_proxies {
        if let Err(error) = proxy.parse::<AddressBlock>() {
            refuse(format!("`trusted_proxies`: {error}"));
        }
    }
    refused
}

/// Whether a browser could send it in `Origin`, or it stands for all.
fn is_origin(text: &str) -> bool {
    let host = text.split_once("://").map(|(_, host)| host);
    text == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ', '?', '#']))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn check(change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let mut settings = Settings::default();
        change(&mut settings);
        refusals(&settings).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_go_together() {
        assert_eq!(check(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn attributes_that_become_labels_have_a_star_at_the_end_only() {
        let with = |name: &str| check(|settings| settings.otlp.label_attributes = vec![name.to_owned()]);
        assert!(with("k8s.*").is_empty() && with("host.name").is_empty());
        assert!(with("k8s.*.name")[0].contains("`k8s.*.name` is no attribute"));
        assert_eq!(with("").len(), 1);
    }

    #[test]
    fn an_open_address_needs_a_key_or_the_word_anonymous() {
        let open = |settings: &mut Settings| settings.address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        assert!(check(open)[0].starts_with("listening on 0.0.0.0 without any key"));
        let with = |more: fn(&mut Settings)| {
            check(|settings| {
                open(settings);
                more(settings);
            })
        };
        assert!(with(|s| s.auth.anonymous = true).is_empty());
        assert!(with(|s| s.auth.secret = Some("s".to_owned())).is_empty());
        assert!(with(|s| s.auth.api_key = Some("k".to_owned())).is_empty());
        assert!(with(|s| s.auth.api_keys = vec!["k".to_owned()]).is_empty());
        let off = with(|s| {
            s.auth.secret = Some("s".to_owned());
            s.auth.enabled = Some(false);
        });
        assert_eq!(off.len(), 1, "a key that is switched off is no key");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert_eq!(check(|s| s.auth.enabled = Some(true)).len(), 1);
        let both = check(|s| {
            s.auth.anonymous = true;
            s.auth.secret = Some("s".to_owned());
        });
        assert!(both[0].contains("auth.anonymous"));
        assert_eq!(check(|s| s.cors.enabled = Some(true)).len(), 1);
        assert_eq!(check(|s| s.limits.request.inflated_bytes_max = 1).len(), 1);
        assert_eq!(check(|s| s.limits.request.json_depth_max = 1025).len(), 1);
        let small = |s: &mut Settings| (s.store.block_bytes, s.store.group_bytes) = (65_535, 1);
        assert!(check(small)[0].contains("`storage.chunk_size_bytes` is 65535, and must be at least 65536"));
        assert_eq!(check(small).len(), 2);
        assert_eq!(check(|s| s.log.level = "loud".to_owned()).len(), 1);
        let origins = |origins: &[&str]| {
            check(|s| s.cors.allowed_origins = origins.iter().map(|origin| (*origin).to_owned()).collect())
        };
        assert_eq!(origins(&["*", "https://a.example", "http://localhost:3000"]).len(), 0);
        assert_eq!(origins(&["a.example", "https://a.example/", "https://"]).len(), 3);
        let file = || Some("x.pem".to_owned());
        assert!(check(|s| s.tls.cert_file = file())[0].contains("without `server.tls.key_file`"));
        assert!(check(|s| s.tls.client_ca_file = file())[0].contains("without `server.tls.cert_file`"));
        let both = |s: &mut Settings| (s.tls.cert_file, s.tls.key_file) = (file(), file());
        assert!(check(both).is_empty());
        assert_eq!(check(|s| s.trusted_proxies = vec!["10.0.0.0/8".to_owned(), "::1".to_owned()]).len(), 0);
        assert_eq!(check(|s| s.trusted_proxies = vec!["10.0.0.0/33".to_owned(), "x".to_owned()]).len(), 2);
    }
}
