//! From when on rows are shown, by tenant and stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::matcher::accepts_all;
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{Labels, TenantId, Timestamp};

use crate::options::{Retention, StoreOptions, StreamRetention};

/// The cutoffs of all tenants at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cutoffs {
    others: Arc<TenantCutoffs>,
    tenants: BTreeMap<TenantId, Arc<TenantCutoffs>>,
}

/// The times before which rows of a tenant are no longer shown.
#[derive(Clone, Debug)]
pub(crate) struct TenantCutoffs {
    /// For streams that no rule names.
    others: Timestamp,
    /// For those of the first rule that accepts them; the one that counts most comes first.
    streams: Vec<(StreamRetention, Timestamp)>,
}

/// Which rule of a tenant holds for a stream: the place of one for streams, or nothing for the tenant's age.
pub(crate) type RulePlace = Option<usize>;

impl Default for TenantCutoffs {
    /// Nothing is hidden.
    fn default() -> Self {
        Self { others: Timestamp::MIN, streams: Vec::new() }
    }
}

impl Cutoffs {
    /// What the settings hide at this time.
    pub(crate) fn at(now: Timestamp, options: &StoreOptions) -> Self {
        let of = |retention: &Retention, streams: &[StreamRetention]| {
            Arc::new(TenantCutoffs::at(now, retention.age_seconds_max, streams))
        };
        let others = of(&options.retention, &options.retention.streams);
        let tenants = options.tenant_retention.iter().map(|(tenant, retention)| {
            // As in Loki: a tenant without rules of its own has everybody's.
            let own = !retention.streams.is_empty();
            let streams = if own { &retention.streams } else { &options.retention.streams };
            (tenant.clone(), of(retention, streams))
        });
        Self { others, tenants: tenants.collect() }
    }

    pub(crate) fn of(&self, tenant: &TenantId) -> &Arc<TenantCutoffs> {
        self.tenants.get(tenant).unwrap_or(&self.others)
    }
}

impl TenantCutoffs {
    fn at(now: Timestamp, age_seconds_max: Option<u64>, streams: &[StreamRetention]) -> Self {
        let cutoff = |age_seconds_max: Option<u64>| {
            age_seconds_max.map_or(Timestamp::MIN, |seconds| {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
                now.saturating_add_nanos(seconds.saturating_mul(-NANOS_PER_SECOND))
            })
        };
        let mut streams: Vec<(StreamRetention, Timestamp)> =
            streams.iter().map(|rule| (rule.clone(), cutoff(rule.age_seconds_max))).collect();
        // The highest priority counts; among equal ones the shortest time.
        streams.sort_by_key(|(rule, cutoff)| (std::cmp::Reverse(rule.priority), std::cmp::Reverse(*cutoff)));
        Self { others: cutoff(age_seconds_max), streams }
    }

    /// The rule that holds for a stream, and its cutoff.
    pub(crate) fn rule_of(&self, labels: &Labels) -> (RulePlace, Timestamp) {
        let accepting = self.streams.iter().position(|(rule, _)| accepts_all(&rule.matchers, labels));
        let cutoff = accepting.and_then(|place| self.streams.get(place)).map(|(_, cutoff)| *cutoff);
        (accepting, cutoff.unwrap_or(self.others))
    }

    /// The time before which nothing is shown, whatever its stream.
    pub(crate) fn earliest(&self) -> Timestamp {
        self.all().min().unwrap_or(self.others)
    }

    /// The time from which on everything is shown, whatever its stream.
    pub(crate) fn latest(&self) -> Timestamp {
        self.all().max().unwrap_or(self.others)
    }

    /// Whether there are rules for streams.
    pub(crate) fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// How many rules a time is before.
    pub(crate) fn passed(&self, time: Timestamp) -> usize {
        self.all().filter(|cutoff| time < *cutoff).count()
    }

    /// The text of a rule, as it was written.
    pub(crate) fn text(&self, place: RulePlace) -> Option<&str> {
        place.and_then(|place| self.streams.get(place)).map(|(rule, _)| &*rule.text)
    }

    fn all(&self) -> impl Iterator<Item = Timestamp> {
        std::iter::once(self.others).chain(self.streams.iter().map(|(_, cutoff)| *cutoff))
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::matcher::LabelMatcher;

    use super::*;

    fn rule(name: &str, value: &str, priority: i64, seconds: u64) -> StreamRetention {
        StreamRetention {
            matchers: vec![LabelMatcher::equal(name, value)],
            text: format!("{{{name}=\"{value}\"}}").into(),
            priority,
            age_seconds_max: (seconds > 0).then_some(seconds),
        }
    }

    #[test]
    fn the_highest_priority_counts_and_then_the_shortest_time() {
        let now = Timestamp::from_nanos(1_000 * NANOS_PER_SECOND);
        let streams = vec![
            rule("app", "api", 1, 300),
            rule("app", "api", 1, 200),
            rule("env", "prod", 5, 900),
            rule("env", "dev", 0, 10),
            rule("env", "archive", 9, 0),
        ];
        let retention = Retention { age_seconds_max: Some(500), bytes_max: None, streams };
        let options = StoreOptions { retention, ..StoreOptions::default() };
        let cutoffs = Cutoffs::at(now, &options);
        let own = cutoffs.of(&TenantId::default());
        for (app, env, expected) in [
            ("web", "", 500),
            ("api", "", 800),
            ("api", "prod", 100),
            ("api", "dev", 800),
            ("web", "dev", 990),
        ] {
            let labels = Labels::from_pairs([("app", app), ("env", env)]);
            let (_, cutoff) = own.rule_of(&labels);
            assert_eq!(cutoff.as_nanos() / NANOS_PER_SECOND, expected, "{app} {env}");
        }
        let archive = Labels::from_pairs([("env", "archive")]);
        assert_eq!(own.rule_of(&archive).1, Timestamp::MIN, "kept for ever");
        assert_eq!((own.earliest(), own.latest().as_nanos()), (Timestamp::MIN, 990 * NANOS_PER_SECOND));
    }

    #[test]
    fn a_tenant_without_rules_for_streams_has_everybodys() {
        let retention = Retention { streams: vec![rule("app", "api", 1, 300)], ..Retention::default() };
        let tenant = TenantId::new("acme").expect("valid");
        let own = Retention { age_seconds_max: Some(9), ..Retention::default() };
        let tenant_retention = [(tenant.clone(), own)].into();
        let options = StoreOptions { retention, tenant_retention, ..StoreOptions::default() };
        let cutoffs = Cutoffs::at(Timestamp::from_nanos(0), &options);
        assert!(cutoffs.of(&tenant).has_streams());
        assert_eq!(cutoffs.of(&tenant).latest().as_nanos(), -9 * NANOS_PER_SECOND);
    }
}
