//! The steps that logs are processed by, as they are written: a list of rules with steps each. What the words mean is in
//! `timberyard_pipeline::process`, so that an agent's file has the same.

use serde::de::DeserializeOwned;
use serde_json::Value;
use timberyard_logql::syntax;
use timberyard_model::limits::QueryLimits;
use timberyard_model::matcher::LabelMatcher;
use timberyard_pipeline::process::description::{RuleDescription, StepDescription};
use timberyard_pipeline::process::rules::{ProcessingError, Rules};

use super::settings::Settings;
use super::written::Written;

/// Reads the rules: an error names the rule and step.
pub(super) fn read(written: &Written) -> Result<Vec<RuleDescription>, String> {
    let rules = match value(written) {
        Value::Array(rules) => rules,
        rule => vec![rule],
    };
    let read = rules.into_iter().enumerate().map(|(number, rule)| read_rule(number + 1, rule));
    read.collect()
}

/// Why the rules cannot be made ready for a server with these settings, if so.
pub(super) fn refusal(settings: &Settings) -> Option<String> {
    compile(&settings.processing, &settings.destinations()).err().map(|error| format!("has a {error}"))
}

/// Makes rules ready for a server with these destinations.
pub(crate) fn compile(rules: &[RuleDescription], destinations: &[String]) -> Result<Rules, ProcessingError> {
    Rules::new(rules, destinations, &selector)
}

fn selector(text: &str) -> Result<Vec<LabelMatcher>, String> {
    syntax::parse_selector(text, &QueryLimits::default()).map_err(|error| error.to_string())
}

/// Reads one rule; of one that is wrong, the first step that is, if one is.
fn read_rule(number: usize, rule: Value) -> Result<RuleDescription, String> {
    let steps = rule.get("steps").and_then(Value::as_array).cloned().unwrap_or_default();
    for (step, value) in steps.into_iter().enumerate() {
        let place = format!("has a rule {number}, step {}", step + 1);
        described::<StepDescription>(&place, value)?;
    }
    described(&format!("has a rule {number}"), rule)
}

fn described<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, String> {
    if !value.is_object() {
        return Err(format!("{place} that is no mapping of words to values"));
    }
    serde_json::from_value(value).map_err(|error| format!("{place}: {error}"))
}

/// The same as JSON has it.
pub(super) fn value(written: &Written) -> Value {
    match written {
        Written::Text(text) => Value::from(text.as_str()),
        Written::Bare(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())),
        Written::List(items) => items.iter().map(value).collect(),
        Written::Fields(fields) => {
            Value::Object(fields.iter().map(|(name, field)| (name.clone(), value(field))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse_value;
    use super::*;

    fn read_text(text: &str) -> Result<Vec<RuleDescription>, String> {
        let processing = read(&parse_value(text).expect("YAML"))?;
        let settings = Settings { processing, ..Settings::default() };
        refusal(&settings).map_or(Ok(settings.processing), Err)
    }

    #[test]
    fn rules_have_steps_with_one_word_each() {
        let text = "- tenants: [acme]\n  sources: [syslog, loki]\n  steps:\n    - redact: {rules: [card]}\n      when: {stream: '{app=\"pay\"}'}\n    - sample: {keep_one_in: 10}\n";
        let rules = read_text(text).expect("valid");
        assert_eq!((rules.len(), rules[0].steps.len()), (1, 2));
        assert_eq!(rules[0].steps[1].sample.as_ref().map(|sample| sample.keep_one_in), Some(10));
        let shown = serde_json::to_string(&rules).expect("JSON");
        assert_eq!(read_text(&shown).expect("what is shown is the same"), rules);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_rule_and_step() {
        for (text, named) in [
            ("[{steps: [{redcat: {}}]}]", "rule 1, step 1: unknown field `redcat`"),
            (
                "[{steps: [{sample: {keep_one_in: 2}}]}, {steps: [{sample: {keep: 2}}]}]",
                "rule 2, step 1: unknown field `keep`",
            ),
            ("[{tenant: a, steps: [{sample: {keep_one_in: 2}}]}]", "rule 1: unknown field `tenant`"),
            ("[{steps: [{redact: {rules: [cards]}}]}]", "step 1 (redact): rules: there is no rule `cards`"),
            ("[{steps: [{drop: {}}]}]", "(drop): has no condition"),
            ("[{steps: [{drop: {line: '('}}]}]", "(drop): line: error parsing regexp"),
            ("[{steps: [{drop: {stream: 'app=1'}}]}]", "(drop): stream: parse error"),
            ("[{steps: [{route: {to: [kafka]}}]}]", "there is no sink `kafka`; there are tail, store"),
            ("[{steps: [{drop: {line: a}, sample: {keep_one_in: 2}}]}]", "has more than one of"),
            ("[{steps: [{when: {line: a}}]}]", "has nothing to do"),
            ("[{name: x, steps: []}]", "rule `x` has no steps"),
            ("[{sources: [lokki], steps: [{sample: {keep_one_in: 2}}]}]", "`lokki` is no source"),
            ("[{steps: [{sample: {keep_one_in: 0}}]}]", "keep_one_in must be at least 1"),
            ("[{steps: [{parse: {format: regexp}}]}]", "expression is missing"),
            ("[{steps: [{parse: {format: xml}}]}]", "step 1: unknown variant `xml`"),
            ("[{steps: [{relabel: {regex: a}}]}]", "target_label is missing"),
            ("[7]", "rule 1 that is no mapping"),
            ("[{steps: [7]}]", "rule 1, step 1 that is no mapping"),
        ] {
            let refused = read_text(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
