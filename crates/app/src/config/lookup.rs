//! Finds settings by the path of keys that somebody wrote, and says what was probably meant when there is none.

use super::keys::{ABSENT_SECTIONS, KEYS, Key, LIMITS, TENANT_LIMITS};

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
