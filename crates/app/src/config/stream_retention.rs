//! Rules about how long the logs of single streams are kept, as they are written: a list of a selector, a priority and a
//! period each, as in Loki's `retention_stream`.

use timberyard_logql::syntax;
use timberyard_model::limits::QueryLimits;
use timberyard_model::matcher::LabelMatcher;

use super::written::Written;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamRetention {
    /// Which streams, such as `{env="dev"}`.
    pub(crate) selector: String,
    /// The larger, the more it counts.
    pub(crate) priority: i64,
    /// Seconds that entries are kept, by their own time; 0 keeps them for ever.
    pub(crate) period_seconds: u64,
}

impl StreamRetention {
    /// Reads one item of the list.
    pub(super) fn read(written: &Written) -> Result<Self, String> {
        let Written::Fields(fields) = written else {
            return Err("must be a list of rules with a selector, a priority and a period each".to_owned());
        };
        let (mut selector, mut priority, mut period_seconds) = (None, 0, None);
        for (name, value) in fields {
            let named = |error: String| format!("has a rule whose {name} {error}");
            match name.as_str() {
                "selector" => selector = Some(value.text().map_err(named)?),
                "priority" => {
                    let text = value.scalar().map_err(named)?;
                    priority =
                        text.parse().map_err(|_| named(format!("must be a whole number, not `{text}`")))?;
                }
                "period" => period_seconds = Some(value.seconds().map_err(named)?),
                _ => {
                    return Err(format!(
                        "has a rule with `{name}`; a rule has selector, priority and period"
                    ));
                }
            }
        }
        let selector = selector.ok_or("has a rule without a selector")?;
        let period_seconds = period_seconds.ok_or("has a rule without a period")?;
        let rule = Self { selector, priority, period_seconds };
        rule.matchers().map_err(|error| format!("has the selector `{}`: {error}", rule.selector))?;
        Ok(rule)
    }

    /// What the selector says.
    pub(crate) fn matchers(&self) -> Result<Vec<LabelMatcher>, String> {
        syntax::parse_selector(&self.selector, &QueryLimits::default()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse_value;
    use super::*;

    fn read(text: &str) -> Result<StreamRetention, String> {
        StreamRetention::read(&parse_value(text).expect("YAML"))
    }

    #[test]
    fn a_rule_is_a_selector_a_priority_and_a_period() {
        let rule = |priority, period_seconds| {
            Ok(StreamRetention { selector: "{env=\"dev\"}".to_owned(), priority, period_seconds })
        };
        assert_eq!(read(r#"{selector: '{env="dev"}', priority: -3, period: 24h}"#), rule(-3, 86_400));
        assert_eq!(read(r#"{"selector": "{env=\"dev\"}", "period": 1w}"#), rule(0, 604_800));
        assert_eq!(read(r#"{selector: '{env="dev"}', period: 0}"#), rule(0, 0));
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said() {
        for (text, named) in [
            ("{env: dev}", "`env`"),
            ("{period: 24h}", "without a selector"),
            ("{selector: '{a=\"b\"}'}", "without a period"),
            ("{selector: 'a=b', period: 24h}", "the selector `a=b`: parse error"),
            ("{selector: '{a=\"b\"} | json', period: 24h}", "only label matchers"),
            ("{selector: '{a=\"b\"}', period: soon}", "whose period must be a time span"),
            ("{selector: '{a=\"b\"}', period: 1h, priority: high}", "whose priority must be a whole number"),
            ("24h", "must be a list of rules"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
