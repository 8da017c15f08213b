//! Which attributes of an OTLP resource become labels; all others are structured metadata.
//!
//! A rule is a list of names; a name that ends in `*` stands for all that begin so. `service.name` is always a label: every
//! stream has a service.

use std::borrow::Cow;

/// The attribute that is a label whatever the rule.
const SERVICE_NAME: &str = "service.name";

/// What stands at the end of a name for everything that follows.
const ANY: char = '*';

/// Loki's `default_resource_attributes_as_index_labels`.
static LOKI: LabelAttributes = LabelAttributes(Cow::Borrowed(&[
    Cow::Borrowed(SERVICE_NAME),
    Cow::Borrowed("service.namespace"),
    Cow::Borrowed("service.instance.id"),
    Cow::Borrowed("deployment.environment"),
    Cow::Borrowed("deployment.environment.name"),
    Cow::Borrowed("cloud.region"),
    Cow::Borrowed("cloud.availability_zone"),
    Cow::Borrowed("k8s.cluster.name"),
    Cow::Borrowed("k8s.namespace.name"),
    Cow::Borrowed("k8s.pod.name"),
    Cow::Borrowed("k8s.container.name"),
    Cow::Borrowed("container.name"),
    Cow::Borrowed("k8s.replicaset.name"),
    Cow::Borrowed("k8s.deployment.name"),
    Cow::Borrowed("k8s.statefulset.name"),
    Cow::Borrowed("k8s.daemonset.name"),
    Cow::Borrowed("k8s.cronjob.name"),
    Cow::Borrowed("k8s.job.name"),
]));

/// Which attributes of a resource become labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelAttributes(Cow<'static, [Cow<'static, str>]>);

impl LabelAttributes {
    /// Those that Loki has when it is told nothing.
    pub fn loki() -> &'static Self {
        &LOKI
    }

    /// These, each a name or the beginning of names with `*` behind it.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(Cow::Owned).collect())
    }

    /// What they are, as they were written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// Whether an attribute becomes a label. Compares it with each name.
    pub(crate) fn accept(&self, attribute: &str) -> bool {
        attribute == SERVICE_NAME
            || self.names().any(|name| match name.strip_suffix(ANY) {
                Some(beginning) => attribute.starts_with(beginning),
                None => attribute == name,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings_of_names_are_labels_and_the_service_always_is() {
        let rule = LabelAttributes::new(["host.name".to_owned(), "k8s.*".to_owned()]);
        for (attribute, accepted) in [
            ("service.name", true),
            ("host.name", true),
            ("k8s.pod.name", true),
            ("host", false),
            ("host.name.x", false),
            ("k8s", false),
            ("deployment.environment", false),
        ] {
            assert_eq!(rule.accept(attribute), accepted, "{attribute}");
        }
        assert!(LabelAttributes::loki().accept("deployment.environment"));
        assert!(!LabelAttributes::loki().accept("host.name"));
    }
}
