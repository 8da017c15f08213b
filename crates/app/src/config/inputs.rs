//! What is read from other systems, as it is written: a mapping of names to engines with their settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use timberyard_connectors::kafka::KafkaInputSettings;

use super::processing::value;
use super::settings::Settings;
use super::sinks::{Engine, check_name};
use super::written::Written;

/// All inputs that are written, by name.
pub(crate) type InputDescriptions = BTreeMap<String, InputDescription>;

/// One of them: exactly one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InputDescription {
    /// Topics of Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kafka: Option<KafkaInputSettings>,
}

/// Reads what is written: an error names the input.
pub(super) fn read(written: &Written) -> Result<InputDescriptions, String> {
    let Value::Object(inputs) = value(written) else {
        return Err("must be a mapping of names to inputs".to_owned());
    };
    inputs.into_iter().map(|(name, input)| Ok((name.clone(), read_one(&name, input)?))).collect()
}

fn read_one(name: &str, input: Value) -> Result<InputDescription, String> {
    let named = |reason: String| format!("has an input `{name}`: {reason}");
    check_name(name).map_err(&named)?;
    let input: InputDescription = serde_json::from_value(input).map_err(|error| named(error.to_string()))?;
    let kafka = input.kafka.as_ref().ok_or_else(|| named("has no engine: write kafka".to_owned()))?;
    kafka.check().map_err(|reason| named(format!("kafka: {reason}")))?;
    Ok(input)
}

/// What does not go together with other settings: a topic that is read and written by one server, round and round.
pub(super) fn refusals(settings: &Settings) -> Vec<String> {
    let mut refused = Vec::new();
    for (input_name, input) in &settings.inputs {
        for (sink_name, sink) in &settings.sinks {
            let (Some(input), Some(Engine::Kafka(topic))) = (&input.kafka, sink.engine()) else { continue };
            let takes_what_is_read =
                sink.surfaces.is_empty() || sink.surfaces.iter().any(|name| name == "kafka");
            if takes_what_is_read && input.topics.contains(&topic.topic) && input.brokers == topic.brokers {
                refused.push(format!(
                    "`sinks.{sink_name}` writes the topic that `inputs.{input_name}` reads, so that rows would go round \
                     for ever: give the sink `surfaces`, or let one server run with `--role ingest` and another with \
                     `--role worker`"
                ));
            }
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse_value;
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_input() {
        let read_text = |text: &str| read(&parse_value(text).expect("YAML"));
        let inputs = read_text("orders: {kafka: {brokers: 'k:9092', topics: [orders]}}").expect("valid");
        assert_eq!(inputs["orders"].kafka.as_ref().expect("kafka").topics, ["orders"]);
        for (text, named) in [
            ("7", "must be a mapping"),
            ("{a: {}}", "input `a`: has no engine"),
            ("{a: {kafka: {}}}", "input `a`: kafka: brokers: must be written"),
            ("{A: {kafka: {brokers: k}}}", "input `A`: a name is"),
            ("{a: {kafka: {brokers: k, topic: x}}}", "unknown field `topic`"),
        ] {
            let refused = read_text(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
