//! Builds a server from its settings: store, pipeline, query engine, HTTP state. The only place that knows every
//! concrete type.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use timberyard_connectors::postgres::PostgresSettings;
use timberyard_model::scan::LogSource;
use timberyard_model::sink::Sink;
use timberyard_model::{Limits, TenantId};
use timberyard_pipeline::spool::SpooledSink;
use timberyard_pipeline::{DemotedLabelsSource, Intake, JoinedSource, LabelDemotion, TailHub};
use timberyard_server::auth::{AuthSettings, ConfiguredKey, KeyError, KeyRing, KeyStore, Scopes, Secret};
use timberyard_server::reload::Reload;
use timberyard_server::state::Parts;
use timberyard_server::{Deletions, Events, Operations, ServerSettings, ServerState, SharedState};
use timberyard_store::{Retention, StoreOptions, StreamRetention};
use timberyard_wire::LabelAttributes;

use crate::config::{Settings, WORKER, compile_processing, with_tenant_limits};
use crate::demoted_labels_file::DemotedLabelsFile;
use crate::failure::Failure;
use crate::key_file::DirectoryKeyFile;
use crate::key_table::KeyTable;
use crate::key_text_folder::KeyTextFolder;
use crate::no_store::NoStore;
use crate::search_file::DirectorySearchFile;
use crate::sinks::Sinks;
use crate::store_slot::StoreSlot;
use crate::store_with_sinks::StoreWithSinks;
use crate::time_argument::now;
use timberyard_server::ui::saved_searches::SavedSearches;

const SECONDS_PER_DAY: u64 = 86_400;

/// A server that is built and does not listen yet.
pub(crate) struct Wiring {
    /// Where the embedded store goes when it is open, where there is one.
    pub(crate) slot: Option<Arc<StoreSlot>>,
    /// The one door in.
    pub(crate) intake: Arc<Intake>,
    /// What handlers share.
    pub(crate) state: SharedState,
    /// Sinks whose rows wait on disk while they are away.
    pub(crate) spooled: Vec<Arc<SpooledSink>>,
}

impl Wiring {
    /// Puts everything together. Must be called on a tokio runtime, which the pipeline's tasks run on.
    pub(crate) fn new(
        settings: &Settings,
        reload: Option<Arc<dyn Reload>>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Result<Self, Failure> {
        let keys = key_ring(settings)
            .map_err(|error| Failure::new(format!("cannot read the stored keys: {error}")))?;
        let searches = SavedSearches::open(Box::new(DirectorySearchFile::new(&settings.data_dir)))
            .map_err(|error| Failure::new(error.to_string()))?;
        let provider = settings.auth.oidc.client()?;
        let slot = settings.keeps_logs.then(|| Arc::new(StoreSlot::default()));
        let tail_hub = TailHub::new(settings.limits.query.tails_max);
        let sinks = Sinks::connect(settings, slot.clone().map(|slot| slot as Arc<dyn Sink>))?;
        let mut intake = Intake::new(sinks.broker, Arc::clone(&tail_hub), settings.queue_bytes_max());
        let (store, operations, deletions) = of_store(slot.as_ref());
        let operations: Arc<dyn Operations> = match sinks.required.is_empty() {
            true => operations,
            false => Arc::new(StoreWithSinks {
                store: operations,
                required: sinks.required,
                events: sinks.upkeeps,
            }),
        };
        let mut source = match &settings.query_source {
            None => match &sinks.events {
                Some(events) => {
                    Arc::new(JoinedSource::new(vec![Arc::clone(&store), Arc::clone(events) as _]))
                }
                None => Arc::clone(&store),
            },
            // `config::check` has refused a name that none has.
            Some(name) => Arc::clone(sinks.sources.get(name).unwrap_or(&store)),
        };
        if settings.limits.record.label_values_max > 0 {
            let demotion = Arc::new(label_demotion(settings));
            intake = intake.with_demotion(Arc::clone(&demotion));
            source = Arc::new(DemotedLabelsSource::new(source, demotion));
        }
        debug_assert_eq!(intake.destinations(), settings.destinations());
        let rules = compile_processing(&settings.processing, &intake.destinations());
        intake.processing().replace(rules.map_err(|error| Failure::usage(error.to_string()))?);
        let intake = Arc::new(intake);
        let state = ServerState::new(Parts {
            intake: Arc::clone(&intake),
            tail_hub,
            source,
            events: sinks.events.map(|events| Events { store: events, others: store }),
            subscribers: sinks.subscribers,
            operations,
            deletions,
            keys: Arc::new(keys),
            searches,
            provider,
            reload,
            tls,
            clock: Arc::new(now),
            settings: server_settings(settings),
        });
        Ok(Self { slot, intake, state, spooled: sinks.spooled })
    }
}

/// The embedded store as a source and something to operate, or what stands in its place.
fn of_store(slot: Option<&Arc<StoreSlot>>) -> (Arc<dyn LogSource>, Arc<dyn Operations>, Arc<dyn Deletions>) {
    match slot {
        Some(slot) => (Arc::clone(slot) as _, Arc::clone(slot) as _, Arc::clone(slot) as _),
        None => (Arc::new(NoStore), Arc::new(NoStore), Arc::new(NoStore)),
    }
}

/// The stored keys: of the data directory, or of the database that several servers share.
pub(crate) fn key_ring(settings: &Settings) -> Result<KeyRing, KeyError> {
    let texts = settings.auth.rotated_keys_dir.as_deref().map(|path| KeyTextFolder::new(Path::new(path)));
    let store: Box<dyn KeyStore> = match shared_keys(settings) {
        Some(postgres) => Box::new(KeyTable::new(postgres, texts)?),
        None => Box::new(DirectoryKeyFile::new(&settings.data_dir).with_texts(texts)),
    };
    let keys = KeyRing::open(store, settings.auth.pepper.as_deref().map(Secret::new))?;
    let unreadable = keys.unreadable();
    if unreadable > 0 {
        tracing::warn!(
            unreadable,
            "stored keys were made with a pepper, and auth.pepper is not set: they are not good"
        );
    }
    Ok(keys)
}

/// The database of stored keys, where they are in one; `config::check` has refused a name that none has.
fn shared_keys(settings: &Settings) -> Option<&PostgresSettings> {
    settings.sinks.get(settings.auth.store.as_ref()?)?.postgres.as_ref()
}

fn label_demotion(settings: &Settings) -> LabelDemotion {
    let file = DemotedLabelsFile::new(&settings.data_dir);
    let demoted = file.read().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read which labels were demoted; they are labels again until they pass the limit");
        Vec::new()
    });
    let values_max = settings.limits.record.label_values_max;
    LabelDemotion::new(values_max, demoted, move |tenant, name| {
        tracing::warn!(%tenant, label = name, values_max, "label has too many values: it is structured metadata from now on");
        if let Err(error) = file.add(tenant, name) {
            tracing::warn!(%error, label = name, "cannot remember the demoted label over a restart");
        }
    })
}

/// The limits of tenants that have some, or a retention, of their own.
fn tenant_limits(settings: &Settings) -> BTreeMap<TenantId, Limits> {
    let own = |name: &String| {
        let kept = settings.tenants.get(name).unwrap_or(&settings.retention);
        let limits = with_age(with_tenant_limits(settings, name).limits, settings, kept);
        // `config` has refused names that no tenant can have.
        Some((TenantId::new(name).ok()?, limits))
    };
    settings.tenant_limits.keys().chain(settings.tenants.keys()).filter_map(own).collect()
}

pub(crate) fn server_settings(settings: &Settings) -> ServerSettings {
    let auth = &settings.auth;
    // Where administrators have keys of their own, the others' keys do not administer.
    let scopes = if auth.admin_keys.is_empty() { Scopes::ALL } else { Scopes::PUSH_AND_READ };
    let clients = settings.client_keys().map(|key| (key, scopes));
    let administrators = auth.admin_keys.iter().map(|key| (key.as_str(), Scopes::ALL));
    let key = |(number, (key, scopes)): (usize, (&str, Scopes))| ConfiguredKey {
        name: format!("key-{}", number + 1).into(),
        key: Secret::new(key),
        scopes,
    };
    ServerSettings {
        auth: AuthSettings {
            enabled: settings.is_authenticated(),
            hmac_secret: auth.secret.as_deref().map(Secret::new),
            keys: administrators.chain(clients).enumerate().map(key).collect(),
            metrics: auth.metrics,
            anonymous: auth.anonymous,
            oidc: auth.oidc.of_server(),
            failures_per_minute: auth.failures_per_minute_max,
            // `config::check` has refused a name that no tenant can have.
            audit_tenant: TenantId::new(&auth.audit_tenant).ok().filter(|_| auth.audit),
        },
        multi_tenant_queries: auth.multi_tenant_queries,
        allowed_origins: settings.cors_origins(),
        // `config::check` has refused those that do not parse.
        trusted_proxies: settings.trusted_proxies.iter().filter_map(|block| block.parse().ok()).collect(),
        node_id: settings.node_id.as_str().into(),
        discover_service_name: settings.loki.discover_service_name,
        detect_level: settings.loki.detect_level,
        split_gaps: settings.loki.split_gaps,
        label_attributes: match &*settings.otlp.label_attributes {
            [] => LabelAttributes::loki().clone(),
            names => LabelAttributes::new(names.iter().cloned()),
        },
        limits: with_age(settings.limits.clone(), settings, &settings.retention),
        tenant_limits: tenant_limits(settings),
        load: settings.load.clone(),
        operations_only: settings.role == WORKER,
    }
}

/// The limits of tenants of which as much is kept: what is older than all that is kept is refused.
fn with_age(mut limits: Limits, settings: &Settings, kept: &crate::config::Retention) -> Limits {
    let everybodys = &settings.retention.streams;
    let streams = if kept.streams.is_empty() { everybodys } else { &kept.streams };
    let periods = streams.iter().map(|rule| (rule.period_seconds > 0).then_some(rule.period_seconds));
    let others = kept.days.map(|days| days.saturating_mul(SECONDS_PER_DAY));
    limits.record.age_seconds_max =
        periods.chain([others]).try_fold(0, |longest, period| Some(longest.max(period?)));
    limits
}

/// The store's options with what is kept, and for how long.
pub(crate) fn store_options(settings: &Settings) -> StoreOptions {
    let rule = |rule: &crate::config::StreamRetention| StreamRetention {
        // `config` has refused selectors that do not parse.
        matchers: rule.matchers().unwrap_or_default(),
        text: rule.selector.as_str().into(),
        priority: rule.priority,
        age_seconds_max: (rule.period_seconds > 0).then_some(rule.period_seconds),
    };
    let retention = |retention: &crate::config::Retention| Retention {
        age_seconds_max: retention.days.map(|days| days.saturating_mul(SECONDS_PER_DAY)),
        bytes_max: retention.bytes,
        streams: retention.streams.iter().map(rule).collect(),
    };
    let of_tenant = |(name, kept): (&String, &crate::config::Retention)| {
        // `config` has refused names that no tenant can have.
        TenantId::new(name).ok().map(|tenant| (tenant, retention(kept)))
    };
    StoreOptions {
        queue_bytes_max: settings.queue_bytes_max(),
        retention: retention(&settings.retention),
        tenant_retention: settings.tenants.iter().filter_map(of_tenant).collect::<BTreeMap<_, _>>(),
        ..settings.store.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_handed_on_in_seconds_and_is_off_when_nothing_is_written() {
        let mut settings = Settings::default();
        assert_eq!(store_options(&settings).retention, Retention::default());
        settings.retention.days = Some(2);
        settings.tenants.insert(
            "acme".to_owned(),
            crate::config::Retention { bytes: Some(7), ..crate::config::Retention::default() },
        );
        let options = store_options(&settings);
        assert_eq!(options.retention.age_seconds_max, Some(172_800));
        let acme = &options.tenant_retention[&TenantId::new("acme").expect("valid")];
        assert_eq!((acme.age_seconds_max, acme.bytes_max), (None, Some(7)));
    }

    #[test]
    fn what_is_older_than_all_that_is_kept_is_refused() {
        let rule = |period_seconds| crate::config::StreamRetention {
            selector: "{a=\"b\"}".to_owned(),
            priority: 0,
            period_seconds,
        };
        let mut settings = Settings::default();
        for (days, periods, expected) in [
            (None, &[][..], None),
            (Some(2), &[], Some(172_800)),
            (Some(2), &[3600], Some(172_800)),
            (Some(2), &[3600, 900_000], Some(900_000)),
            (Some(2), &[0], None),
            (None, &[3600], None),
        ] {
            settings.retention.days = days;
            settings.retention.streams = periods.iter().copied().map(rule).collect();
            let age = server_settings(&settings).limits.record.age_seconds_max;
            assert_eq!(age, expected, "{days:?} {periods:?}");
        }
        settings.retention = crate::config::Retention { days: Some(1), ..Default::default() };
        settings.tenants.insert("acme".to_owned(), crate::config::Retention::default());
        let acme = &server_settings(&settings).tenant_limits[&TenantId::new("acme").expect("valid")];
        assert_eq!(acme.record.age_seconds_max, None, "kept for ever");
    }

    #[test]
    fn every_configured_key_reaches_the_server() {
        let mut settings = Settings::default();
        settings.auth.api_key = Some("a".to_owned());
        settings.auth.api_keys = vec!["b".to_owned(), "c".to_owned()];
        let auth = server_settings(&settings).auth;
        assert!(auth.enabled);
        let keys: Vec<(&str, bool)> =
            auth.keys.iter().map(|key| (key.key.reveal(), key.scopes.admin)).collect();
        assert_eq!(keys, [("a", true), ("b", true), ("c", true)]);
        settings.auth.admin_keys = vec!["root".to_owned()];
        let auth = server_settings(&settings).auth;
        let keys: Vec<(&str, bool)> =
            auth.keys.iter().map(|key| (key.key.reveal(), key.scopes.admin)).collect();
        assert_eq!(keys, [("root", true), ("a", false), ("b", false), ("c", false)]);
    }
}
