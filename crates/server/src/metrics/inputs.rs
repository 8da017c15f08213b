//! What the inputs say of themselves, on the page of metrics; their names come from the settings, topics are the broker's.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::inputs::InputFigures;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InputLabels {
    input: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PartitionLabels {
    input: String,
    topic: String,
    partition: i32,
}

/// Adds the figures of all inputs.
pub(super) fn register(registry: &mut Registry, inputs: &[InputFigures]) {
    let mut count = |name: &str, help: &str, of: &dyn Fn(&InputFigures) -> u64| {
        let family = Family::<InputLabels, Counter>::default();
        for input in inputs {
            family.get_or_create(&InputLabels { input: input.name.clone() }).inc_by(of(input));
        }
        registry.register(name, help, family);
    };
    count("timberyard_input_messages", "Messages that an input has read", &|input| input.messages);
    count("timberyard_input_rows", "Rows of an input that sinks have", &|input| input.rows);
    count("timberyard_input_repeated", "Messages and rows of an input that were there already", &|input| {
        input.repeated
    });
    count("timberyard_input_dead_letters", "Messages of an input that could not be taken", &|input| {
        input.dead_letters
    });
    count("timberyard_input_retries", "Writes of an input that were tried again", &|input| input.retries);
    count("timberyard_input_rebalances", "How often partitions of an input came or went", &|input| {
        input.rebalances
    });
    let buffered = Family::<InputLabels, Gauge>::default();
    let lag = Family::<PartitionLabels, Gauge>::default();
    for input in inputs {
        let labels = InputLabels { input: input.name.clone() };
        buffered.get_or_create(&labels).set(gauge_value(input.buffered_bytes));
        for (topic, partition, messages) in &input.lag {
            let labels =
                PartitionLabels { input: input.name.clone(), topic: topic.clone(), partition: *partition };
            lag.get_or_create(&labels).set(gauge_value(*messages));
        }
    }
    registry.register("timberyard_input_buffered_bytes", "Bytes of rows that an input holds", buffered);
    registry.register("timberyard_input_lag", "Messages of a partition that are not committed yet", lag);
}

fn gauge_value(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
