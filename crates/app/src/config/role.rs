//! What a server of several does, and what of shared settings is its part: one file serves all servers.

use super::settings::Settings;
use super::sinks::{Engine, SinkDescription};

/// Everything that the settings say.
pub(crate) const ALL: &str = "all";
/// Takes logs in and hands them to Kafka; keeps nothing.
pub(crate) const INGEST: &str = "ingest";
/// Reads Kafka and writes to the other sinks; nobody sends to it, and nobody asks it.
pub(crate) const WORKER: &str = "worker";

fn is_kafka(sink: &SinkDescription) -> bool {
    matches!(sink.engine(), Some(Engine::Kafka(_)))
}

/// Leaves of the settings what the role has to do with.
pub(super) fn take_part(settings: &mut Settings) {
    match settings.role.as_str() {
        INGEST => {
            settings.inputs.clear();
            settings.sinks.retain(|_, sink| is_kafka(sink));
        }
        WORKER => {
            settings.sinks.retain(|_, sink| !is_kafka(sink));
            (settings.syslog, settings.gelf, settings.fluent) = Default::default();
            // Offsets are committed when the required sinks have the rows.
            if !settings.sinks.values().any(|sink| sink.required) {
                settings.sinks.values_mut().for_each(|sink| sink.required = true);
            }
        }
        _ => return,
    }
    settings.keeps_logs = false;
    settings.query_source = None;
}

/// What does not go together with the role.
pub(super) fn refusals(settings: &Settings) -> Vec<String> {
    let reason = match settings.role.as_str() {
        INGEST if settings.sinks.is_empty() => {
            "`role` is ingest, and no sink is Kafka: nothing could be handed on"
        }
        WORKER if settings.inputs.is_empty() => {
            "`role` is worker, and there are no inputs: nothing could be read"
        }
        WORKER if settings.sinks.is_empty() => {
            "`role` is worker, and there is no sink besides Kafka: what is read could go nowhere"
        }
        _ => return Vec::new(),
    };
    vec![reason.to_owned()]
}
