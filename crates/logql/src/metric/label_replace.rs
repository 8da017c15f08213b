//! `label_replace`: a label set from parts of another.

use std::borrow::Cow;

use timberyard_model::Labels;

use super::series::{StepSeries, join_equal};
use crate::syntax::ast::LabelReplace;

/// Sets the target label of every series whose source label matches as a whole; an empty replacement
/// removes it.
pub(super) fn apply(replace: &LabelReplace, series: Vec<StepSeries>) -> Vec<StepSeries> {
    let replaced = series.into_iter().map(|one| match replaced(replace, &one.labels) {
        Some(labels) => StepSeries { labels, ..one },
        None => one,
    });
    join_equal(replaced.collect())
}

fn replaced(replace: &LabelReplace, labels: &Labels) -> Option<Labels> {
    let source = labels.get(&replace.source).unwrap_or("");
    let captures = replace.pattern.regex().captures(source.as_bytes())?;
    let mut value = Vec::new();
    captures.expand(replace.replacement.as_bytes(), &mut value);
    let value: Cow<'_, str> = String::from_utf8_lossy(&value);
    Some(Labels::from_pairs(labels.with(&replace.target, &value).iter()))
}

#[cfg(test)]
mod tests {
    use timberyard_model::pattern::Pattern;

    use super::*;
    use crate::syntax::ast::MetricExpression;

    fn check(target: &str, replacement: &str, pattern: &str, expected: &str) {
        let replace = LabelReplace {
            inner: MetricExpression::Literal(0.0),
            target: target.to_owned(),
            replacement: replacement.to_owned(),
            source: "app".to_owned(),
            pattern: Pattern::whole(pattern).expect("compiles"),
        };
        let labels = Labels::from_pairs([("app", "api-7"), ("env", "prod")]);
        let series = vec![StepSeries { labels, points: Vec::new() }];
        assert_eq!(apply(&replace, series)[0].labels.to_string(), expected, "{pattern} {replacement}");
    }

    #[test]
    fn captures_become_the_value() {
        check("svc", "$1", "(.*)-\\d", r#"{app="api-7", env="prod", svc="api"}"#);
        check("svc", "${name}!", "(?P<name>[a-z]+).*", r#"{app="api-7", env="prod", svc="api!"}"#);
        check("svc", "$1x", "(.*)", r#"{app="api-7", env="prod"}"#);
    }

    #[test]
    fn the_whole_value_must_match() {
        check("env", "gone", "api", r#"{app="api-7", env="prod"}"#);
        check("env", "", "api.*", r#"{app="api-7"}"#);
    }
}
