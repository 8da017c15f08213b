//! `service_name` for streams that come without one, found as Loki finds it.

use timberyard_model::Labels;

/// The label that every stream has.
pub const SERVICE_NAME: &str = "service_name";

/// Its value when nothing in the stream names the service.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// Labels that may name the service, the best first (Loki's `discover_service_name`).
pub const DISCOVERY_LABELS: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

/// The service that the labels name by Loki's list, else [`UNKNOWN_SERVICE`].
pub fn discover(labels: &Labels) -> &str {
    let rank = |name: &str| DISCOVERY_LABELS.iter().position(|known| *known == name);
    let ranked = labels.iter().filter_map(|(name, value)| Some((rank(name)?, value)));
    ranked.min_by_key(|(rank, _)| *rank).map_or(UNKNOWN_SERVICE, |(_, value)| value)
}

/// The labels with `service_name`: as they are when they have it.
#[must_use]
pub fn with_service_name(labels: &Labels) -> Labels {
    match labels.get(SERVICE_NAME) {
        Some(_) => labels.clone(),
        None => labels.with(SERVICE_NAME, discover(labels)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_label_of_the_list_names_the_service() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[("job", "j"), ("app", "a")], "a"),
            (&[("k8s_job_name", "k")], "k"),
            (&[("app", ""), ("name", "n")], "n"),
            (&[("env", "prod")], UNKNOWN_SERVICE),
            (&[("service_name", "own"), ("service", "other")], "own"),
        ];
        for (pairs, expected) in cases {
            let labels = with_service_name(&Labels::from_pairs(pairs.iter().copied()));
            assert_eq!(labels.get(SERVICE_NAME), Some(expected), "{pairs:?}");
        }
    }
}
